"""The keyring: for each tenant and each person a vault of its own, from wrapped keys that are kept elsewhere.

Where keys are kept (a `Shelf`) they are wrapped; where they are used, that is here, they are unwrapped with the master
keys and held for as long as they are used. What this promises:

- one who seals has a key: the first to seal for a tenant makes one, and where several do so at once the first wins;
- a key that somebody else has made is found at once by what it has sealed, and seals here within ``2 * fresh_seconds``;
- while the shelf or a master is away, what is held goes on, and what is not fails at once, before anything is done;
- a tenant whose keys are destroyed is dropped by `drop`, and by the next look at the shelf, within the same bound;
- what is held is bounded, and so is what is known to be missing.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge

from production_contracts.records import Record
from servicekit.masters import DataKey, MasterAwayError, Masters, NotUnwrappedError, WrappedKey
from servicekit.vault import AesVault

READ_AT_ONCE: Final = 200
"""Holders whose keys are asked for together at most: as many as stand on the largest page."""
RETRY_SECONDS: Final = 5.0
"""How long what is held goes on before a shelf that was away is asked again."""
_MOST_MISSING: Final = 100

LOADS: Final = Counter("keyring_loads", "Reads of wrapped keys by what came of them", ("result",))
HELD: Final = Gauge("keyring_held", "Tenants and people whose keys are held in memory")
UNREADABLE: Final = Counter("keyring_unreadable", "Wrapped keys that no master key here opens")

log = structlog.get_logger(__name__)


class KeysAwayError(Exception):
    """Keys can't be had for the moment: where they are kept, or a master key, does not answer."""


class KeyDestroyedError(Exception):
    """The keys of this tenant or person are destroyed: nothing of it is sealed or opened any more."""


class Kept(Record):
    """What is kept for a tenant or person: its keys, of which one is current; or that they are destroyed."""

    tenant_id: UUID
    destroyed: bool = False
    keys: tuple[WrappedKey, ...] = ()


class Shelf(Protocol):
    """Where wrapped keys are kept."""

    async def read(self, tenants: Collection[UUID]) -> Sequence[Kept]:
        """Read what is kept for each of these, up to `READ_AT_ONCE`.

        Raises:
            KeysAwayError: as it says.
        """
        ...

    async def offer(self, key: WrappedKey) -> Kept:
        """Offer a tenant's first key; gives what stands then, which may be the key that another has offered.

        Raises:
            KeysAwayError: as it says.
        """
        ...


@dataclass(kw_only=True, slots=True)
class _Entry:
    """What is held for one tenant: its keys in clear, the current one first in the vault.

    ``kept``: whether there are any keys, be it that none opens here; ``missing``: keys that were looked for in vain.
    """

    vault: AesVault
    secrets: Mapping[str, bytes] = field(repr=False)
    current: str | None
    kept: bool
    destroyed: bool
    read_at: float
    retry_at: float = 0.0
    missing: set[str] = field(default_factory=set)


class Keyring:
    """Gives each tenant's vault; how, says the module."""

    def __init__(
        self,
        shelf: Shelf,
        masters: Masters,
        *,
        legacy: Mapping[str, bytes] | None = None,
        capacity: int = 10_000,
        fresh_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read from ``shelf`` and unwrap with ``masters``; ``legacy`` are keys of all tenants, which open only."""
        self._shelf = shelf
        self._masters = masters
        self._legacy = AesVault(legacy or {})
        self._capacity = capacity
        self._fresh = fresh_seconds
        self._clock = clock
        self._entries: OrderedDict[UUID, _Entry] = OrderedDict()
        self._flights: dict[UUID, asyncio.Task[dict[UUID, _Entry]]] = {}
        self._makes: dict[UUID, asyncio.Task[dict[UUID, _Entry]]] = {}

    async def sealing(self, tenant_id: UUID) -> AesVault:
        """Give the vault that seals for a tenant; its first key is made if there is none.

        Raises:
            KeysAwayError: as it says.
            KeyDestroyedError: as it says.
        """
        entry = self._held(tenant_id)
        if entry is None:
            found, failure = await self._load([tenant_id])
            entry = found.get(tenant_id) or self._entries.get(tenant_id)
            if entry is None:
                raise failure or KeysAwayError
        if not entry.destroyed and not entry.kept:
            if tenant_id not in self._makes:
                self._begin(self._makes, [tenant_id], self._make(tenant_id))
            entry = (await asyncio.shield(self._makes[tenant_id]))[tenant_id]
        if entry.destroyed:
            raise KeyDestroyedError
        if entry.current is None:
            message = "the current key of a tenant does not open here"
            raise KeysAwayError(message)
        return entry.vault

    async def opening(self, wanted: Mapping[UUID, Collection[str]]) -> dict[UUID, AesVault | None]:
        """Give the vaults that open what these keys of these tenants have sealed; None: they are destroyed.

        A key that is not there, wherever one looks, is in no vault, which says so where it is used.

        Raises:
            KeysAwayError: as it says.
        """
        found: dict[UUID, _Entry] = {}
        for _ in range(2):
            lacking = {tenant for tenant, kids in wanted.items() if not self._opens(tenant, kids, found)}
            if not lacking:
                break
            joined = lacking & self._flights.keys()
            read, failure = await self._load(lacking)
            found |= read
            for tenant in lacking - read.keys():
                entry = self._entries.get(tenant)
                if entry is None or _unknown(entry, wanted[tenant]):
                    raise failure or KeysAwayError
                found[tenant] = entry
            if not joined:  # what was under way already may have looked too early: then look once more
                for tenant, entry in read.items():
                    entry.missing.update(sorted(_unknown(entry, wanted[tenant]))[:_MOST_MISSING])
                break
        return {tenant: None if found[tenant].destroyed else found[tenant].vault for tenant in wanted}

    async def prepare(self, tenants: Collection[UUID]) -> None:
        """Load the keys of many tenants together, as far as they are not held.

        Raises:
            KeysAwayError: as it says.
        """
        _, failure = await self._load({tenant for tenant in tenants if self._held(tenant) is None})
        if failure is not None:
            raise failure

    def drop(self, tenant_id: UUID) -> None:
        """Forget a tenant's keys at once, as they are destroyed; what is being read of them is not kept either."""
        self._flights.pop(tenant_id, None)
        self._makes.pop(tenant_id, None)
        self._keep(tenant_id, self._entry_of(tenant_id, {}, destroyed=True))

    async def start(self) -> None:
        """Do nothing: keys are read when they are needed."""

    async def stop(self) -> None:
        """Give up what is being read."""
        tasks = {*self._flights.values(), *self._makes.values()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _held(self, tenant_id: UUID) -> _Entry | None:
        """Give what is held, if it may be used; where it is getting old, look anew meanwhile."""
        entry = self._entries.get(tenant_id)
        if entry is None:
            return None
        self._entries.move_to_end(tenant_id)
        now = self._clock()
        age = now - entry.read_at
        if age < self._fresh or now < entry.retry_at:
            return entry
        if age >= 2 * self._fresh:
            return None
        if tenant_id not in self._flights:
            self._begin(self._flights, [tenant_id], self._fetch([tenant_id]))
        return entry

    def _opens(self, tenant_id: UUID, kids: Collection[str], found: dict[UUID, _Entry]) -> bool:
        """Tell whether what is held, noted in ``found``, opens with all of these keys, or they are known to miss."""
        entry = self._held(tenant_id)
        if entry is None and kids and self._legacy.kids.issuperset(kids):
            entry = self._entry_of(tenant_id, {})
        if entry is None:
            return False
        found[tenant_id] = entry
        return entry.destroyed or not _unknown(entry, kids)

    async def _load(self, tenants: Collection[UUID]) -> tuple[dict[UUID, _Entry], KeysAwayError | None]:
        """Read what is kept for these, each once however many ask; gives what was read, and what kept the rest away."""
        new = [tenant for tenant in tenants if tenant not in self._flights]
        for first in range(0, len(new), READ_AT_ONCE):
            chunk = new[first : first + READ_AT_ONCE]
            self._begin(self._flights, chunk, self._fetch(chunk))
        found: dict[UUID, _Entry] = {}
        failure: KeysAwayError | None = None
        for flight in {self._flights[tenant] for tenant in tenants}:
            try:
                read = await asyncio.shield(flight)
            except KeysAwayError as error:
                failure = error
            else:
                found |= {tenant: read[tenant] for tenant in read.keys() & set(tenants)}
        return found, failure

    def _begin(
        self,
        under_way: dict[UUID, asyncio.Task[dict[UUID, _Entry]]],
        tenants: Sequence[UUID],
        work: Coroutine[Any, Any, dict[UUID, _Entry]],
    ) -> None:
        task = asyncio.create_task(work, name="keyring")
        under_way.update(dict.fromkeys(tenants, task))
        task.add_done_callback(partial(self._landed, under_way, tenants))

    def _landed(
        self,
        under_way: dict[UUID, asyncio.Task[dict[UUID, _Entry]]],
        tenants: Sequence[UUID],
        task: asyncio.Task[dict[UUID, _Entry]],
    ) -> None:
        """Keep what was read of those that were not dropped meanwhile."""
        error = None if task.cancelled() else task.exception()
        failed = task.cancelled() or error is not None
        if error is not None and not isinstance(error, KeysAwayError):
            log.error("keyring_failed", error=repr(error))
        for tenant in tenants:
            if under_way.get(tenant) is not task:
                continue
            del under_way[tenant]
            if not failed:
                self._keep(tenant, task.result()[tenant])
            elif tenant in self._entries:
                self._entries[tenant].retry_at = self._clock() + RETRY_SECONDS

    def _keep(self, tenant_id: UUID, entry: _Entry) -> None:
        self._entries[tenant_id] = entry
        self._entries.move_to_end(tenant_id)
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
        HELD.set(len(self._entries))

    async def _fetch(self, tenants: Sequence[UUID]) -> dict[UUID, _Entry]:
        async def read() -> dict[UUID, _Entry]:
            kept = {one.tenant_id: one for one in await self._shelf.read(tenants)}
            opened = await asyncio.gather(*(self._open(kept.get(one) or Kept(tenant_id=one)) for one in tenants))
            return dict(zip(tenants, opened, strict=True))

        return await self._counted(read)

    async def _make(self, tenant_id: UUID) -> dict[UUID, _Entry]:
        async def offer() -> dict[UUID, _Entry]:
            key = DataKey.new(tenant_id)
            kept = await self._shelf.offer(await self._masters.wrap(key))
            return {tenant_id: await self._open(kept, {key.kid: key.secret})}

        return await self._counted(offer)

    async def _counted(self, work: Callable[[], Awaitable[dict[UUID, _Entry]]]) -> dict[UUID, _Entry]:
        try:
            done = await work()
        except MasterAwayError as error:
            LOADS.labels("away").inc()
            raise KeysAwayError(str(error)) from error
        except KeysAwayError as error:
            LOADS.labels("away").inc()
            log.warning("keys_away", reason=str(error))
            raise
        LOADS.labels("read").inc()
        return done

    async def _open(self, kept: Kept, known: Mapping[str, bytes] | None = None) -> _Entry:
        """Unwrap what is kept, but for keys that are known in clear already."""
        if kept.destroyed:
            return self._entry_of(kept.tenant_id, {}, destroyed=True)
        held = self._entries.get(kept.tenant_id)
        clear = {**({} if held is None else held.secrets), **(known or {})}
        keys = sorted(kept.keys, key=lambda key: not key.current)
        secrets = await asyncio.gather(*(self._secret(key, clear.get(key.kid)) for key in keys))
        opened = {key.kid: secret for key, secret in zip(keys, secrets, strict=True) if secret is not None}
        current = next((key.kid for key in keys if key.current and key.kid in opened), None)
        return self._entry_of(kept.tenant_id, opened, current=current, kept=bool(keys))

    async def _secret(self, key: WrappedKey, known: bytes | None) -> bytes | None:
        if known is not None:
            return known
        try:
            return (await self._masters.unwrap(key)).secret
        except NotUnwrappedError as error:
            UNREADABLE.inc()
            log.critical("a wrapped key does not open", tenant_id=str(key.tenant_id), kid=key.kid, reason=str(error))
            return None

    def _entry_of(
        self,
        tenant_id: UUID,
        secrets: Mapping[str, bytes],
        *,
        current: str | None = None,
        kept: bool = False,
        destroyed: bool = False,
    ) -> _Entry:
        held = self._entries.get(tenant_id)
        same = held is not None and list(held.secrets) == list(secrets)
        return _Entry(
            vault=held.vault if held is not None and same else AesVault(secrets, legacy=self._legacy),
            secrets=secrets,
            current=current,
            kept=kept,
            destroyed=destroyed,
            read_at=self._clock(),
        )


def _unknown(entry: _Entry, kids: Collection[str]) -> set[str]:
    return set(kids) - entry.vault.kids - entry.missing
