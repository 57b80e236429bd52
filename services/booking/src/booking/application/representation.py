"""A booking as JSON: in outcomes, events and answers."""

from collections.abc import Mapping
from typing import Any, Final

from booking.domain.booking import Booking, Slot
from production_contracts.bookings import SealedBooking
from production_contracts.times import format_timestamp

_FIELDS: Final = tuple(SealedBooking.model_fields)


def slot_json(slot: Slot) -> dict[str, str]:
    """Write a slot."""
    return {"start_time": format_timestamp(slot.start), "end_time": format_timestamp(slot.end)}


def booking_json(booking: Booking) -> dict[str, Any]:
    """Write a booking, what is sealed as it is."""
    return {
        "id": str(booking.id),
        "artist_id": str(booking.artist_id),
        **slot_json(booking.slot),
        "status": booking.status.value,
        "title": booking.title,
        "venue": booking.venue,
        "notes": booking.notes,
        "contact": None if booking.contact is None else booking.contact.members,
        "fee": None if booking.fee is None else booking.fee.members,
        "version": booking.version,
        "position": booking.position,
        "created_by": booking.created_by,
        "created_at": format_timestamp(booking.created_at),
        "updated_at": format_timestamp(booking.updated_at),
    }


def row_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """Write a booking from its row, as `booking_json` would, without making a booking of it: for what only passes."""
    return {
        "id": str(row["id"]),
        "artist_id": str(row["artist_id"]),
        "start_time": format_timestamp(row["start_time"]),
        "end_time": format_timestamp(row["end_time"]),
        "status": row["status"],
        "title": row["title"],
        "venue": row["venue"],
        "notes": row["notes"],
        "contact": row["contact"],
        "fee": row["fee"],
        "version": row["version"],
        "position": row["position"],
        "created_by": row["created_by"],
        "created_at": format_timestamp(row["created_at"]),
        "updated_at": format_timestamp(row["updated_at"]),
    }


def conflict_json(booking: Booking) -> dict[str, str]:
    """Write a booking as one that is in the way."""
    return {"booking_id": str(booking.id), "status": booking.status.value, **slot_json(booking.slot)}


def booking_after(data: dict[str, Any]) -> dict[str, Any]:
    """Write the booking that an event's data tells, without what the event tells besides; what it does not is null.

    Data are what `booking_json` once wrote: they are chosen from, and not examined again.
    """
    return {name: data.get(name) for name in _FIELDS}
