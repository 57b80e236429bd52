"""The limit of a drain: the same rows written by a bare asyncpg connection, set-based, in transactions of 500 commands.

Same tables, indexes and policies, same role, same durability. What becomes of each command is known beforehand: there
is no Kafka, nothing is read, decided, answered or published, and even the arguments are made before the clock starts.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
from uuid_utils.compat import uuid7

from bench.stage import open_to
from bench.workload import ACTOR, Decided, Workload
from booking.domain.booking import Booking

BATCH: Final = 500

_LOCK: Final = "select position from streams where tenant_id = any ($1::uuid[]) order by tenant_id for update"
_EVENTS: Final = """
    insert into events
        (id, aggregate_id, event_type, event_data, version, tenant_id, created_at, position, actor, command_id)
    select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::jsonb[], $5::integer[], $6::uuid[],
        $7::timestamptz[], $8::bigint[], $9::text[], $10::uuid[])
"""
_OUTCOMES: Final = """
    insert into command_log (tenant_id, command_id, actor, status, body, position, decided_at)
    select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::smallint[], $5::json[], $6::bigint[],
        $7::timestamptz[])
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
    update streams s set position = n.position
    from unnest($1::uuid[], $2::bigint[]) as n (tenant_id, position) where s.tenant_id = n.tenant_id
"""

Statement = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class _Batch:
    tenants: list[UUID]
    statements: list[Statement]


async def drain(dsn: str, workload: Workload) -> float:
    """Write all rows of a workload; gives the seconds it took."""
    stored: dict[UUID, Booking] = {}
    batches = [_prepare(batch, stored) for batch in workload.batches(BATCH)]
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


def _prepare(batch: Sequence[Decided], stored: dict[UUID, Booking]) -> _Batch:
    """Make the arguments of a batch: its events and outcomes, and its net effect on the rows that are ``stored``."""
    tenants = sorted({one.command.tenant_id for one in batch})
    after = {one.booking.id: (one.command.tenant_id, one.booking) for one in batch if one.booking is not None}
    gone = [(tenant, key) for key, (tenant, _) in after.items() if key in stored]
    stored |= {key: booking for key, (_, booking) in after.items()}
    heads = {one.command.tenant_id: one.position for one in batch}
    statements = [
        (_LOCK, (tenants,)),
        (_DELETE, _columns(gone, 2)),
        (_INSERT, _columns([_booking(tenant, booking) for tenant, booking in after.values()], 13)),
        (_EVENTS, _columns([_event(one) for one in batch if one.booking is not None], 10)),
        (_ADVANCE, (tenants, [heads[tenant] for tenant in tenants])),
        (_OUTCOMES, _columns([_outcome(one) for one in batch], 7)),
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
        one.booking.updated_at,
        one.position,
        ACTOR,
        one.command.id,
    )


def _outcome(one: Decided) -> tuple[Any, ...]:
    body = orjson.dumps(one.decision.body).decode()
    decided_at = one.command.body.expires_at
    return (one.command.tenant_id, one.command.id, ACTOR, one.decision.status, body, one.position, decided_at)
