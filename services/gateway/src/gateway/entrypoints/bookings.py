"""Bookings: ``/v1/bookings`` and what stands below it, and an artist's availability."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from uuid_utils.compat import uuid7

from gateway.application.reader import Reader
from gateway.application.sealing import Sealing
from gateway.entrypoints import answers, bodies, conditions, queries
from gateway.entrypoints.admission import Admission
from gateway.entrypoints.changes import Change, Changes
from gateway.entrypoints.pages import Pages
from production_contracts.bookings import BookingPatch, BookingRequest, CancelRequest, RescheduleRequest
from production_contracts.commands import (
    AmendBooking,
    CancelBooking,
    ConfirmBooking,
    CreateBooking,
    RescheduleBooking,
)
from production_contracts.records import Record
from production_contracts.records import Request as Asked
from production_contracts.roles import Permission

COLLECTION: Final = "/v1/bookings"


class NoBody(Asked):
    """The body of a request that needs none: absent, or an empty object."""


class Bookings:
    """The operations on bookings."""

    def __init__(self, admission: Admission, changes: Changes, reader: Reader, sealing: Sealing, pages: Pages) -> None:
        """Let in, change, read, seal and answer through these."""
        self._admission = admission
        self._changes = changes
        self._reader = reader
        self._sealing = sealing
        self._pages = pages

    async def create(self, request: Request) -> Response:
        """``POST /v1/bookings``."""
        principal = await self._admission.admit(request, Permission.BOOKINGS_WRITE)
        asked = await bodies.read(request, BookingRequest)
        booking_id = uuid7()
        stated = asked.model_dump(exclude_unset=True) | {"status": asked.status}
        data = CreateBooking(**await self._sealing.seal(principal.tenant_id, booking_id, stated))
        change = Change(principal=principal, aggregate_id=booking_id, asked=asked, data=data, creates=True)
        return await self._changes.carry_out(request, change, COLLECTION)

    async def amend(self, request: Request) -> Response:
        """``PATCH /v1/bookings/{id}``."""
        principal = await self._admission.admit(request, Permission.BOOKINGS_WRITE)
        booking_id = conditions.path_id(request)
        asked = await bodies.read(request, BookingPatch)
        stated = asked.model_dump(exclude_unset=True)
        data = AmendBooking(**await self._sealing.seal(principal.tenant_id, booking_id, stated))
        change = Change(principal=principal, aggregate_id=booking_id, asked=asked, data=data)
        return await self._changes.carry_out(request, change, COLLECTION)

    async def confirm(self, request: Request) -> Response:
        """``POST /v1/bookings/{id}/confirm``."""
        return await self._move(request, NoBody, ConfirmBooking, may_be_absent=True)

    async def cancel(self, request: Request) -> Response:
        """``POST /v1/bookings/{id}/cancel``."""
        return await self._move(request, CancelRequest, CancelBooking, may_be_absent=True)

    async def reschedule(self, request: Request) -> Response:
        """``POST /v1/bookings/{id}/reschedule``."""
        return await self._move(request, RescheduleRequest, RescheduleBooking, may_be_absent=False)

    async def _move(self, request: Request, model: type[Asked], data: type[Record], *, may_be_absent: bool) -> Response:
        principal = await self._admission.admit(request, Permission.BOOKINGS_WRITE)
        booking_id = conditions.path_id(request)
        asked = await bodies.read(request, model, may_be_absent=may_be_absent)
        stated = {name: getattr(asked, name) for name in asked.model_fields_set}
        change = Change(principal=principal, aggregate_id=booking_id, asked=asked, data=data(**stated))
        return await self._changes.carry_out(request, change, COLLECTION)

    async def find(self, request: Request) -> Response:
        """``GET /v1/bookings``."""
        principal = await self._admission.admit(request, Permission.BOOKINGS_READ)
        query = queries.read(request, queries.BookingQuery)
        inquiry = queries.inquiry(request, COLLECTION, query)
        return self._pages.answer(request, principal, await self._reader.bookings(principal, inquiry))

    async def show(self, request: Request) -> Response:
        """``GET /v1/bookings/{id}``."""
        principal = await self._admission.admit(request, Permission.BOOKINGS_READ)
        path = f"{COLLECTION}/{conditions.path_id(request)}"
        inquiry = queries.inquiry(request, path, queries.read(request, queries.PastQuery))
        return answers.single(request, await self._reader.booking(principal, inquiry))

    async def history(self, request: Request) -> Response:
        """``GET /v1/bookings/{id}/events``."""
        principal = await self._admission.admit(request, Permission.BOOKINGS_READ)
        path = f"{COLLECTION}/{conditions.path_id(request)}/events"
        inquiry = queries.inquiry(request, path, queries.read(request, queries.HistoryQuery))
        return answers.content(request, await self._reader.events(principal, "booking", inquiry))

    async def availability(self, request: Request) -> Response:
        """``GET /v1/artists/{id}/availability``."""
        principal = await self._admission.admit(request, Permission.BOOKINGS_READ)
        path = f"/v1/artists/{conditions.path_id(request)}/availability"
        inquiry = queries.inquiry(request, path, queries.read(request, queries.AvailabilityQuery))
        return answers.content(request, await self._reader.pass_on(principal, "booking", inquiry))
