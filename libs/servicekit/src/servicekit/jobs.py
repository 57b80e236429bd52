"""The jobs of a service that owns a stream: rebuild or verify its projection, prune its command log, renew its epoch.

Jobs walk the tenants by ``streams`` and open one tenant at a time.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from production_contracts.events import Stream
from servicekit import journal
from servicekit.access import DatabaseAccess
from servicekit.database import Database

COMMAND_LOG_DAYS = 400
"""For how long an outcome is remembered: always longer than a command stays on its topic."""

_FIRST = UUID(int=0)
_EVENTS_A_PAGE = 1_000

Rows = dict[UUID, dict[str, Any]]
"""A tenant's projection by aggregate id, each row as the JSON object that the API answers."""


class Projection(Protocol):
    """A service's projection, as a function of the events."""

    def fold(self, rows: Rows, event: dict[str, Any]) -> None:
        """Take one event, the JSON object of `events.Event`, into a tenant's rows."""
        ...

    async def read(self, connection: AsyncConnection, tenant_id: UUID) -> Rows:
        """Read a tenant's rows as they are stored."""
        ...

    async def replace(self, connection: AsyncConnection, tenant_id: UUID, rows: Rows) -> None:
        """Store these rows in place of the tenant's."""
        ...


@dataclass(kw_only=True)
class Replay:
    """What a rebuild found: how much it replayed, and for which tenants the events say something else than the rows."""

    tenants: int = 0
    events: int = 0
    differing: list[UUID] = field(default_factory=list)


class BrokenStreamError(Exception):
    """The stored events do not number a tenant's stream 1, 2, 3, … up to its head."""


async def each_tenant(database: Database) -> AsyncIterator[UUID]:
    """Name every tenant of the stream, in order of id."""
    after = _FIRST
    while True:
        async with database.transaction() as connection:
            tenants = await journal.tenants_after(connection, after)
        for tenant in tenants:
            yield tenant
        if not tenants:
            return
        after = tenants[-1]


async def verify(database: Database, stream: Stream, projection: Projection) -> Replay:
    """Replay each tenant's events and compare with its rows, both from one snapshot; nothing is changed.

    Raises:
        BrokenStreamError: there is a gap.
    """
    found = Replay()
    async for tenant in each_tenant(database):
        async with database.reading(tenant) as connection:
            rows = await _replay(connection, stream, projection, tenant, found)
            if rows != await projection.read(connection, tenant):
                found.differing.append(tenant)
    return found


async def rebuild(database: Database, stream: Stream, projection: Projection) -> Replay:
    """Replay each tenant's events and store the rows that follow, under the lock of its stream.

    Raises:
        BrokenStreamError: there is a gap; the tenants before are done.
    """
    found = Replay()
    async for tenant in each_tenant(database):
        async with database.transaction([tenant]) as connection:
            await journal.lock_streams(connection, stream, [tenant])
            rows = await _replay(connection, stream, projection, tenant, found)
            if rows != await projection.read(connection, tenant):
                found.differing.append(tenant)
                await projection.replace(connection, tenant, rows)
    return found


async def _replay(
    connection: AsyncConnection, stream: Stream, projection: Projection, tenant: UUID, found: Replay
) -> Rows:
    rows: Rows = {}
    position = 0
    while page := await journal.events_after(connection, stream, tenant, position, _EVENTS_A_PAGE):
        for event in page:
            position += 1
            if event["position"] != position:
                message = f"tenant {tenant}: position {position} is missing in the store"
                raise BrokenStreamError(message)
            projection.fold(rows, event)
    if position != await journal.head(connection, tenant):
        message = f"tenant {tenant}: the events end at {position}, the head is elsewhere"
        raise BrokenStreamError(message)
    found.tenants += 1
    found.events += position
    return rows


async def prune(database: Database, days: int = COMMAND_LOG_DAYS) -> int:
    """Forget outcomes older than ``days``, tenant by tenant; returns how many."""
    pruned = 0
    async for tenant in each_tenant(database):
        async with database.transaction([tenant]) as connection:
            pruned += await journal.prune_log(connection, tenant, days)
    return pruned


async def renew_epoch(owner: DatabaseAccess | str) -> str:
    """Give this history a new name, as the role that owns the tables: after a restore from backup, before serving.

    Readers who stand at a position of the old history are told to start over.
    """
    access = DatabaseAccess.of(owner)
    arguments = {**access.arguments(), "timeout": 10.0, "command_timeout": 30.0}
    engine = create_async_engine(access.url, poolclass=NullPool, connect_args=arguments)
    try:
        async with engine.begin() as connection:
            return await journal.renew_epoch(connection)
    finally:
        await engine.dispose()
