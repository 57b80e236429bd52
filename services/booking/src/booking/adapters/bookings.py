"""Bookings in PostgreSQL: the projection that the exclusion constraint guards. All SQL on it stands here.

What decides works on arrays, for all tenants of a batch at once; what reads names its one tenant besides the policy.
Rows are found inside `lateral (… offset 0)`, and changed by where they stand: joined freely, the planner reads and
hashes every row of the tenants in hand (271 µs a deleted booking instead of 31, over 200,000 of 200 tenants).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from booking.domain.booking import Booking, Contact, Fee, Slot, Status
from production_contracts.times import LONGEST
from servicekit.looks import Look
from servicekit.statements import change, fetch

Key = tuple[UUID, UUID]
"""A tenant and the id of a booking or artist of it."""

_COLUMNS = """tenant_id, id, artist_id, start_time, end_time, status, title, venue, notes, contact, fee,
    version, position, created_by, created_at, updated_at"""

_LOAD = text("""
    select b.* from unnest(cast(:tenants as uuid[]), cast(:ids as uuid[])) as q (tenant_id, id)
    cross join lateral (select * from bookings where bookings.tenant_id = q.tenant_id and bookings.id = q.id offset 0) b
""")
_NEIGHBOURS = text("""
    select b.*
    from unnest(
        cast(:tenants as uuid[]), cast(:artists as uuid[]), cast(:starts as timestamptz[]), cast(:ends as timestamptz[])
    ) as q (tenant_id, artist_id, starts, ends)
    cross join lateral (
        (
            select * from bookings
            where bookings.artist_id = q.artist_id and status in ('confirmed', 'pencil')
              and start_time >= q.starts and start_time < q.ends
            order by start_time limit :limit
        )
        union all
        (
            select * from (
                select * from bookings
                where bookings.artist_id = q.artist_id and status in ('confirmed', 'pencil') and start_time < q.starts
                order by start_time desc limit 1
            ) before where before.end_time > q.starts
        )
        offset 0
    ) b
    where b.tenant_id = q.tenant_id
""")
_DELETE = text("""
    delete from bookings where ctid = any (array(
        select b.ctid from unnest(cast(:tenants as uuid[]), cast(:ids as uuid[])) as q (tenant_id, id)
        cross join lateral (
            select ctid from bookings where bookings.tenant_id = q.tenant_id and bookings.id = q.id offset 0
        ) b
    ))
""")
_ARRAYS = """
    unnest(
        cast(:tenants as uuid[]), cast(:ids as uuid[]), cast(:artists as uuid[]), cast(:starts as timestamptz[]),
        cast(:ends as timestamptz[]), cast(:statuses as text[]), cast(:titles as text[]), cast(:venues as text[]),
        cast(:notes as text[]), cast(:contacts as text[]), cast(:fees as text[]), cast(:versions as integer[]),
        cast(:positions as bigint[]), cast(:creators as text[]), cast(:created as timestamptz[]),
        cast(:updated as timestamptz[])
    ) as n (tenant_id, id, artist_id, start_time, end_time, status, title, venue, notes, contact, fee,
            version, position, created_by, created_at, updated_at)
"""
_INSERT = text(f"""
    insert into bookings ({_COLUMNS})
    select tenant_id, id, artist_id, start_time, end_time, status, title, venue, notes::json, contact::json, fee::json,
        version, position, created_by, created_at, updated_at
    from {_ARRAYS} on conflict do nothing
""")  # noqa: S608 - the lists above
_UPDATE = text(f"""
    update bookings b
    set title = n.title, venue = n.venue, notes = n.notes::json, contact = n.contact::json, fee = n.fee::json,
        version = n.version, position = n.position, updated_at = n.updated_at
    from {_ARRAYS}
    cross join lateral (
        select ctid from bookings where bookings.tenant_id = n.tenant_id and bookings.id = n.id offset 0
    ) at
    where b.ctid = at.ctid
""")  # noqa: S608 - the list above
_ARTISTS = text("""
    select a.tenant_id, a.id, a.status from unnest(cast(:tenants as uuid[]), cast(:ids as uuid[])) as q (tenant_id, id)
    cross join lateral (select * from artists where artists.tenant_id = q.tenant_id and artists.id = q.id offset 0) a
""")
ONE = Look(f"select {_COLUMNS} from bookings where tenant_id = :tenant and id = :id")  # noqa: S608 - the list above
"""One booking, by ``id``."""
BUSY = Look(f"""
    select a.id as known, b.*
    from artists a
    left join lateral (
        (
            select {_COLUMNS} from bookings
            where artist_id = :artist and status in ('confirmed', 'pencil')
              and start_time >= :since and start_time < :until
            order by start_time limit :limit
        )
        union all
        (
            select * from (
                select {_COLUMNS} from bookings
                where artist_id = :artist and status in ('confirmed', 'pencil') and start_time < :since
                order by start_time desc limit 1
            ) before where before.end_time > :since
        )
        offset 0
    ) b on b.tenant_id = a.tenant_id
    where a.tenant_id = :tenant and a.id = :artist
    order by b.start_time limit :limit
""")  # noqa: S608 - the list above
"""What occupies ``artist`` within ``[since, until)``, in order of time, up to ``limit``.

One row without a booking where nothing does; none where the roster does not hold the artist. It is found by two probes,
as `neighbours` is.
"""
_ALL = text(f"select {_COLUMNS} from bookings where tenant_id = :tenant order by id")  # noqa: S608
_DELETE_ALL = text("delete from bookings where tenant_id = :tenant")
_RESTORE = text(f"""
    insert into bookings ({_COLUMNS})
    select cast(:tenant as uuid), n.*
    from json_to_recordset(cast(cast(:rows as text) as json)) as n (
        id uuid, artist_id uuid, start_time timestamptz, end_time timestamptz, status text, title text, venue text,
        notes json, contact json, fee json, version integer, position bigint, created_by text, created_at timestamptz,
        updated_at timestamptz
    )
""")  # noqa: S608 - the list above
_RESTORED_AT_ONCE = 5_000


def booking_of(row: Any) -> Booking:  # noqa: ANN401 - a row of the columns above
    """Read a booking from its row."""
    return Booking(
        id=row.id,
        artist_id=row.artist_id,
        slot=Slot(row.start_time, row.end_time),
        status=Status(row.status),
        title=row.title,
        venue=row.venue,
        notes=row.notes,
        contact=Contact.of(row.contact),
        fee=Fee.of(row.fee),
        version=row.version,
        position=row.position,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _json(sealed: Mapping[str, Any] | Contact | Fee | None) -> str | None:
    if sealed is None:
        return None
    return orjson.dumps(sealed.members if isinstance(sealed, Contact | Fee) else sealed).decode()


def _arrays(bookings: Sequence[tuple[UUID, Booking]]) -> dict[str, Any]:
    return {
        "tenants": [tenant for tenant, _ in bookings],
        "ids": [b.id for _, b in bookings],
        "artists": [b.artist_id for _, b in bookings],
        "starts": [b.slot.start for _, b in bookings],
        "ends": [b.slot.end for _, b in bookings],
        "statuses": [b.status.value for _, b in bookings],
        "titles": [b.title for _, b in bookings],
        "venues": [b.venue for _, b in bookings],
        "notes": [_json(b.notes) for _, b in bookings],
        "contacts": [_json(b.contact) for _, b in bookings],
        "fees": [_json(b.fee) for _, b in bookings],
        "versions": [b.version for _, b in bookings],
        "positions": [b.position for _, b in bookings],
        "creators": [b.created_by for _, b in bookings],
        "created": [b.created_at for _, b in bookings],
        "updated": [b.updated_at for _, b in bookings],
    }


async def load(connection: AsyncConnection, keys: Iterable[Key]) -> dict[Key, Booking]:
    """Load bookings by (tenant, id); what is not there is left out."""
    wanted = list(keys)
    if not wanted:
        return {}
    rows = await fetch(connection, _LOAD, {"tenants": [t for t, _ in wanted], "ids": [i for _, i in wanted]})
    return {(row.tenant_id, row.id): booking_of(row) for row in rows}


async def neighbours(
    connection: AsyncConnection, windows: Sequence[tuple[UUID, UUID, Slot]], limit: int
) -> list[tuple[UUID, Booking]]:
    """Find the bookings that occupy an artist in windows of (tenant, artist, slot), with their tenants.

    Each window finds at most ``limit`` that begin in it, the first, and the one that reaches into it.
    """
    if not windows:
        return []
    rows = await fetch(
        connection,
        _NEIGHBOURS,
        {
            "tenants": [tenant for tenant, _, _ in windows],
            "artists": [artist for _, artist, _ in windows],
            "starts": [slot.start for _, _, slot in windows],
            "ends": [slot.end for _, _, slot in windows],
            "limit": limit,
        },
    )
    return [(row.tenant_id, booking_of(row)) for row in rows]


async def artist_states(connection: AsyncConnection, keys: Iterable[Key]) -> dict[Key, str]:
    """Tell what the roster says of artists, given by (tenant, id): active or archived; unknown ones are left out."""
    wanted = list(keys)
    if not wanted:
        return {}
    rows = await fetch(connection, _ARTISTS, {"tenants": [t for t, _ in wanted], "ids": [i for _, i in wanted]})
    return {(row.tenant_id, row.id): row.status for row in rows}


async def replace(connection: AsyncConnection, old: Sequence[Key], new: Sequence[tuple[UUID, Booking]]) -> bool:
    """Delete bookings and insert others as one net change; False where another writer is in the way of any."""
    if old:
        gone = await change(connection, _DELETE, {"tenants": [t for t, _ in old], "ids": [i for _, i in old]})
        if gone != len(old):
            return False
    if not new:
        return True
    return await change(connection, _INSERT, _arrays(new)) == len(new)


async def update(connection: AsyncConnection, changed: Sequence[tuple[UUID, Booking]]) -> bool:
    """Write bookings whose slot and status stay; False where one is not there."""
    if not changed:
        return True
    return await change(connection, _UPDATE, _arrays(changed)) == len(changed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Filters:
    """Which bookings a list shows: those that overlap ``[since, until)``, and those after ``(start_time, id)``."""

    artist_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    status: str | None = None
    after: tuple[datetime, UUID] | None = None


def listing(filters: Filters, limit: int) -> tuple[str, dict[str, Any]]:
    """Write the query that lists bookings in order of (start_time, id), up to ``limit``, and its values.

    The tenant is to be given besides.
    """
    asked: dict[str, Any] = {"limit": limit}
    conditions = ["tenant_id = :tenant"]
    if filters.artist_id is not None:
        conditions.append("artist_id = :artist")
        asked["artist"] = filters.artist_id
    if filters.status is not None:
        conditions.append("status = :status")
        asked["status"] = filters.status
    if filters.since is not None:  # nothing is longer than LONGEST: a bound on the index besides the exact condition
        conditions.append("end_time > :since and start_time > :earliest")
        asked |= {"since": filters.since, "earliest": filters.since - LONGEST - timedelta(days=1)}
    if filters.until is not None:
        conditions.append("start_time < :until")
        asked["until"] = filters.until
    if filters.after is not None:
        conditions.append("(start_time, id) > (:after_start, :after_id)")
        asked["after_start"], asked["after_id"] = filters.after
    query = f"select {_COLUMNS} from bookings where {' and '.join(conditions)} order by start_time, id limit :limit"  # noqa: S608
    return query, asked


async def all_of(connection: AsyncConnection, tenant_id: UUID) -> Sequence[Mapping[str, Any]]:
    """Read the rows of all of a tenant's bookings, in order of id."""
    rows = (await connection.execute(_ALL, {"tenant": tenant_id})).mappings().all()
    return cast("Sequence[Mapping[str, Any]]", rows)  # by column name, as the query has them


async def replace_all(connection: AsyncConnection, tenant_id: UUID, bookings: Sequence[Mapping[str, Any]]) -> bool:
    """Put bookings, as JSON has them, in place of a tenant's; False where they can't all stand: roll back then.

    PostgreSQL reads the JSON, so that nothing is made of it here; and inserts plainly: ``on conflict`` would look into
    each index twice.
    """
    await connection.execute(_DELETE_ALL, {"tenant": tenant_id})
    try:
        for first in range(0, len(bookings), _RESTORED_AT_ONCE):
            rows = orjson.dumps(bookings[first : first + _RESTORED_AT_ONCE]).decode()
            await connection.execute(_RESTORE, {"tenant": tenant_id, "rows": rows})
    except IntegrityError:
        return False
    return True
