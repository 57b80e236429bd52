"""Bookings as they were, read from the events up to a position. All SQL on the past stands here.

A list looks at the events in the order of the bookings' starts, each with one probe for the version after it: what was
changed by then does not count. It looks at few first and then at more, as PostgreSQL sorts where many are asked for; a
page that has looked at `MOST_LOOKED_AT` gives up and says where to go on, whatever the tenant has done.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from booking.adapters.bookings import Filters
from production_contracts.times import LONGEST, format_timestamp

MOST_LOOKED_AT = 5_000
MORE_EACH_TIME = 4

_BOOKING = text("""
    select event_data from events where tenant_id = :tenant and aggregate_id = :id and position <= :position
    order by version desc limit 1
""")
_LOOK_AT = """
    select e.starts, e.aggregate_id, e.version, case
        when e.position <= :position {wanted} and coalesce(
            (
                select n.position from events n
                where n.tenant_id = :tenant and n.aggregate_id = e.aggregate_id and n.version = e.version + 1
            ) > :position,
            true
        )
        then e.event_data
    end as event_data
    from (select * from events where {conditions} order by {order} limit :size) e
    order by {order}
"""
_ORDER = "starts, aggregate_id, version"
_CONDITIONS = {
    "artist": "and e.artist_id = :artist",
    "status": "and e.status = :status",
    "since": "and e.ends > :since",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where in the list of the past a page ends: the start, the booking and the version that was looked at last."""

    starts: str
    booking_id: UUID
    version: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Events' data, each the booking as it was, in order; and where to go on (None: there is nothing more)."""

    items: list[dict[str, Any]]
    more: Place | None


async def booking_at(
    connection: AsyncConnection, tenant_id: UUID, booking_id: UUID, position: int
) -> dict[str, Any] | None:
    """Read one booking's data as its last event up to a position left it; None where there was none yet."""
    asked = {"tenant": tenant_id, "id": booking_id, "position": position}
    found: dict[str, Any] | None = (await connection.execute(_BOOKING, asked)).scalar_one_or_none()
    return found


async def page_at(
    connection: AsyncConnection, tenant_id: UUID, position: int, filters: Filters, *, limit: int, after: Place | None
) -> Page:
    """List the bookings as they were at a position, in order of (start_time, id), after a place, up to ``limit``.

    A page may hold fewer, even none, and name a place to go on from.
    """
    items: list[dict[str, Any]] = []
    left, size = MOST_LOOKED_AT, limit + 1
    while True:
        size = min(size, left)
        rows = await _look_at(connection, {"tenant": tenant_id, "position": position, "size": size}, filters, after)
        for row in rows:
            if row.event_data is None:
                continue
            if len(items) == limit:
                return Page(items=items, more=after)
            items.append(row.event_data)
            after = _place(row)
        left -= size
        if len(rows) < size:
            return Page(items=items, more=None)
        after = _place(rows[-1])
        if not left:
            return Page(items=items, more=after)
        size *= MORE_EACH_TIME


async def _look_at(
    connection: AsyncConnection, asked: dict[str, Any], filters: Filters, after: Place | None
) -> Sequence[Any]:
    """Look at the next events in the order of the list; those that it does not show have no data."""
    conditions = ["tenant_id = :tenant"]
    if filters.since is not None:  # nothing is longer than LONGEST: a bound on the index besides the exact condition
        conditions.append("starts > :earliest")
        asked["earliest"] = format_timestamp(filters.since - LONGEST - timedelta(days=1))
    if filters.until is not None:
        conditions.append("starts < :until")
        asked["until"] = format_timestamp(filters.until)
    if after is not None:
        conditions.append(f"({_ORDER}) > (:after_start, :after_id, :after_version)")
        asked |= {"after_start": after.starts, "after_id": after.booking_id, "after_version": after.version}
    wanted = _wanted(filters)
    query = _LOOK_AT.format(
        conditions=" and ".join(conditions), wanted=" ".join(_CONDITIONS[name] for name in wanted), order=_ORDER
    )
    return (await connection.execute(text(query), {**asked, **wanted})).all()


def _wanted(filters: Filters) -> dict[str, Any]:
    """Give the values that rows are filtered by, by what they are called in `_CONDITIONS`."""
    stated = {
        "artist": filters.artist_id,
        "status": filters.status,
        "since": None if filters.since is None else format_timestamp(filters.since),
    }
    return {name: value for name, value in stated.items() if value is not None}


def _place(row: Any) -> Place:  # noqa: ANN401 - a row of the columns above
    return Place(starts=row.starts, booking_id=row.aggregate_id, version=row.version)
