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
from booking.application.representation import booking_after, booking_json, conflict_json, slot_json
from booking.domain.booking import Booking, Slot
from booking.domain.calendar import free_within
from booking.entrypoints import cursors
from booking.entrypoints.cursors import PastList
from production_contracts import problems
from production_contracts.times import Timestamp, check_range, format_timestamp
from servicekit import clock, journal
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
        async with owner.snapshot(request, min_position, replica=True) as snapshot:
            found = await bookings.select(snapshot.connection, snapshot.tenant_id, filters, limit + 1)
            page = found[:limit]
            more = cursors.write(page[-1]) if len(found) > limit else None
            return snapshot.answer({"items": [booking_json(booking) for booking in page], "next_cursor": more})

    @router.get("/bookings/{booking_id}")
    async def get_booking(
        request: Request, booking_id: UUID, as_of: Timestamp | None = None, min_position: MinPosition = 0
    ) -> Response:
        async with owner.snapshot(request, min_position, replica=as_of is None) as snapshot:
            if as_of is not None:
                return await _past_booking(snapshot, booking_id, as_of)
            booking = await bookings.get(snapshot.connection, snapshot.tenant_id, booking_id)
            if booking is None:
                raise ProblemError(problems.NOT_FOUND, NOT_THERE)
            return snapshot.answer(booking_json(booking))

    @router.get("/bookings/{booking_id}/events")
    async def booking_events(
        request: Request, booking_id: UUID, after: After = 0, limit: EventLimit = 100, min_position: MinPosition = 0
    ) -> Response:
        """Answer the events of one booking past a position."""
        async with owner.snapshot(request, min_position, replica=True) as snapshot:
            tenant, connection = snapshot.tenant_id, snapshot.connection
            if await bookings.get(connection, tenant, booking_id) is None:
                raise ProblemError(problems.NOT_FOUND, NOT_THERE)
            found = await journal.events_of(
                connection, owner.stream, tenant, aggregate_id=booking_id, after=after, limit=limit
            )
            position = found[-1]["position"] if found else min(after, snapshot.position)
            return snapshot.answer({"items": found, "position": position})

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
        async with owner.snapshot(request, min_position) as snapshot:
            if not await bookings.knows_artist(snapshot.connection, snapshot.tenant_id, artist_id):
                raise _unknown_artist(doubtful=bool(doubtful))
            busy = await bookings.busy(snapshot.connection, snapshot.tenant_id, artist_id, window, MOST_BUSY + 1)
            if len(busy) > MOST_BUSY:
                detail = f"over {MOST_BUSY} bookings lie in this range: ask for a shorter one"
                raise invalid_request([{"pointer": "#/query/to", "detail": detail}])
            return snapshot.answer(_availability(artist_id, window, busy))

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


def _availability(artist_id: UUID, window: Slot, busy: list[Booking]) -> dict[str, Any]:
    return {
        "artist_id": artist_id,
        "from": format_timestamp(window.start),
        "to": format_timestamp(window.end),
        "busy": [conflict_json(booking) for booking in busy],
        "free": [slot_json(slot) for slot in free_within(window, [booking.slot for booking in busy])],
    }
