"""The booking service's decisions on a real database, without Kafka: records in, settled outcomes out."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import ConsumerRecord
from booking.adapters.bookings import Key
from booking.application.decider import BookingDecider
from local_stack.databases import Database as FreshDatabase
from production_contracts import commands
from production_contracts.commands import Author, Command, CommandBody, Idempotency
from production_contracts.envelope import KafkaRecord, command_record
from production_contracts.records import Record
from production_contracts.roles import Role
from production_contracts.topics import BOOKING_COMMANDS
from servicekit.database import Database
from servicekit.replies import Settled
from servicekit.worker import CommandWorker
from sqlalchemy import text

NIGHT = datetime(2027, 5, 8, 20, tzinfo=UTC)
HOURS = timedelta(hours=3, minutes=30)


class KnownRoster:
    """A roster that is never behind."""

    async def await_artists(self, artists: Sequence[Key]) -> frozenset[Key]:
        """Know everything."""
        del artists
        return frozenset()


@dataclass
class Desk:
    """Takes the worker's replies and dead letters."""

    settled: list[Settled] = field(default_factory=list)
    dead: list[tuple[Any, str]] = field(default_factory=list)
    woken: int = 0

    async def send(self, settled: Sequence[Settled]) -> None:
        """Keep replies."""
        self.settled.extend(settled)

    async def put(self, record: Any, reason: str) -> None:
        """Keep a dead letter."""
        self.dead.append((record, reason))

    def wake(self) -> None:
        """Count commits."""
        self.woken += 1


def consumed(record: KafkaRecord, offset: int = 0) -> Any:
    """Make of a record to send the one that a consumer receives."""
    return ConsumerRecord(
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


@dataclass
class Bench:
    """A worker on a database of its own, and what it has answered."""

    database: Database
    fresh: FreshDatabase
    worker: CommandWorker
    desk: Desk

    async def handle(self, *asked: Command) -> list[tuple[int, dict[str, Any]]]:
        """Hand commands over as one batch; gives their outcomes in order."""
        self.desk.settled.clear()
        await self.worker.handle([consumed(command_record(c, BOOKING_COMMANDS.name, c.body.expires_at)) for c in asked])
        return [(one.status, one.body) for one in self.desk.settled]

    async def add_artist(self, tenant: UUID, artist: UUID | None = None, status: str = "active") -> UUID:
        """Put an artist into the roster."""
        artist = artist or uuid4()
        async with self.database.transaction([tenant]) as connection:
            await connection.execute(
                text("insert into artists values (:tenant, :id, :status, null, 1)"),
                {"tenant": tenant, "id": artist, "status": status},
            )
        return artist

    async def rows(self, tenants: Sequence[UUID], query: str, **values: Any) -> list[Any]:
        """Read rows in a transaction opened to tenants."""
        async with self.database.transaction(tenants) as connection:
            return list((await connection.execute(text(query), values)).all())


@pytest.fixture
async def bench(fresh_database: Callable[..., FreshDatabase]) -> AsyncIterator[Bench]:
    """A worker on a new database."""
    with fresh_database("booking") as fresh:
        database = Database(fresh.url, pool_size=4)
        desk = Desk()
        worker = CommandWorker(database, BookingDecider(KnownRoster()), desk, desk, desk)  # type: ignore[arg-type]
        yield Bench(database, fresh, worker, desk)
        await database.stop()


def ask(  # noqa: PLR0913 - a command has many parts
    tenant: UUID,
    data: Record,
    booking: UUID | None = None,
    *,
    role: Role = Role.MEMBER,
    key: str | None = None,
    fingerprint: str = "f",
    versions: list[int] | None = None,
    sub: str = "user_ana",
    expires_in: timedelta = timedelta(minutes=1),
) -> Command:
    """Make a command."""
    return Command(
        id=uuid4(),
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


def night(artist: UUID, day: int = 0, status: str = "pencil", **changes: Any) -> commands.CreateBooking:
    """Ask for an artist's night, ``day`` nights after the first."""
    start = NIGHT + timedelta(days=day)
    given = {"artist_id": artist, "start_time": start, "end_time": start + HOURS, "status": status, "title": "A night"}
    return commands.CreateBooking.model_validate(given | changes)
