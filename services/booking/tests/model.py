"""What booking is meant to do, written as simply as can be: one command after the other, no batch, no database.

It shares no code with what it is compared to, but for the contract.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from production_contracts import commands
from production_contracts.commands import Command

OCCUPYING = ("pencil", "confirmed")
NINETY_DAYS = timedelta(days=90)

Said = dict[str, Any]
"""What is compared of an outcome: the slug of a refusal with its conflicts, or the booking."""


@dataclass
class Booked:
    """A booking."""

    artist_id: UUID
    start: datetime
    end: datetime
    status: str
    title: str
    venue: str | None
    contact: dict[str, Any] | None
    fee: dict[str, Any] | None
    version: int
    position: int


@dataclass
class Model:
    """One tenant."""

    artists: dict[UUID, str]
    bookings: dict[UUID, Booked] = field(default_factory=dict)
    position: int = 0

    def decide(self, command: Command) -> Said:
        """Say what becomes of a command."""
        data, booking = command.body.data, self.bookings.get(command.aggregate_id)
        if isinstance(data, commands.CreateBooking):
            return self._create(command.aggregate_id, data)
        if booking is None:
            return {"refused": "not-found"}
        if command.body.expected_versions is not None and booking.version not in command.body.expected_versions:
            return {"refused": "version-mismatch"}
        if booking.status == "cancelled" and not isinstance(data, commands.CancelBooking):
            return {"refused": "invalid-transition"}
        if isinstance(data, commands.RescheduleBooking) and (booking.start, booking.end) != (
            data.start_time,
            data.end_time,
        ):
            conflicts = self.conflicts(booking.artist_id, data.start_time, data.end_time, besides=command.aggregate_id)
            if conflicts:
                return {"refused": "booking-conflict", "conflicts": conflicts}
        self._change(booking, self._wanted(booking, data))
        return self.told(command.aggregate_id)

    def _create(self, booking_id: UUID, data: commands.CreateBooking) -> Said:
        if booking_id in self.bookings:
            return {"refused": "invalid-transition"}
        if data.artist_id not in self.artists:
            return {"refused": "not-found"}
        if self.artists[data.artist_id] == "archived":
            return {"refused": "artist-archived"}
        conflicts = self.conflicts(data.artist_id, data.start_time, data.end_time)
        if conflicts:
            return {"refused": "booking-conflict", "conflicts": conflicts}
        self.position += 1
        stated = data.model_dump()
        self.bookings[booking_id] = Booked(
            data.artist_id,
            data.start_time,
            data.end_time,
            data.status,
            data.title,
            data.venue,
            _merged(None, stated["contact"]),
            stated["fee"],
            1,
            self.position,
        )
        return self.told(booking_id)

    def _wanted(self, booking: Booked, data: object) -> dict[str, Any]:
        if isinstance(data, commands.ConfirmBooking):
            return {"status": "confirmed"}
        if isinstance(data, commands.CancelBooking):
            return {"status": "cancelled"}
        if isinstance(data, commands.RescheduleBooking):
            return {"start": data.start_time, "end": data.end_time}
        assert isinstance(data, commands.AmendBooking)
        wanted = data.model_dump(exclude_unset=True)
        if "contact" in wanted:
            wanted["contact"] = _merged(booking.contact, wanted["contact"])
        return wanted

    def _change(self, booking: Booked, wanted: dict[str, Any]) -> None:
        if any(getattr(booking, name) != value for name, value in wanted.items()):
            for name, value in wanted.items():
                setattr(booking, name, value)
            self.position += 1
            booking.version += 1
            booking.position = self.position

    def conflicts(self, artist: UUID, start: datetime, end: datetime, besides: UUID | None = None) -> list[str]:
        """Name what is in the way, in order of time."""
        found = [
            (booking.start, str(booking_id))
            for booking_id, booking in self.bookings.items()
            if booking_id != besides
            and booking.artist_id == artist
            and booking.status in OCCUPYING
            and booking.start < end
            and start < booking.end
        ]
        return [booking_id for _, booking_id in sorted(found)]

    def next_free(
        self, artist: UUID, start: datetime, end: datetime, besides: UUID | None, step: timedelta
    ) -> list[Any]:
        """Try every step of 90 days."""
        length, last = end - start, start + NINETY_DAYS
        found: list[tuple[datetime, datetime]] = []
        while start <= last and len(found) < 3:
            if self.conflicts(artist, start, start + length, besides):
                start += step
            else:
                found.append((start, start + length))
                start += length
        return found

    def told(self, booking_id: UUID) -> Said:
        """Show a booking."""
        return {"id": str(booking_id)} | vars(self.bookings[booking_id])


def _merged(before: dict[str, Any] | None, patch: dict[str, Any] | None) -> dict[str, Any] | None:
    """Merge a contact, always with all of its members, or none where all are null."""
    if patch is None:
        return None
    merged = dict.fromkeys(("name", "email", "phone")) | (before or {}) | patch
    return merged if any(merged.values()) else None
