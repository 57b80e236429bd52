"""Bookings: what a client asks, what it is told, and the form with sealed fields that travels behind the gateway."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from production_contracts.money import Amount, Currency
from production_contracts.records import Record, Request, without_default
from production_contracts.sealed import SENSITIVE, Sealed
from production_contracts.text import ContactName, EmailAddress, Id, Notes, PhoneNumber, Reason, Title, Venue
from production_contracts.times import Timestamp, check_range

BookingStatus = Literal["pencil", "confirmed", "cancelled"]
ActiveStatus = Literal["pencil", "confirmed"]
ACTIVE_STATUSES: tuple[ActiveStatus, ...] = ("confirmed", "pencil")


class TimeRange(Record):
    """A half-open range of time: ``start_time`` belongs to it, ``end_time`` does not."""

    start_time: Timestamp
    end_time: Timestamp


class ContactRequest(Request):
    """Whom to call about a booking; without any member it is null. In a patch null clears one, what is absent stays."""

    name: Annotated[ContactName | None, SENSITIVE] = None
    email: Annotated[EmailAddress | None, SENSITIVE] = None
    phone: Annotated[PhoneNumber | None, SENSITIVE] = None


class FeeRequest(Request):
    """What a booking pays, always stated whole: half of it is refused, in a patch as well."""

    amount: Annotated[Amount, SENSITIVE]
    currency: Annotated[Currency, SENSITIVE]


class BookingRequest(Request):
    """Body of ``POST /v1/bookings``."""

    artist_id: Id
    start_time: Timestamp
    end_time: Timestamp
    status: ActiveStatus = "pencil"
    title: Title
    venue: Venue | None = None
    notes: Annotated[Notes | None, SENSITIVE] = None
    contact: ContactRequest | None = None
    fee: FeeRequest | None = None

    @model_validator(mode="after")
    def _range(self) -> Self:
        check_range(self.start_time, self.end_time)
        return self


class BookingPatch(Request):
    """Body of ``PATCH /v1/bookings/{id}``: a JSON merge patch (RFC 7396); null clears, what is absent stays."""

    title: Title = Field(default="unset", json_schema_extra=without_default)
    venue: Venue | None = None
    notes: Annotated[Notes | None, SENSITIVE] = None
    contact: ContactRequest | None = None
    fee: FeeRequest | None = None


class RescheduleRequest(Request):
    """Body of ``POST /v1/bookings/{id}/reschedule``."""

    start_time: Timestamp
    end_time: Timestamp

    @model_validator(mode="after")
    def _range(self) -> Self:
        check_range(self.start_time, self.end_time)
        return self


class CancelRequest(Request):
    """Body of ``POST /v1/bookings/{id}/cancel``; it may be left out."""

    reason: Reason | None = None


class Contact(Record):
    """Whom to call about a booking; at least one of the three is told."""

    name: Annotated[str | None, SENSITIVE] = None
    email: Annotated[str | None, SENSITIVE] = None
    phone: Annotated[str | None, SENSITIVE] = None


class Fee(Record):
    """What a booking pays: ``amount`` in the minor unit of ``currency``, an alphabetic code of ISO 4217."""

    amount: Annotated[int, SENSITIVE]
    currency: Annotated[str, SENSITIVE]


class SealedContact(Record):
    """A contact as it travels behind the gateway: each member by itself, so that a patch of one opens none."""

    name: Sealed | None = None
    email: Sealed | None = None
    phone: Sealed | None = None


class SealedFee(Record):
    """A fee as it travels behind the gateway; the amount is sealed as text, its decimal digits."""

    amount: Sealed
    currency: Sealed


class _Booking(Record):
    id: UUID
    artist_id: UUID
    start_time: Timestamp
    end_time: Timestamp
    status: BookingStatus
    title: str
    venue: str | None = None
    version: int
    position: int
    created_by: str
    created_at: Timestamp
    updated_at: Timestamp


class Booking(_Booking):
    """A booking as an entitled reader sees it."""

    notes: Annotated[str | None, SENSITIVE] = None
    contact: Contact | None = None
    fee: Fee | None = None


class SealedBooking(_Booking):
    """A booking as it travels and rests behind the gateway."""

    notes: Sealed | None = None
    contact: SealedContact | None = None
    fee: SealedFee | None = None


class BookingEventData(SealedBooking):
    """``data`` of a booking event: the whole booking after it; on a reschedule, where it was before."""

    previous: TimeRange | None = None
    reason: str | None = None


class Conflict(Record):
    """A booking in the way of a refused one."""

    booking_id: UUID
    status: ActiveStatus
    start_time: Timestamp
    end_time: Timestamp


class BookingPage(Record):
    """A page of bookings in order of (start_time, id)."""

    items: list[Booking]
    next_cursor: str | None = None


class Availability(Record):
    """When an artist is taken and when free, within ``[from, to)``."""

    artist_id: UUID
    start_time: Timestamp = Field(alias="from")
    end_time: Timestamp = Field(alias="to")
    busy: list[Conflict]
    free: list[TimeRange]
