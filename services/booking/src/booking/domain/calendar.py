"""One artist's calendar: what is taken, and when it would work."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from booking.domain.booking import Booking, RefusalError, Slot

HORIZON = timedelta(days=90)
SUGGESTIONS = 3


class ConflictError(RefusalError):
    """The artist is taken; ``taken`` are the bookings in the way, in order of time."""

    slug = "booking-conflict"

    def __init__(self, asked: Slot, taken: Sequence[Booking]) -> None:
        """Refuse ``asked`` because of ``taken``."""
        super().__init__("the artist is taken at that time; next_free names windows that would work")
        self.asked = asked
        self.taken = taken


@dataclass(slots=True)
class Calendar:
    """The bookings that occupy one artist, as far as they matter to the work in hand."""

    _bookings: dict[UUID, Booking]

    def __init__(self, bookings: Iterable[Booking] = ()) -> None:
        """Begin with bookings that occupy the artist."""
        self._bookings = {booking.id: booking for booking in bookings if booking.status.occupies}

    def add(self, booking: Booking) -> None:
        """Learn of a booking that stands in the database; what is known of it already is newer."""
        if booking.status.occupies:
            self._bookings.setdefault(booking.id, booking)

    def put(self, booking: Booking) -> None:
        """Take a booking as it is now."""
        if booking.status.occupies:
            self._bookings[booking.id] = booking
        else:
            self._bookings.pop(booking.id, None)

    def in_the_way(self, slot: Slot, besides: UUID | None = None) -> list[Booking]:
        """List the bookings that overlap a slot, in order of time; ``besides`` does not count."""
        found = [b for b in self._bookings.values() if b.id != besides and b.slot.overlaps(slot)]
        return sorted(found, key=lambda booking: booking.slot)

    def hold_free(self, slot: Slot, besides: UUID | None = None) -> None:
        """Hold that a slot is free.

        Raises:
            ConflictError: it is not.
        """
        taken = self.in_the_way(slot, besides)
        if taken:
            raise ConflictError(slot, taken)


def next_free(asked: Slot, taken: Iterable[Slot]) -> list[Slot]:
    """Find up to three windows of the asked length, one after the other, that begin within 90 days of ``asked``.

    ``taken`` are the slots in the way, in order of start; they may overlap ``asked`` and each other.
    """
    length = asked.end - asked.start
    latest = asked.start + HORIZON
    windows: list[Slot] = []
    start = asked.start
    for slot in [*taken, None]:
        while len(windows) < SUGGESTIONS and start <= latest and (slot is None or start + length <= slot.start):
            windows.append(Slot(start, start + length))
            start += length
        if len(windows) == SUGGESTIONS or slot is None or start > latest:
            break
        start = max(start, slot.end)
    return windows


def free_within(window: Slot, taken: Iterable[Slot]) -> list[Slot]:
    """List what is free within a window; ``taken`` in order of start."""
    free: list[Slot] = []
    start = window.start
    for slot in taken:
        if slot.start > start:
            free.append(Slot(start, min(slot.start, window.end)))
        start = max(start, slot.end)
        if start >= window.end:
            return free
    if start < window.end:
        free.append(Slot(start, window.end))
    return free
