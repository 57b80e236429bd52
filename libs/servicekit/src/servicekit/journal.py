"""The journal: streams, event store and command log of a service that decides. All SQL on them stands here.

The audit trail is written with them, an entry an outcome; its own SQL stands in `audit.store`.

Statements on many rows take arrays, so that a batch costs the same number of statements whatever it holds. Look-ups by
such arrays are `lateral (… offset 0)`: without that fence the planner is free to read every row of the tenants in hand
and hash them (165 µs a command instead of 14 over 200,000 outcomes of 200 tenants, and more with each day).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from production_contracts.events import Stream
from production_contracts.outcomes import is_accepted
from production_contracts.problems import TYPE_PREFIX
from production_contracts.times import format_timestamp
from servicekit.audit import store
from servicekit.audit.chain import Asked, Decided, Entered, Link, begin, enter
from servicekit.looks import Look
from servicekit.statements import change, fetch

_LOCK_IF_ALL_ARE_THERE = text("""
    with present as materialized (
        select count(*) as number from streams where tenant_id = any (cast(:tenants as uuid[]))
    )
    select tenant_id, position, last_at, deleted, audited, audited_digest, audited_from from streams
    where tenant_id = any (cast(:tenants as uuid[]))
        and (select number from present) = cardinality(cast(:tenants as uuid[]))
    order by tenant_id for update
""")
_ADD_STREAMS = text("""
    insert into streams (tenant_id) select t from unnest(cast(:tenants as uuid[])) t order by t
    on conflict do nothing
""")
_KNOWN = text("""
    select l.tenant_id, l.command_id, l.status, l.body, l.position
    from unnest(cast(:tenants as uuid[]), cast(:commands as uuid[])) as q (tenant_id, command_id)
    cross join lateral (
        select * from command_log c where c.tenant_id = q.tenant_id and c.command_id = q.command_id offset 0
    ) l
""")
_KNOWN_KEYS = text("""
    select l.tenant_id, l.actor, l.idempotency_key, l.fingerprint, l.status, l.body, l.position
    from unnest(cast(:tenants as uuid[]), cast(:actors as text[]), cast(:keys as text[])) as q (tenant_id, actor, key)
    cross join lateral (
        select * from command_log c
        where c.tenant_id = q.tenant_id and c.actor = q.actor and c.idempotency_key = q.key offset 0
    ) l
""")
_APPEND = text("""
    with written as (
        insert into events
            (id, aggregate_id, event_type, event_data, version, tenant_id, created_at, position, actor, command_id,
             traceparent)
        select id, aggregate_id, event_type, event_data::jsonb, version, tenant_id, created_at, position, actor,
            command_id, traceparent
        from unnest(
            cast(:event_ids as uuid[]), cast(:event_aggregates as uuid[]), cast(:event_types as text[]),
            cast(:event_data as text[]), cast(:event_versions as integer[]), cast(:event_tenants as uuid[]),
            cast(:event_times as timestamptz[]), cast(:event_positions as bigint[]), cast(:event_actors as text[]),
            cast(:event_commands as uuid[]), cast(:event_traceparents as text[])
        ) as n (id, aggregate_id, event_type, event_data, version, tenant_id, created_at, position, actor, command_id,
                traceparent)
    ), logged as (
        insert into command_log
            (tenant_id, command_id, actor, idempotency_key, fingerprint, status, body, position, decided_at, audited)
        select tenant_id, command_id, actor, idempotency_key, fingerprint, status, body::json, position, decided_at,
            audited
        from unnest(
            cast(:tenants as uuid[]), cast(:commands as uuid[]), cast(:actors as text[]), cast(:keys as text[]),
            cast(:fingerprints as text[]), cast(:statuses as smallint[]), cast(:bodies as text[]),
            cast(:positions as bigint[]), cast(:times as timestamptz[]), cast(:audited as bigint[])
        ) as n (tenant_id, command_id, actor, idempotency_key, fingerprint, status, body, position, decided_at, audited)
    )
    update streams s
    set position = n.position, last_at = n.last_at, audited = n.audited, audited_digest = n.digest
    from unnest(
        cast(:moved as uuid[]), cast(:heads as bigint[]), cast(:last_times as timestamptz[]),
        cast(:trails as bigint[]), cast(:digests as bytea[])
    ) as n (tenant_id, position, last_at, audited, digest)
    where s.tenant_id = n.tenant_id
""")
"""Events, outcomes and heads in one statement: it is one round trip, and nothing of it looks at the rest."""
_EVENT_COLUMNS = "id, aggregate_id, event_type, event_data, version, created_at, position, actor"
_AFTER = f"""
    select {_EVENT_COLUMNS} from events
    where tenant_id = :tenant and position > :after order by position limit :limit
"""  # noqa: S608 - the column list above
_EVENTS_AFTER = text(_AFTER)
EVENTS_AFTER = Look(_AFTER)
"""A tenant's events past ``after``, in order, up to ``limit``; each row is for `event_json`."""
EVENTS_OF = Look(f"""
    select {_EVENT_COLUMNS} from events
    where tenant_id = :tenant and aggregate_id = :aggregate and position > :after order by version limit :limit
""")  # noqa: S608 - the column list above
"""The events of one aggregate past ``after``, as `EVENTS_AFTER`."""
_EVENTS_BETWEEN = text(f"""
    select {_EVENT_COLUMNS}, command_id from events
    where tenant_id = :tenant and position > :after and position <= :until
""")  # noqa: S608 - the column list above
_HEAD = text("select position, last_at, deleted from streams where tenant_id = :tenant")
_POSITION_AT = text("""
    select position from events where tenant_id = :tenant and created_at <= :moment
    order by created_at desc, position desc limit 1
""")
_MARK_DELETED = text("""
    with locked as (
        select tenant_id from streams where tenant_id = any (cast(:tenants as uuid[])) order by tenant_id for update
    )
    update streams s set deleted = true from locked l where s.tenant_id = l.tenant_id
""")
EPOCH = Look("select name::text as epoch from epoch")
"""The name of this history."""
_OUTCOME = text("""
    select l.status, l.body, l.position, l.position <= s.published as published
    from command_log l join streams s on s.tenant_id = l.tenant_id
    where l.tenant_id = :tenant and l.command_id = :command
""")
_UNPUBLISHED = text("""
    select tenant_id, published, position from streams where position > published
    order by tenant_id <= cast(:after as uuid), tenant_id limit :limit
""")
_UNPUBLISHED_EVENTS = text(f"""
    select q.tenant_id, e.*
    from unnest(cast(:tenants as uuid[]), cast(:published as bigint[])) as q (tenant_id, published)
    cross join lateral (
        select {_EVENT_COLUMNS}, traceparent from events
        where events.tenant_id = q.tenant_id and position > q.published order by position limit :limit
    ) e order by q.tenant_id, e.position
""")  # noqa: S608 - the column list above
_PUBLISH = text("""
    with locked as (
        select s.tenant_id, n.published
        from streams s
        join unnest(cast(:tenants as uuid[]), cast(:published as bigint[])) as n (tenant_id, published)
            on n.tenant_id = s.tenant_id
        order by s.tenant_id for update of s
    )
    update streams s set published = greatest(s.published, l.published) from locked l where s.tenant_id = l.tenant_id
""")
_PUBLISHED = text("select tenant_id, published from streams where tenant_id = any (cast(:tenants as uuid[]))")
_BACKLOG = text("select coalesce(sum(position - published), 0) from streams where position > published")
_OLDEST_UNPUBLISHED = text("""
    select extract(epoch from now() - min(e.created_at))::float as age
    from unnest(cast(:tenants as uuid[]), cast(:published as bigint[])) as q (tenant_id, published)
    cross join lateral (
        select created_at from events where events.tenant_id = q.tenant_id and position = q.published + 1 offset 0
    ) e
""")
_TENANTS = text("select tenant_id from streams where tenant_id > cast(:after as uuid) order by tenant_id limit 1000")
_LEASE = text("""
    insert into leases (name, holder, until) values (:name, :holder, now() + make_interval(secs => :seconds))
    on conflict (name) do update set holder = excluded.holder, until = excluded.until
    where leases.holder = excluded.holder or leases.until < now()
    returning holder
""")
_RELEASE = text("update leases set until = now() where name = :name and holder = :holder")
_RENEW_EPOCH = text("update epoch set name = gen_random_uuid() returning name::text")
_PRUNE = text("""
    delete from command_log where tenant_id = :tenant and decided_at < now() - make_interval(days => :days)
""")


_FIRST = UUID(int=0)


@dataclass(kw_only=True, slots=True)
class Standing:
    """How a tenant's stream stands: the position and time of its last event (None: none, or not kept yet).

    ``deleted``: the tenant is, for good, as far as this service has heard.
    """

    position: int = 0
    last_at: datetime | None = None
    deleted: bool = False


@dataclass(kw_only=True, slots=True)
class Head(Standing):
    """Where a tenant's stream and its audit trail stand, under the stream's lock.

    Who decides moves ``position`` on with each event; `append` moves time and trail on, and writes all three.
    """

    trail: Link


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredEvent:
    """An event about to be stored; ``data`` is ready for JSON."""

    id: UUID
    tenant_id: UUID
    aggregate_id: UUID
    type: str
    version: int
    position: int
    occurred_at: datetime
    actor: str
    command_id: UUID
    data: dict[str, Any]
    traceparent: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedOutcome:
    """A command's outcome in the log; ``key`` and ``fingerprint`` only where a repeated key is to find it.

    ``asked`` is what the audit trail says of the command besides.
    """

    tenant_id: UUID
    command_id: UUID
    actor: str
    asked: Asked
    key: str | None
    fingerprint: str | None
    status: int
    body: dict[str, Any]
    position: int
    decided_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownOutcome:
    """An outcome found in the log."""

    status: int
    body: dict[str, Any]
    position: int
    fingerprint: str | None = None


async def lock_streams(connection: AsyncConnection, stream: Stream, tenants: Iterable[UUID]) -> dict[UUID, Head]:
    """Lock the tenants' streams, in order of tenant id, and tell their heads: the only lock, before any look-up.

    Streams that are new are added before any is locked: who waited for another's new stream with locks in hand could
    stand in its way.
    """
    wanted = sorted(set(tenants))
    rows = await fetch(connection, _LOCK_IF_ALL_ARE_THERE, {"tenants": wanted})
    if len(rows) < len(wanted):
        await change(connection, _ADD_STREAMS, {"tenants": wanted})
        rows = await fetch(connection, _LOCK_IF_ALL_ARE_THERE, {"tenants": wanted})
    return {row.tenant_id: _head(row, stream) for row in rows}


def _head(row: Any, stream: Stream) -> Head:  # noqa: ANN401 - a row of the lock
    if row.audited_digest is None:
        trail = begin(stream, row.tenant_id, row.audited_from)
    else:
        trail = Link(sequence=row.audited, digest=row.audited_digest, position=row.position)
    return Head(position=row.position, last_at=row.last_at, deleted=row.deleted, trail=trail)


async def known_commands(
    connection: AsyncConnection, commands: Sequence[tuple[UUID, UUID]]
) -> dict[tuple[UUID, UUID], KnownOutcome]:
    """Find the outcomes of commands, given and returned by (tenant, command)."""
    rows = await fetch(
        connection,
        _KNOWN,
        {"tenants": [tenant for tenant, _ in commands], "commands": [command for _, command in commands]},
    )
    return {
        (row.tenant_id, row.command_id): KnownOutcome(status=row.status, body=row.body, position=row.position)
        for row in rows
    }


async def known_keys(
    connection: AsyncConnection, keys: Sequence[tuple[UUID, str, str]]
) -> dict[tuple[UUID, str, str], KnownOutcome]:
    """Find the outcomes remembered for idempotency keys, given and returned by (tenant, actor, key)."""
    if not keys:
        return {}
    rows = await fetch(
        connection,
        _KNOWN_KEYS,
        {
            "tenants": [tenant for tenant, _, _ in keys],
            "actors": [actor for _, actor, _ in keys],
            "keys": [key for _, _, key in keys],
        },
    )
    return {
        (row.tenant_id, row.actor, row.idempotency_key): KnownOutcome(
            status=row.status, body=row.body, position=row.position, fingerprint=row.fingerprint
        )
        for row in rows
    }


async def append(
    connection: AsyncConnection,
    stream: Stream,
    events: Sequence[StoredEvent],
    outcomes: Sequence[LoggedOutcome],
    heads: dict[UUID, Head],
) -> None:
    """Write events, outcomes with an entry of the audit trail each, and the new heads.

    Each tenant's events come in order, none earlier than the one before: ``occurred_at`` never goes back along the
    positions, so that a moment cuts a stream in two. A duplicate of anything raises an IntegrityError.
    """
    entered = _enter(stream, events, outcomes, heads)
    for event in events:
        heads[event.tenant_id].last_at = event.occurred_at
    moved = sorted({event.tenant_id for event in events} | {outcome.tenant_id for outcome in outcomes})
    if not moved:
        return
    trails = [heads[tenant].trail for tenant in moved]
    await change(
        connection,
        _APPEND,
        {
            "event_ids": [event.id for event in events],
            "event_aggregates": [event.aggregate_id for event in events],
            "event_types": [event.type for event in events],
            "event_data": [orjson.dumps(event.data).decode() for event in events],
            "event_versions": [event.version for event in events],
            "event_tenants": [event.tenant_id for event in events],
            "event_times": [event.occurred_at for event in events],
            "event_positions": [event.position for event in events],
            "event_actors": [event.actor for event in events],
            "event_commands": [event.command_id for event in events],
            "event_traceparents": [event.traceparent for event in events],
            "tenants": [outcome.tenant_id for outcome in outcomes],
            "commands": [outcome.command_id for outcome in outcomes],
            "actors": [outcome.actor for outcome in outcomes],
            "keys": [outcome.key for outcome in outcomes],
            "fingerprints": [outcome.fingerprint for outcome in outcomes],
            "statuses": [outcome.status for outcome in outcomes],
            "bodies": [orjson.dumps(outcome.body).decode() for outcome in outcomes],
            "positions": [outcome.position for outcome in outcomes],
            "times": [outcome.decided_at for outcome in outcomes],
            "audited": [one.sequence for one in entered],
            "moved": moved,
            "heads": [heads[tenant].position for tenant in moved],
            "last_times": [heads[tenant].last_at for tenant in moved],
            "trails": [trail.sequence for trail in trails],
            "digests": [trail.digest if trail.sequence else None for trail in trails],
        },
    )
    if entered:
        await store.append(connection, entered)


def _enter(
    stream: Stream, events: Sequence[StoredEvent], outcomes: Sequence[LoggedOutcome], heads: dict[UUID, Head]
) -> list[Entered]:
    """Chain an entry for each outcome, in order, onto its tenant's trail."""
    made: dict[tuple[UUID, UUID], list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        made[event.tenant_id, event.command_id].append(_told(event, stream))
    entered = []
    for outcome in outcomes:
        accepted = is_accepted(outcome.status)
        decided = Decided(
            tenant_id=outcome.tenant_id,
            command_id=outcome.command_id,
            at=outcome.decided_at,
            actor=outcome.actor,
            status=outcome.status,
            outcome="accepted" if accepted else str(outcome.body["type"]).removeprefix(TYPE_PREFIX),
            position=outcome.position,
            events=made.get((outcome.tenant_id, outcome.command_id), ()),
        )
        one, heads[outcome.tenant_id].trail = enter(stream, heads[outcome.tenant_id].trail, outcome.asked, decided)
        entered.append(one)
    return entered


def _told(event: StoredEvent, stream: Stream) -> dict[str, Any]:
    """Write an event as `event_json` reads it once it is stored."""
    return {
        "stream": stream,
        "position": event.position,
        "id": str(event.id),
        "type": event.type,
        "aggregate_id": str(event.aggregate_id),
        "version": event.version,
        "occurred_at": format_timestamp(event.occurred_at),
        "actor": event.actor,
        "data": event.data,
    }


async def audited_events(
    connection: AsyncConnection, stream: Stream, tenant_id: UUID, *, after: int, until: int
) -> dict[int, tuple[UUID, dict[str, Any]]]:
    """Read a tenant's events of positions ``(after, until]``, by position: each with the command that made it."""
    asked = {"tenant": tenant_id, "after": after, "until": until}
    rows = await connection.execute(_EVENTS_BETWEEN, asked)
    return {row.position: (row.command_id, event_json(row, stream)) for row in rows}


def event_json(row: Any, stream: str) -> dict[str, Any]:  # noqa: ANN401 - a row of the columns above
    """Write a stored event as the JSON object of `events.Event`."""
    return {
        "stream": stream,
        "position": row.position,
        "id": str(row.id),
        "type": row.event_type,
        "aggregate_id": str(row.aggregate_id),
        "version": row.version,
        "occurred_at": format_timestamp(row.created_at),
        "actor": row.actor,
        "data": row.event_data,
    }


async def events_after(
    connection: AsyncConnection, stream: str, tenant_id: UUID, after: int, limit: int
) -> list[dict[str, Any]]:
    """Read a tenant's events past a position, in order, as JSON objects of `events.Event`."""
    rows = await connection.execute(_EVENTS_AFTER, {"tenant": tenant_id, "after": after, "limit": limit})
    return [event_json(row, stream) for row in rows]


async def head(connection: AsyncConnection, tenant_id: UUID) -> int:
    """Tell the head of a tenant's stream; 0 where nothing has happened yet."""
    return (await standing(connection, tenant_id)).position


async def standing(connection: AsyncConnection, tenant_id: UUID) -> Standing:
    """Tell how a tenant's stream stands."""
    row = (await connection.execute(_HEAD, {"tenant": tenant_id})).one_or_none()
    if row is None:
        return Standing()
    return Standing(position=row.position, last_at=row.last_at, deleted=row.deleted)


async def position_at(connection: AsyncConnection, tenant_id: UUID, moment: datetime) -> int:
    """Tell the position of the last event that had occurred by a moment; 0 where none had."""
    return (await connection.execute(_POSITION_AT, {"tenant": tenant_id, "moment": moment})).scalar() or 0


async def mark_deleted(connection: AsyncConnection, tenants: Iterable[UUID]) -> None:
    """Keep in mind, for good, that tenants are deleted; of some nothing else may be known here."""
    wanted = sorted(tenants)
    await connection.execute(_ADD_STREAMS, {"tenants": wanted})
    await connection.execute(_MARK_DELETED, {"tenants": wanted})


async def outcome(
    connection: AsyncConnection, tenant_id: UUID, command_id: UUID, *, published_only: bool
) -> KnownOutcome | None:
    """Find a command's outcome; with ``published_only`` only once the events up to it are on Kafka."""
    row = (await connection.execute(_OUTCOME, {"tenant": tenant_id, "command": command_id})).one_or_none()
    if row is None or (published_only and not row.published):
        return None
    return KnownOutcome(status=row.status, body=row.body, position=row.position)


@dataclass(frozen=True, kw_only=True, slots=True)
class Behind:
    """A tenant with events that are not marked as published: up to where they are, and its head."""

    tenant_id: UUID
    published: int
    position: int


async def unpublished(connection: AsyncConnection, limit: int, after: UUID = _FIRST) -> list[Behind]:
    """Name tenants with events that are not marked as published.

    They come in order of id, beginning after a tenant and going round, so that whoever goes on after the last one of
    before passes over nobody.
    """
    rows = await fetch(connection, _UNPUBLISHED, {"limit": limit, "after": after})
    return [Behind(tenant_id=row.tenant_id, published=row.published, position=row.position) for row in rows]


@dataclass(frozen=True, kw_only=True, slots=True)
class UnpublishedEvent:
    """An event on its way to Kafka, as the JSON object of `events.Event`, and the trace that caused it."""

    tenant_id: UUID
    event: dict[str, Any]
    traceparent: str | None


async def unpublished_events(
    connection: AsyncConnection, stream: str, tenants: Sequence[tuple[UUID, int]], limit: int
) -> list[UnpublishedEvent]:
    """Read up to ``limit`` events a tenant past how far it was published, in order of (tenant, position)."""
    rows = await fetch(
        connection,
        _UNPUBLISHED_EVENTS,
        {"tenants": [t for t, _ in tenants], "published": [p for _, p in tenants], "limit": limit},
    )
    return [
        UnpublishedEvent(tenant_id=row.tenant_id, event=event_json(row, stream), traceparent=row.traceparent)
        for row in rows
    ]


async def unpublished_age(connection: AsyncConnection, tenants: Sequence[tuple[UUID, int]]) -> float:
    """Tell for how many seconds the oldest event has waited of tenants that are published so far."""
    behind = {"tenants": [tenant for tenant, _ in tenants], "published": [position for _, position in tenants]}
    return (await connection.execute(_OLDEST_UNPUBLISHED, behind)).scalar() or 0.0


async def mark_published(connection: AsyncConnection, published: dict[UUID, int]) -> None:
    """Move how far tenants were published, never back."""
    await change(connection, _PUBLISH, {"tenants": list(published), "published": list(published.values())})


async def published_positions(connection: AsyncConnection, tenants: Collection[UUID]) -> dict[UUID, int]:
    """Tell how far tenants were published."""
    rows = await fetch(connection, _PUBLISHED, {"tenants": list(tenants)})
    return {row.tenant_id: row.published for row in rows}


async def backlog(connection: AsyncConnection) -> int:
    """Count the events that are not on Kafka yet."""
    return int((await connection.execute(_BACKLOG)).scalar_one())


async def tenants_after(connection: AsyncConnection, after: UUID) -> list[UUID]:
    """Name up to 1,000 tenants past one, in order of id: how jobs walk all of them, one at a time."""
    return [row.tenant_id for row in await connection.execute(_TENANTS, {"after": after})]


async def take_lease(connection: AsyncConnection, name: str, holder: str, seconds: float) -> bool:
    """Take or renew a lease; False while another holds it."""
    row = await connection.execute(_LEASE, {"name": name, "holder": holder, "seconds": seconds})
    return row.one_or_none() is not None


async def release_lease(connection: AsyncConnection, name: str, holder: str) -> None:
    """Give a lease back."""
    await connection.execute(_RELEASE, {"name": name, "holder": holder})


async def prune_log(connection: AsyncConnection, tenant_id: UUID, days: int) -> int:
    """Forget a tenant's outcomes that are older; returns how many."""
    return (await connection.execute(_PRUNE, {"tenant": tenant_id, "days": days})).rowcount


async def renew_epoch(connection: AsyncConnection) -> str:
    """Give this history a new name, which is returned; only the role that owns the tables may."""
    return str((await connection.execute(_RENEW_EPOCH)).scalar_one())
