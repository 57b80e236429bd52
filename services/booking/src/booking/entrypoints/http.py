"""The read API: bookings, their events, and when an artist is free; asked by the gateway with the caller's token."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from booking.adapters import bookings, history
from booking.adapters.bookings import Filters
from booking.adapters.roster import Roster
from booking.application.representation import booking_after, row_json, slot_json
from booking.domain.booking import Slot
from booking.domain.calendar import free_within
from booking.entrypoints import cursors
from booking.entrypoints.cursors import PastList
from production_contracts import problems
from production_contracts.times import Timestamp, check_range, format_timestamp
from servicekit import clock, journal
from servicekit.looks import Row, look
from servicekit.owner_api import After, EventLimit, MinPosition, Owner, Snapshot
from servicekit.problems import NOT_THERE, ProblemError, invalid_request

LARGEST_PAGE = 200
MOST_BUSY = 5_000

From = Annotated[Timestamp | None, Query(alias="from")]
To = Annotated[Timestamp | None, Query(alias="to")]


async def _position_at(snapshot: Snapshot, as_of: datetime) -> int:
    """Find the position of a moment.

    Raises:
        ProblemError: `invalid-request`: it is later than now, and than the last event, whose clock may have been ahead.
    """
    if as_of > clock.now() and (snapshot.last_at is None or as_of > snapshot.last_at):
        detail = "this moment lies in the future: nothing is known of it yet"
        raise invalid_request([{"pointer": "#/query/as_of", "detail": detail}])
    return await journal.position_at(snapshot.connection, snapshot.tenant_id, as_of)


def _window(since: datetime | None, until: datetime | None) -> Slot:
    missing = [name for name, value in (("from", since), ("to", until)) if value is None]
    if since is None or until is None:
        raise invalid_request([{"pointer": f"#/query/{name}", "detail": "Field required"} for name in missing])
    try:
        check_range(since, until)
    except ValueError as error:
        detail = str(error).replace("start_time", "from").replace("end_time", "to")
        raise invalid_request([{"pointer": "#/query/to", "detail": detail}]) from None
    return Slot(since, until)


def booking_routes(owner: Owner) -> APIRouter:
    """Serve bookings, as they are and as they were."""
    router = APIRouter(prefix="/v1")

    @router.get("/bookings")
    async def list_bookings(  # noqa: PLR0917 - one argument a query parameter
        request: Request,
        artist_id: UUID | None = None,
        since: From = None,
        until: To = None,
        status: Literal["pencil", "confirmed", "cancelled"] | None = None,
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 50,
        cursor: str | None = None,
        as_of: Timestamp | None = None,
        min_position: MinPosition = 0,
    ) -> Response:
        filters = Filters(artist_id=artist_id, since=since, until=until, status=status)
        if as_of is not None:
            asked = PastList(as_of=as_of, filters=filters)
            async with owner.snapshot(request, min_position) as snapshot:
                return await _past_page(snapshot, asked, limit, cursor)
        if cursor is not None:
            filters = replace(filters, after=cursors.read(cursor))
        query, values = bookings.listing(filters, limit + 1)
        sight = await owner.look(request, look(query), values, min_position)
        page = sight.rows[:limit]
        more = cursors.write(page[-1].start_time, page[-1].id) if len(sight.rows) > limit else None
        return sight.answer({"items": [row_json(row) for row in page], "next_cursor": more})

    @router.get("/bookings/{booking_id}")
    async def get_booking(
        request: Request, booking_id: UUID, as_of: Timestamp | None = None, min_position: MinPosition = 0
    ) -> Response:
        if as_of is not None:
            async with owner.snapshot(request, min_position) as snapshot:
                return await _past_booking(snapshot, booking_id, as_of)
        sight = await owner.look(request, bookings.ONE, {"id": booking_id}, min_position)
        if not sight.rows:
            raise ProblemError(problems.NOT_FOUND, NOT_THERE)
        return sight.answer(row_json(sight.rows[0]))

    @router.get("/bookings/{booking_id}/events")
    async def booking_events(
        request: Request, booking_id: UUID, after: After = 0, limit: EventLimit = 100, min_position: MinPosition = 0
    ) -> Response:
        """Answer the events of one booking past a position."""
        asked = {"aggregate": booking_id, "after": after, "limit": limit}
        sight = await owner.look(request, journal.EVENTS_OF, asked, min_position)
        if not sight.rows and not (await owner.look(request, bookings.ONE, {"id": booking_id})).rows:
            raise ProblemError(problems.NOT_FOUND, NOT_THERE)
        found = [journal.event_json(row, owner.stream) for row in sight.rows]
        position = found[-1]["position"] if found else min(after, sight.position)
        return sight.answer({"items": found, "position": position})

    return router


def availability_routes(owner: Owner, roster: Roster) -> APIRouter:
    """Serve when artists are taken and free."""
    router = APIRouter(prefix="/v1")

    @router.get("/artists/{artist_id}/availability")
    async def availability(
        request: Request, artist_id: UUID, since: From = None, until: To = None, min_position: MinPosition = 0
    ) -> Response:
        """Answer what is taken and what is free; an artist that the roster does not hold yet is waited for."""
        window = _window(since, until)
        principal = await owner.principal(request)
        doubtful = await roster.await_artists([(principal.tenant_id, artist_id)])
        asked = {"artist": artist_id, "since": window.start, "until": window.end, "limit": MOST_BUSY + 1}
        sight = await owner.look(request, bookings.BUSY, asked, min_position, replica=False)
        if not sight.rows:
            raise _unknown_artist(doubtful=bool(doubtful))
        busy = [row for row in sight.rows if row["id"] is not None]
        if len(busy) > MOST_BUSY:
            detail = f"over {MOST_BUSY} bookings lie in this range: ask for a shorter one"
            raise invalid_request([{"pointer": "#/query/to", "detail": detail}])
        return sight.answer(_availability(artist_id, window, busy))

    return router


async def _past_booking(snapshot: Snapshot, booking_id: UUID, as_of: datetime) -> Response:
    position = await _position_at(snapshot, as_of)
    found = await history.booking_at(snapshot.connection, snapshot.tenant_id, booking_id, position)
    if found is None:
        raise ProblemError(problems.NOT_FOUND, NOT_THERE)
    return snapshot.answer(booking_after(found), position=position)


async def _past_page(snapshot: Snapshot, asked: PastList, limit: int, cursor: str | None) -> Response:
    """Answer a page of the past: the first finds the position of its moment, the others keep to it."""
    connection, tenant_id = snapshot.connection, snapshot.tenant_id
    if cursor is None:
        position, after = await _position_at(snapshot, asked.as_of), None
    else:
        position, after = asked.read(cursor)
    page = await history.page_at(connection, tenant_id, position, asked.filters, limit=limit, after=after)
    more = None if page.more is None else asked.write(position, page.more)
    items = [booking_after(data) for data in page.items]
    return snapshot.answer({"items": items, "next_cursor": more}, position=position)


def _unknown_artist(*, doubtful: bool) -> ProblemError:
    if doubtful:
        detail = "The roster is behind for the moment, and this artist not known yet."
        return ProblemError(problems.UNAVAILABLE, detail, headers={"Retry-After": "1"})
    return ProblemError(problems.NOT_FOUND, NOT_THERE)


def _availability(artist_id: UUID, window: Slot, busy: list[Row]) -> dict[str, Any]:
    slots = [Slot(row["start_time"], row["end_time"]) for row in busy]
    return {
        "artist_id": artist_id,
        "from": format_timestamp(window.start),
        "to": format_timestamp(window.end),
        "busy": [
            {"booking_id": str(row["id"]), "status": row["status"], **slot_json(slot)}
            for row, slot in zip(busy, slots, strict=True)
        ],
        "free": [slot_json(slot) for slot in free_within(window, slots)],
    }
