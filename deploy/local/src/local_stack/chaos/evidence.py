"""What is left of a run: the databases and the topics, read whole as nobody's policy binds, into plain frozen data."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import DictRow, dict_row

from local_stack.clients.topic import Topic
from local_stack.engines import Addresses
from local_stack.system import SystemAddresses
from production_contracts.artists import Artist, Tenant
from production_contracts.bookings import SealedBooking
from production_contracts.events import STREAMS
from production_contracts.members import InvitationEventData, MemberEventData, invitation_id, member_id
from production_contracts.times import format_timestamp
from production_contracts.topics import COMMANDS_OF, DEAD_LETTER_TOPICS, EVENTS_OF
from servicekit.audit.store import entry_of

Stream = str
"""``booking`` or ``tenancy``: the stream, the service that owns it, and its database."""

Place = tuple[Stream, str]
"""A stream of a tenant, by the tenant's id as text: positions count in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """An event in the store."""

    stream: Stream
    tenant_id: str
    position: int
    id: str
    type: str
    aggregate_id: str
    version: int
    occurred_at: str
    actor: str
    command_id: str
    data: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A record on an events topic, repeats included; in the order of its partition."""

    partition: int
    offset: int
    position: int
    event: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A row of the command log; ``key`` only where the outcome is remembered for it."""

    stream: Stream
    tenant_id: str
    command_id: str
    actor: str
    key: str | None
    status: int
    body: dict[str, Any]
    position: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A record on a commands topic: what was accepted for delivery."""

    stream: Stream
    tenant_id: str
    command_id: str
    type: str
    sub: str
    key: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """How far a stream is, and how far it says that it was published."""

    position: int
    published: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """A record that somebody put aside."""

    topic: str
    tenant_id: str
    reason: str
    command_id: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Everything that is left of some tenants; all maps have an entry only where there is something."""

    heads: Mapping[Place, Head]
    events: Mapping[Place, Sequence[Event]]
    """In order of position."""
    published: Mapping[Place, Sequence[Published]]
    rows: Mapping[Place, Mapping[str, dict[str, Any]]]
    """The projection by aggregate id, each row as the JSON that events tell."""
    roster: Mapping[str, Mapping[str, tuple[str, str | None, int]]]
    """Booking's own, by tenant and artist: status, time zone and version."""
    outcomes: Sequence[Outcome]
    trails: Mapping[Place, Sequence[dict[str, Any]]]
    """The audit trails, in order of sequence, each entry as the JSON object of `audit.AuditEntry`."""
    commands: Sequence[Command]
    dead_letters: Sequence[DeadLetter]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stored:
    heads: dict[Place, Head]
    events: dict[Place, list[Event]]
    rows: dict[Place, dict[str, dict[str, Any]]]
    outcomes: list[Outcome]
    trails: dict[Place, list[dict[str, Any]]]
    roster: dict[str, dict[str, tuple[str, str | None, int]]]


async def collect(at: SystemAddresses, tenants: Collection[UUID]) -> Evidence:
    """Read what is left of these tenants, each database in one snapshot, the topics up to their present ends.

    Raises:
        psycopg.Error: PostgreSQL does not answer.
        TimeoutError: Kafka does not.
    """
    stored = [await asyncio.to_thread(_database, at.engines, stream, list(tenants)) for stream in STREAMS]
    names = [topic.name for topic in (*EVENTS_OF.values(), *COMMANDS_OF.values(), *DEAD_LETTER_TOPICS)]
    wanted = {str(tenant) for tenant in tenants}
    found = await asyncio.gather(*(_records(at, name, wanted) for name in names))
    records = dict(zip(names, found, strict=True))
    published: dict[Place, list[Published]] = defaultdict(list)
    for stream, topic in EVENTS_OF.items():
        for record in records[topic.name]:
            published[stream, _key(record)].append(_published(record))
    commands = [_command(stream, one) for stream, topic in COMMANDS_OF.items() for one in records[topic.name]]
    dead = [_dead_letter(one) for topic in DEAD_LETTER_TOPICS for one in records[topic.name]]
    booking, tenancy = stored
    return Evidence(
        heads=booking.heads | tenancy.heads,
        events=booking.events | tenancy.events,
        published=published,
        rows=booking.rows | tenancy.rows,
        roster=booking.roster,
        outcomes=booking.outcomes + tenancy.outcomes,
        trails=booking.trails | tenancy.trails,
        commands=commands,
        dead_letters=dead,
    )


async def _records(at: SystemAddresses, topic: str, tenants: set[str]) -> list[Any]:
    async with Topic(at.engines.kafka_bootstrap, topic) as reader:
        return [record for record in await reader.raw() if _key(record) in tenants]


def _key(record: Any) -> str:  # noqa: ANN401 - aiokafka ships no types, here and below
    return (record.key or b"").decode(errors="replace")


def _headers(record: Any) -> dict[str, str]:  # noqa: ANN401
    return {name: (value or b"").decode(errors="replace") for name, value in record.headers}


def _published(record: Any) -> Published:  # noqa: ANN401
    position = int(_headers(record)["ce_position"])
    event = json.loads(record.value)
    return Published(partition=record.partition, offset=record.offset, position=position, event=event)


def _command(stream: Stream, record: Any) -> Command:  # noqa: ANN401
    headers, body = _headers(record), json.loads(record.value)
    return Command(
        stream=stream,
        tenant_id=_key(record),
        command_id=headers["ce_id"],
        type=headers["ce_type"],
        sub=body["author"]["sub"],
        key=(body.get("idempotency") or {}).get("key"),
    )


def _dead_letter(record: Any) -> DeadLetter:  # noqa: ANN401
    headers = _headers(record)
    return DeadLetter(
        topic=record.topic,
        tenant_id=_key(record),
        reason=headers.get("dlq_reason", "no reason is given"),
        command_id=headers.get("ce_id"),
    )


_EVENTS: Final = """
    select id, aggregate_id, event_type, event_data, version, tenant_id, created_at, position, actor, command_id
    from events where tenant_id = any (%s) order by tenant_id, position
"""
_OUTCOMES: Final = """
    select tenant_id, command_id, actor, idempotency_key, status, body, position
    from command_log where tenant_id = any (%s) order by tenant_id, position
"""
_TRAILS: Final = "select * from audit where tenant_id = any (%s) order by tenant_id, sequence"
_HEADS: Final = "select tenant_id, position, published from streams where tenant_id = any (%s)"
_BOOKINGS: Final = "select * from bookings where tenant_id = any (%s)"
_ROSTER: Final = "select tenant_id, id, status, time_zone, version from artists where tenant_id = any (%s)"
_TENANTS: Final = "select *, tenant_id as id from tenants where tenant_id = any (%s)"
_ARTISTS: Final = "select * from artists where tenant_id = any (%s)"
_MEMBERS: Final = "select * from members where tenant_id = any (%s)"
_INVITATIONS: Final = "select * from invitations where tenant_id = any (%s)"


def _database(engines: Addresses, stream: Stream, tenants: list[UUID]) -> _Stored:
    with psycopg.connect(engines.postgres_dsn(stream), row_factory=dict_row) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        events: dict[Place, list[Event]] = defaultdict(list)
        for row in connection.execute(_EVENTS, (tenants,)):
            events[stream, str(row["tenant_id"])].append(_event(stream, row))
        heads = {
            (stream, str(row["tenant_id"])): Head(position=row["position"], published=row["published"])
            for row in connection.execute(_HEADS, (tenants,))
        }
        outcomes = [_outcome(stream, row) for row in connection.execute(_OUTCOMES, (tenants,))]
        trails: dict[Place, list[dict[str, Any]]] = defaultdict(list)
        for row in connection.execute(_TRAILS, (tenants,)):
            trails[stream, str(row["tenant_id"])].append(entry_of(SimpleNamespace(**row), stream))
        roster: dict[str, dict[str, tuple[str, str | None, int]]] = defaultdict(dict)
        if stream == "booking":
            for row in connection.execute(_ROSTER, (tenants,)):
                told = (row["status"], row["time_zone"], row["version"])
                roster[str(row["tenant_id"])][str(row["id"])] = told
        rows = _booking_rows(connection, tenants) if stream == "booking" else _tenancy_rows(connection, tenants)
        return _Stored(heads=heads, events=events, rows=rows, outcomes=outcomes, trails=trails, roster=roster)


def _event(stream: Stream, row: DictRow) -> Event:
    return Event(
        stream=stream,
        tenant_id=str(row["tenant_id"]),
        position=row["position"],
        id=str(row["id"]),
        type=row["event_type"],
        aggregate_id=str(row["aggregate_id"]),
        version=row["version"],
        occurred_at=format_timestamp(row["created_at"]),
        actor=row["actor"],
        command_id=str(row["command_id"]),
        data=row["event_data"],
    )


def _outcome(stream: Stream, row: DictRow) -> Outcome:
    return Outcome(
        stream=stream,
        tenant_id=str(row["tenant_id"]),
        command_id=str(row["command_id"]),
        actor=row["actor"],
        key=row["idempotency_key"],
        status=row["status"],
        body=row["body"],
        position=row["position"],
    )


def _booking_rows(
    connection: psycopg.Connection[DictRow], tenants: list[UUID]
) -> dict[Place, dict[str, dict[str, Any]]]:
    rows: dict[Place, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in connection.execute(_BOOKINGS, (tenants,)):
        rows["booking", str(row["tenant_id"])][str(row["id"])] = _json(SealedBooking, row)
    return rows


def _tenancy_rows(
    connection: psycopg.Connection[DictRow], tenants: list[UUID]
) -> dict[Place, dict[str, dict[str, Any]]]:
    rows: dict[Place, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in connection.execute(_TENANTS, (tenants,)):
        rows["tenancy", str(row["tenant_id"])][str(row["tenant_id"])] = _json(Tenant, row)
    for row in connection.execute(_ARTISTS, (tenants,)):
        rows["tenancy", str(row["tenant_id"])][str(row["id"])] = _json(Artist, row)
    for row in connection.execute(_MEMBERS, (tenants,)):
        aggregate = member_id(row["tenant_id"], row["id"])
        rows["tenancy", str(row["tenant_id"])][str(aggregate)] = _json(MemberEventData, row)
    for row in connection.execute(_INVITATIONS, (tenants,)):
        aggregate = invitation_id(row["tenant_id"], row["id"])
        rows["tenancy", str(row["tenant_id"])][str(aggregate)] = _json(InvitationEventData, row)
    return rows


def _json(model: Any, row: DictRow) -> dict[str, Any]:  # noqa: ANN401 - a record of the contracts
    """Write a row as events tell it; times are truncated to what the contract tells of them."""
    told = {name: row[name] for name in model.model_fields if name in row}
    stated = {name: format_timestamp(value) if hasattr(value, "tzinfo") else value for name, value in told.items()}
    record: dict[str, Any] = model.model_validate(stated).model_dump(mode="json")
    return record
