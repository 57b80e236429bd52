"""Rotation: a new data key in place of a tenant's, and data keys wrapped anew under the first master key.

Both go tenant by tenant (a person counts as one), each in a transaction of its own, and may be stopped and run again.
No master key is asked within a transaction: what is wrapped is stored if what it was made from is still so.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from servicekit import journal
from servicekit.clock import now
from servicekit.database import Database
from servicekit.jobs import each_tenant
from servicekit.keyring import Kept
from servicekit.masters import DataKey, Masters, NotUnwrappedError, WrappedKey
from tenancy.adapters import data_keys


@dataclass(kw_only=True)
class Done:
    """How many tenants and people have keys, how many keys were replaced or wrapped anew, and how many do not open."""

    holders: int = 0
    changed: int = 0
    unreadable: int = 0


class Rotation:
    """Changes keys while everything runs."""

    def __init__(self, database: Database, masters: Masters) -> None:
        """Change the keys in ``database``, wrapped under the first of ``masters``."""
        self._database = database
        self._masters = masters

    async def rotate(self, *, tenant_id: UUID | None = None, older_than: timedelta | None = None) -> Done:
        """Give each tenant that has a key, or one of them, a new one if the current one is older; old ones open on.

        Raises:
            MasterAwayError: those before are done.
        """
        done = Done()
        before = None if older_than is None else now() - older_than
        async for kept in self._each(tenant_id):
            done.holders += 1
            current = next((key for key in kept.keys if key.current and _is_older(key, before)), None)
            if current is not None and await self._replace(current):
                done.changed += 1
        return done

    async def rewrap(self, *, everything: bool = False) -> Done:
        """Wrap anew what is not under the first master key; with ``everything`` what is, too.

        Raises:
            MasterAwayError: those before are done.
        """
        done = Done()
        async for kept in self._each(None):
            done.holders += 1
            stale = [key for key in kept.keys if everything or key.master != self._masters.first]
            fresh: list[tuple[WrappedKey, WrappedKey]] = []
            for key in stale:
                try:
                    fresh.append((key, await self._masters.wrap(await self._masters.unwrap(key))))
                except NotUnwrappedError:
                    done.unreadable += 1
            done.changed += await self._store(kept.tenant_id, fresh)
        return done

    async def _each(self, tenant_id: UUID | None) -> AsyncIterator[Kept]:
        """Read what is kept for each who has keys, or for one."""
        if tenant_id is None:
            async for one in each_tenant(self._database):
                async for kept in self._each(one):
                    yield kept
            return
        async with self._database.transaction([tenant_id]) as connection:
            (kept,) = await data_keys.read(connection, [tenant_id])
        if kept.keys:
            yield kept

    async def _replace(self, current: WrappedKey) -> bool:
        fresh = await self._masters.wrap(DataKey.new(current.tenant_id))
        async with self._database.transaction([current.tenant_id]) as connection:
            await journal.lock_streams(connection, "tenancy", [current.tenant_id])
            return await data_keys.replace_current(connection, current.kid, fresh)

    async def _store(self, tenant_id: UUID, fresh: Sequence[tuple[WrappedKey, WrappedKey]]) -> int:
        if not fresh:
            return 0
        async with self._database.transaction([tenant_id]) as connection:
            await journal.lock_streams(connection, "tenancy", [tenant_id])
            return sum([await data_keys.rewrap(connection, before, after) for before, after in fresh])


def _is_older(key: WrappedKey, moment: datetime | None) -> bool:
    return moment is None or key.created_at is None or key.created_at <= moment
