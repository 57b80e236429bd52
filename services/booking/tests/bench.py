"""What the tests of booking stand on: commands to ask, and a worker on a real database without Kafka."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from aiokafka import ConsumerRecord
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from booking.adapters.bookings import Key
from booking.application.decider import BookingDecider
from booking.application.projection import BookingProjection
from local_stack.databases import Database as FreshDatabase
from production_contracts import commands
from production_contracts.commands import Author, Command, CommandBody, Idempotency
from production_contracts.envelope import KafkaRecord, command_record
from production_contracts.records import Record as Data
from production_contracts.roles import Role
from production_contracts.topics import BOOKING_COMMANDS
from servicekit import journal
from servicekit.database import Database
from servicekit.deciding import Ledger
from servicekit.kafka import Record
from servicekit.replies import Settled
from servicekit.worker import CommandWorker

NIGHT = datetime(2027, 5, 8, 20, tzinfo=UTC)
HOURS = timedelta(hours=3, minutes=30)

Answer = tuple[int, dict[str, Any]]
"""The status and body of an outcome."""


class KnownRoster:
    """A roster that is never behind."""

    async def await_artists(self, artists: Sequence[Key]) -> frozenset[Key]:
        """Know everything."""
        del artists
        return frozenset()


Hook = Callable[[], Awaitable[None]]


class HookedDecider(BookingDecider):
    """Decides as the service does; what a test wants to happen at a moment happens then, once."""

    after_load: Hook | None = None
    before_commit: Hook | None = None

    async def load(self, connection: AsyncConnection, commands: Sequence[Command]) -> Ledger:
        """Load, and let happen what comes between loading and writing."""
        ledger = await super().load(connection, commands)
        hook, self.after_load = self.after_load, None
        if hook is not None:
            await hook()
        save, last = ledger.save, self.before_commit

        async def save_then(connection: AsyncConnection) -> None:
            await save(connection)
            if last is not None:
                self.before_commit = None
                await last()

        ledger.save = save_then  # type: ignore[method-assign]
        return ledger


async def until(condition: Callable[[], Awaitable[object]], what: str) -> None:
    """Return once a condition holds; an AssertionError where it does not in time."""
    deadline = asyncio.get_running_loop().time() + 30.0
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, f"in vain: {what}"
        await asyncio.sleep(0.01)


@dataclass
class Desk:
    """Takes the worker's replies and dead letters."""

    settled: list[Settled] = field(default_factory=list)
    dead: list[tuple[Record, str]] = field(default_factory=list)
    woken: int = 0

    async def send(self, settled: Sequence[Settled]) -> None:
        """Keep replies."""
        self.settled.extend(settled)

    async def put(self, record: Record, reason: str) -> None:
        """Keep a dead letter."""
        self.dead.append((record, reason))

    def wake(self) -> None:
        """Count commits."""
        self.woken += 1


def consumed(record: KafkaRecord, offset: int = 0) -> Record:
    """Make of a record to send the one that a consumer receives."""
    received: Record = ConsumerRecord(
        topic=record.topic,
        partition=0,
        offset=offset,
        timestamp=int(datetime.now(UTC).timestamp() * 1000),
        timestamp_type=0,
        key=record.key,
        value=record.value,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=tuple(record.headers),
    )
    return received


@dataclass
class Bench:
    """A worker on a database of its own, and what it has answered."""

    database: Database
    fresh: FreshDatabase
    roster: Any = field(default_factory=KnownRoster)
    desk: Desk = field(default_factory=Desk)

    def __post_init__(self) -> None:
        """Make the worker."""
        self.decider = HookedDecider(self.roster)
        self.worker = CommandWorker(self.database, self.decider, self.desk, self.desk, self.desk)  # type: ignore[arg-type]

    def another(self) -> "Bench":
        """A second instance of the service on the same database."""
        return Bench(self.database, self.fresh)

    async def handle(self, *asked: Command) -> list[Answer]:
        """Hand commands over as one batch; gives their outcomes in order."""
        self.desk.settled.clear()
        await self.worker.handle([recorded(command, offset) for offset, command in enumerate(asked)])
        return [(one.status, one.body) for one in self.desk.settled]

    async def one(self, asked: Command) -> Answer:
        """Hand one command over; gives its outcome."""
        (answer,) = await self.handle(asked)
        return answer

    async def add_artist(self, tenant: UUID, artist: UUID | None = None, status: str = "active") -> UUID:
        """Put an artist into the roster."""
        artist = artist or uuid4()
        async with self.database.transaction([tenant]) as connection:
            await connection.execute(
                text("insert into artists values (:tenant, :id, :status, null, 1)"),
                {"tenant": tenant, "id": artist, "status": status},
            )
        return artist

    async def rows(self, tenants: Sequence[UUID], query: str, **values: object) -> list[Any]:
        """Read rows in a transaction opened to tenants."""
        async with self.database.transaction(tenants) as connection:
            return list((await connection.execute(text(query), values)).all())

    async def stored(self, tenant: UUID) -> dict[UUID, dict[str, Any]]:
        """Read a tenant's bookings, as the API shows them."""
        async with self.database.reading(tenant) as connection:
            return await BookingProjection().read(connection, tenant)

    async def events(self, tenant: UUID) -> list[dict[str, Any]]:
        """Read all of a tenant's events."""
        async with self.database.reading(tenant) as connection:
            return await journal.events_after(connection, "booking", tenant, 0, 100_000)

    async def position(self, tenant: UUID) -> int:
        """Read the head of a tenant's stream."""
        async with self.database.reading(tenant) as connection:
            return await journal.head(connection, tenant)

    async def waits_for_a_lock(self) -> bool:
        """Whether somebody in this database waits for somebody else."""
        query = "select 1 from pg_stat_activity where datname = %s and wait_event_type = 'Lock'"
        return bool(await self.as_superuser(query, self.fresh.name))

    async def as_superuser(self, query: str, *values: object) -> list[Any]:
        """Go behind the service's back: no policy and no lock of ours binds this."""
        async with await psycopg.AsyncConnection.connect(self.fresh.superuser_dsn, autocommit=True) as connection:
            cursor = await connection.execute(query.encode(), values)
            return [] if cursor.description is None else await cursor.fetchall()


def recorded(
    command: Command, offset: int = 0, *, value: bytes | None = None, headers: Sequence[tuple[str, bytes]] = ()
) -> Record:
    """Make the record that a consumer receives of a command; with another value or more headers if given."""
    record = command_record(command, BOOKING_COMMANDS.name, command.body.expires_at)
    changed = replace(record, value=record.value if value is None else value, headers=[*record.headers, *headers])
    return consumed(changed, offset)


def ask(
    tenant: UUID,
    data: Data,
    booking: UUID | None = None,
    *,
    identity: UUID | None = None,
    role: Role = Role.MEMBER,
    key: str | None = None,
    fingerprint: str = "f",
    versions: list[int] | None = None,
    sub: str = "user_ana",
    expires_in: timedelta = timedelta(minutes=1),
) -> Command:
    """Make a command."""
    return Command(
        id=identity or uuid4(),
        type=commands.BY_DATA[type(data)],
        tenant_id=tenant,
        aggregate_id=booking or uuid4(),
        body=CommandBody(
            author=Author(sub=sub, role=role, iat=1),
            expires_at=(datetime.now(UTC) + expires_in).replace(microsecond=0),
            idempotency=None if key is None else Idempotency(key=key, fingerprint=fingerprint),
            expected_versions=versions,
            data=data,
        ),
        reply_partition=0,
    )


def night(artist: UUID, day: int = 0, status: str = "pencil", **changes: object) -> commands.CreateBooking:
    """Ask for an artist's night, ``day`` nights after the first."""
    start = NIGHT + timedelta(days=day)
    given = {"artist_id": artist, "start_time": start, "end_time": start + HOURS, "status": status, "title": "A night"}
    return commands.CreateBooking.model_validate(given | changes)


def move(day: int, **later: float) -> commands.RescheduleBooking:
    """Ask to move to a night, ``later`` within it."""
    start = NIGHT + timedelta(days=day) + timedelta(**later)
    return commands.RescheduleBooking(start_time=start, end_time=start + HOURS)
