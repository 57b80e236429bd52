"""The limit of a drain: the same rows written by a bare asyncpg connection, set-based, in transactions of 500 commands.

Same tables, indexes and policies, same role, same durability. What becomes of each command is known beforehand: there
is no Kafka, nothing is read, decided, answered or published, and even the arguments are made before the clock starts,
the chain of the audit trail among them.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
from uuid_utils.compat import uuid7

from bench.stage import open_to
from bench.workload import ACTOR, Decided, Workload
from booking.domain.booking import Booking
from production_contracts.problems import TYPE_PREFIX
from production_contracts.times import format_timestamp
from servicekit.audit import chain
from servicekit.audit.chain import Asked, Entered, Link
from servicekit.audit.chain import Decided as Decision

BATCH: Final = 500

_LOCK: Final = "select position from streams where tenant_id = any ($1::uuid[]) order by tenant_id for update"
_EVENTS: Final = """
    insert into events
        (id, aggregate_id, event_type, event_data, version, tenant_id, created_at, position, actor, command_id)
    select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::jsonb[], $5::integer[], $6::uuid[],
        $7::timestamptz[], $8::bigint[], $9::text[], $10::uuid[])
"""
_OUTCOMES: Final = """
    insert into command_log (tenant_id, command_id, actor, status, body, position, decided_at, audited)
    select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::smallint[], $5::json[], $6::bigint[],
        $7::timestamptz[], $8::bigint[])
"""
_AUDIT: Final = """
    insert into audit (tenant_id, sequence, at, actor, role, operation, aggregate_id, command_id, data, status, outcome,
        position, events_digest, digest)
    select * from unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::uuid[],
        $8::uuid[], $9::json[], $10::smallint[], $11::text[], $12::bigint[], $13::bytea[], $14::bytea[])
"""
_DELETE: Final = """
    delete from bookings where ctid = any (array(
        select b.ctid from unnest($1::uuid[], $2::uuid[]) as q (tenant_id, id)
        cross join lateral (
            select ctid from bookings where bookings.tenant_id = q.tenant_id and bookings.id = q.id offset 0
        ) b
    ))
"""
_INSERT: Final = """
    insert into bookings (tenant_id, id, artist_id, start_time, end_time, status, title, venue, version, position,
        created_by, created_at, updated_at)
    select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[], $6::text[],
        $7::text[], $8::text[], $9::integer[], $10::bigint[], $11::text[], $12::timestamptz[], $13::timestamptz[])
"""
_ADVANCE: Final = """
    update streams s
    set position = n.position, last_at = n.last_at, audited = n.audited, audited_digest = n.digest
    from unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::bigint[], $5::bytea[])
        as n (tenant_id, position, last_at, audited, digest)
    where s.tenant_id = n.tenant_id
"""

Statement = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class _Batch:
    tenants: list[UUID]
    statements: list[Statement]


async def drain(dsn: str, workload: Workload) -> float:
    """Write all rows of a workload; gives the seconds it took."""
    stored: dict[UUID, Booking] = {}
    trails = {tenant: chain.begin("booking", tenant, 0) for tenant in workload.artists}
    batches = [_prepare(batch, stored, trails) for batch in workload.batches(BATCH)]
    connection = await asyncpg.connect(dsn, server_settings={"jit": "off"})
    try:
        await connection.executemany("insert into streams (tenant_id) values ($1)", [(t,) for t in workload.artists])
        began = time.perf_counter()
        for batch in batches:
            async with connection.transaction():
                await open_to(connection, batch.tenants)
                for statement, arguments in batch.statements:
                    await connection.execute(statement, *arguments)
        return time.perf_counter() - began
    finally:
        await connection.close()


def _prepare(batch: Sequence[Decided], stored: dict[UUID, Booking], trails: dict[UUID, Link]) -> _Batch:
    """Make the arguments of a batch: its events, outcomes and entries of the audit trail, and its net effect on rows.

    What is ``stored`` already and where ``trails`` end moves on with each batch.
    """
    tenants = sorted({one.command.tenant_id for one in batch})
    after = {one.booking.id: (one.command.tenant_id, one.booking) for one in batch if one.booking is not None}
    gone = [(tenant, key) for key, (tenant, _) in after.items() if key in stored]
    stored |= {key: booking for key, (_, booking) in after.items()}
    heads = {one.command.tenant_id: one.position for one in batch}
    events = {one.command.id: _event(one) for one in batch if one.booking is not None}
    entered = [_enter(one, events.get(one.command.id), trails) for one in batch]
    now = batch[0].at
    statements = [
        (_LOCK, (tenants,)),
        (_DELETE, _columns(gone, 2)),
        (_INSERT, _columns([_booking(tenant, booking) for tenant, booking in after.values()], 13)),
        (_EVENTS, _columns(list(events.values()), 10)),
        (_OUTCOMES, _columns([_outcome(one, entry) for one, entry in zip(batch, entered, strict=True)], 8)),
        (_AUDIT, _columns([_entry(entry) for entry in entered], 14)),
        (_ADVANCE, _columns([_end(tenant, heads[tenant], now, trails[tenant]) for tenant in tenants], 5)),
    ]
    return _Batch(tenants=tenants, statements=statements)


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> tuple[list[Any], ...]:
    return tuple([row[column] for row in rows] for column in range(width))


def _booking(tenant: UUID, booking: Booking) -> tuple[Any, ...]:
    return (
        tenant,
        booking.id,
        booking.artist_id,
        booking.slot.start,
        booking.slot.end,
        booking.status.value,
        booking.title,
        booking.venue,
        booking.version,
        booking.position,
        booking.created_by,
        booking.created_at,
        booking.updated_at,
    )


def _event(one: Decided) -> tuple[Any, ...]:
    (event,) = one.decision.events
    body = orjson.dumps(event.data).decode()
    assert one.booking is not None  # noqa: S101 - the caller's choice
    return (
        uuid7(),
        event.aggregate_id,
        event.type,
        body,
        event.version,
        one.command.tenant_id,
        one.at,
        one.position,
        ACTOR,
        one.command.id,
    )


def _enter(one: Decided, event: tuple[Any, ...] | None, trails: dict[UUID, Link]) -> Entered:
    """Chain an entry onto its tenant's trail, as the service does."""
    command = one.command
    asked = Asked(
        role=command.body.author.role.value,
        origin=None,
        operation=command.type.name,
        aggregate_id=command.aggregate_id,
        data=command.body.data.model_dump(mode="json", exclude_unset=True),
    )
    decided = Decision(
        tenant_id=command.tenant_id,
        command_id=command.id,
        at=one.at,
        actor=ACTOR,
        status=one.decision.status,
        outcome="accepted" if one.decision.accepted else str(one.decision.body["type"]).removeprefix(TYPE_PREFIX),
        position=one.position,
        events=() if event is None else (_told(one, event),),
    )
    entered, trails[command.tenant_id] = chain.enter("booking", trails[command.tenant_id], asked, decided)
    return entered


def _told(one: Decided, event: tuple[Any, ...]) -> dict[str, Any]:
    """Write an event as it is read once it is stored."""
    (made,) = one.decision.events
    return {
        "stream": "booking",
        "position": one.position,
        "id": str(event[0]),
        "type": made.type,
        "aggregate_id": str(made.aggregate_id),
        "version": made.version,
        "occurred_at": format_timestamp(one.at),
        "actor": ACTOR,
        "data": made.data,
    }


def _outcome(one: Decided, entry: Entered) -> tuple[Any, ...]:
    body = orjson.dumps(one.decision.body).decode()
    command = one.command
    return command.tenant_id, command.id, ACTOR, one.decision.status, body, one.position, one.at, entry.sequence


def _entry(entry: Entered) -> tuple[Any, ...]:
    asked, decided = entry.asked, entry.decided
    return (
        decided.tenant_id,
        entry.sequence,
        decided.at,
        decided.actor,
        asked.role,
        asked.operation,
        asked.aggregate_id,
        decided.command_id,
        orjson.dumps(asked.data).decode(),
        decided.status,
        decided.outcome,
        decided.position,
        None if entry.events_digest is None else bytes.fromhex(entry.events_digest),
        entry.digest,
    )


def _end(tenant: UUID, position: int, last_at: datetime, trail: Link) -> tuple[Any, ...]:
    return tenant, position, last_at, trail.sequence, trail.digest
