"""Years of bookings, made by PostgreSQL itself and put in before indexes and constraints are there.

Every artist of every tenant has each second night booked, over as many years as it takes. A booking has its one event,
its entry in the audit trail (whose digests are made up: nobody verifies it), and its outcome where it is younger than a
command log reaches back. Rows lie in order of time, as they would. What a
migration has made of indexes and constraints is taken away while rows are put in, and made again as it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg

from bench.workload import ACTOR, FIRST_NIGHT, NIGHT
from local_stack.databases import Database
from servicekit.jobs import COMMAND_LOG_DAYS

EVERY: Final = 2
"""Each second night is free."""

_INDEXES: Final = """
    select coalesce(c.conname, i.relname) as name, t.relname as on_table, pg_get_indexdef(i.oid) as definition,
        pg_get_constraintdef(c.oid) as as_constraint
    from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid
    left join pg_constraint c on c.conindid = i.oid and c.conrelid = t.oid
    where t.relname = any ($1) and t.relnamespace = 'public'::regnamespace
"""
_NUMBERED: Final = """
    create temp table numbered as
    select n.night, p.tenant_id, p.artist_id, n.night * $3 + p.artist_no as position,
        (lpad(to_hex(1700000000000 + ((n.night * $4 + p.tenant_no) * $3 + p.artist_no) * 30), 12, '0')
            || '7000' || '8000' || lpad(to_hex(n.night * $3 + p.artist_no), 12, '0'))::uuid as id
    from generate_series(0, $5::bigint - 1) n (night)
    cross join (
        select tenant_id, artist_id, dense_rank() over (order by tenant_id) as tenant_no,
            row_number() over (partition by tenant_id order by artist_id) as artist_no
        from unnest($1::uuid[], $2::uuid[]) as cast_ (tenant_id, artist_id)
    ) p
    order by n.night, p.artist_no, p.tenant_no
"""
_BOOKINGS: Final = f"""
    insert into bookings (tenant_id, id, artist_id, start_time, end_time, status, title, venue, version, position,
        created_by, created_at, updated_at)
    select tenant_id, id, artist_id, $1::timestamptz + night * interval '{EVERY} days',
        $1::timestamptz + night * interval '{EVERY} days' + $2::interval, 'confirmed', 'Night ' || night,
        'Barton Hall, Ithaca', 1, position, '{ACTOR}', now(), now()
    from numbered
"""  # noqa: S608 - constants of ours
_EVENTS: Final = """
    insert into events (id, aggregate_id, event_type, event_data, version, tenant_id, created_at, position, actor,
        command_id)
    select overlay(b.id::text placing '9' from 20 for 1)::uuid, b.id, 'BookingCreated',
        jsonb_build_object('id', b.id, 'artist_id', b.artist_id,
            'start_time', to_char(b.start_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'end_time', to_char(b.end_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'status', b.status, 'title', b.title, 'venue', b.venue, 'notes', null, 'contact', null, 'fee', null,
            'version', 1, 'position', b.position, 'created_by', b.created_by,
            'created_at', to_char(b.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'updated_at', to_char(b.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')),
        1, b.tenant_id, b.created_at, b.position, b.created_by, overlay(b.id::text placing 'a' from 20 for 1)::uuid
    from bookings b
"""
_OUTCOMES: Final = """
    insert into command_log (tenant_id, command_id, actor, status, body, position, decided_at, audited)
    select tenant_id, command_id, actor, 201, event_data::json, position, created_at, position from events
    where event_data ->> 'start_time' > $1
"""
_AUDIT: Final = """
    insert into audit (tenant_id, sequence, at, actor, role, operation, aggregate_id, command_id, data, status, outcome,
        position, events_digest, digest)
    select tenant_id, position, created_at, actor, 'member', 'production.booking.create.v1', aggregate_id, command_id,
        json_build_object('artist_id', artist_id, 'start_time', starts, 'end_time', ends, 'status', status,
            'title', event_data ->> 'title', 'venue', event_data ->> 'venue'),
        201, 'accepted', position, sha256(id::text::bytea), sha256(command_id::text::bytea)
    from events
"""
_STREAMS: Final = """
    insert into streams (tenant_id, position, published, audited, audited_digest, last_at)
    select distinct on (tenant_id) tenant_id, position, position, position, sha256(command_id::text::bytea), created_at
    from events order by tenant_id, position desc
"""
_ARTISTS: Final = """
    insert into artists (tenant_id, id, status, version) select *, 'active', 1 from unnest($1::uuid[], $2::uuid[])
"""
_TABLES: Final = ("bookings", "events", "command_log", "audit")


@dataclass(frozen=True, kw_only=True)
class History:
    """What is stored: whose, and how many nights of each artist."""

    artists: Mapping[UUID, Sequence[UUID]]
    nights: int

    @property
    def bookings(self) -> int:
        """How many bookings that is."""
        return self.nights * sum(len(found) for found in self.artists.values())


async def store(database: Database, history: History) -> None:
    """Fill an empty database, and leave it as a long-lived one is: vacuumed, frozen and analysed."""
    rows = [(tenant, artist) for tenant, artists in history.artists.items() for artist in artists]
    tenants, artists = [tenant for tenant, _ in rows], [artist for _, artist in rows]
    connection = await asyncpg.connect(database.superuser_dsn)
    try:
        for setting in ("maintenance_work_mem = '1GB'", "work_mem = '256MB'", "temp_buffers = '64MB'"):
            await connection.execute(f"set {setting}")
        await connection.execute(_ARTISTS, tenants, artists)
        indexes = await connection.fetch(_INDEXES, list(_TABLES))
        for index in indexes:
            if index["as_constraint"] is None:
                await connection.execute(f"drop index {index['name']}")
            else:
                await connection.execute(f"alter table {index['on_table']} drop constraint {index['name']}")
        a_tenant = len(artists) // len(history.artists)
        await connection.execute(_NUMBERED, tenants, artists, a_tenant, len(history.artists), history.nights)
        await connection.execute(_BOOKINGS, FIRST_NIGHT, NIGHT)
        await connection.execute("drop table numbered")
        await connection.execute(_EVENTS)
        since = FIRST_NIGHT + timedelta(days=history.nights * EVERY - COMMAND_LOG_DAYS)
        await connection.execute(_OUTCOMES, since.isoformat())
        await connection.execute(_AUDIT)
        await connection.execute(_STREAMS)
        for index in indexes:
            if index["as_constraint"] is None:
                await connection.execute(index["definition"])
            else:
                constraint = f"constraint {index['name']} {index['as_constraint']}"
                await connection.execute(f"alter table {index['on_table']} add {constraint}")
        await _settle(connection)
    finally:
        await connection.close()


async def settle(database: Database) -> None:
    """Leave a database as a long-lived one is: vacuumed, frozen and analysed, so that plans are those of every day."""
    connection = await asyncpg.connect(database.superuser_dsn)
    try:
        await _settle(connection)
    finally:
        await connection.close()


async def _settle(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    for table in (*_TABLES, "streams", "artists"):
        await connection.execute(f"vacuum (freeze, analyze) {table}")
    await connection.execute("checkpoint")
