"""Data keys in PostgreSQL, wrapped. All SQL on them stands here.

A row's ``tenant_id`` is the tenant's, or the person's own id as in `people`. Nothing here can open a key.
"""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from servicekit import journal
from servicekit.database import Database
from servicekit.keyring import Kept
from servicekit.masters import WrappedKey

_READ = text("""
    select q.tenant_id, k.kid, k.master, k.wrapped, k.current, k.created_at,
        exists (select from tenants t where t.tenant_id = q.tenant_id and t.status = 'deleted')
            or exists (select from people p where p.tenant_id = q.tenant_id and p.forgotten) as destroyed
    from unnest(cast(:tenants as uuid[])) as q (tenant_id)
    left join lateral (
        select * from data_keys where data_keys.tenant_id = q.tenant_id order by created_at, kid offset 0
    ) k on true
""")
_PUT_FIRST = text("""
    insert into data_keys (tenant_id, kid, master, wrapped, current) values (:tenant, :kid, :master, :wrapped, true)
    on conflict do nothing
""")
_RETIRE = text("update data_keys set current = false where tenant_id = :tenant and kid = :kid and current")
_REWRAP = text("""
    update data_keys set master = :master, wrapped = :wrapped
    where tenant_id = :tenant and kid = :kid and wrapped = :before
""")
_DESTROY = text("delete from data_keys where tenant_id = any (cast(:tenants as uuid[]))")


async def read(connection: AsyncConnection, tenants: Collection[UUID]) -> list[Kept]:
    """Read what is kept for tenants and people to whom the transaction is open; for the deleted nothing is."""
    keys: dict[UUID, list[WrappedKey]] = {tenant: [] for tenant in tenants}
    destroyed: set[UUID] = set()
    for row in await connection.execute(_READ, {"tenants": list(keys)}):
        if row.destroyed:
            destroyed.add(row.tenant_id)
        elif row.kid is not None:
            keys[row.tenant_id].append(_key(row))
    return [Kept(tenant_id=tenant, destroyed=tenant in destroyed, keys=tuple(found)) for tenant, found in keys.items()]


async def put_first(connection: AsyncConnection, key: WrappedKey) -> bool:
    """Store a tenant's current key, unless it has one; tells whether it is stored."""
    return bool((await connection.execute(_PUT_FIRST, _row(key))).rowcount)


async def replace_current(connection: AsyncConnection, before: str, key: WrappedKey) -> bool:
    """Let a new key be current in place of the one named ``before``, if that one still is; tells whether it was."""
    retired = await connection.execute(_RETIRE, {"tenant": key.tenant_id, "kid": before})
    return bool(retired.rowcount) and await put_first(connection, key)


async def rewrap(connection: AsyncConnection, before: WrappedKey, after: WrappedKey) -> bool:
    """Store a key wrapped anew, if it is still as it was; tells whether it was."""
    changed = await connection.execute(_REWRAP, {**_row(after), "before": before.wrapped})
    return bool(changed.rowcount)


async def destroy(connection: AsyncConnection, tenants: Collection[UUID]) -> None:
    """Delete all keys of these tenants and people, in the transaction that deletes or forgets them."""
    if tenants:
        await connection.execute(_DESTROY, {"tenants": list(tenants)})


class DatabaseShelf:
    """Where keys are kept: a `servicekit.keyring.Shelf` on our database."""

    def __init__(self, database: Database) -> None:
        """Keep them in ``database``."""
        self._database = database

    async def read(self, tenants: Collection[UUID]) -> Sequence[Kept]:
        """Read what is kept for each of these."""
        async with self._database.transaction(tenants) as connection:
            return await read(connection, tenants)

    async def offer(self, key: WrappedKey) -> Kept:
        """Store a tenant's first key; the first who offers one wins, and for the deleted and forgotten none is kept.

        The lock is that of decisions: whoever deletes the tenant comes before, and is seen, or after, and deletes it.
        """
        async with self._database.transaction([key.tenant_id]) as connection:
            await journal.lock_streams(connection, "tenancy", [key.tenant_id])
            (kept,) = await read(connection, [key.tenant_id])
            if not kept.destroyed and await put_first(connection, key):
                (kept,) = await read(connection, [key.tenant_id])
            return kept


def _row(key: WrappedKey) -> dict[str, Any]:
    return {"tenant": key.tenant_id, "kid": key.kid, "master": key.master, "wrapped": key.wrapped}


def _key(row: Any) -> WrappedKey:  # noqa: ANN401 - a row of the query above
    return WrappedKey(
        tenant_id=row.tenant_id,
        kid=row.kid,
        master=row.master,
        wrapped=row.wrapped,
        current=row.current,
        created_at=row.created_at,
    )
