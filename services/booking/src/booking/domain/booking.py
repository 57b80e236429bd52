"""A booking and its transitions.

A pencil is a hold, a confirmed booking is a deal; both occupy the artist, a cancelled one does not. Each transition
returns the booking afterwards, or None where it is so already, and raises a `Refusal` where it can't be.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID


class Status(StrEnum):
    """Where a booking stands."""

    PENCIL = "pencil"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"

    @property
    def occupies(self) -> bool:
        """Whether a booking in this state occupies its artist."""
        return self is not Status.CANCELLED


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """A half-open range of time ``[start, end)``."""

    start: datetime
    end: datetime

    def overlaps(self, other: "Slot") -> bool:
        """Tell whether the two share a moment."""
        return self.start < other.end and other.start < self.end


class RefusalError(Exception):
    """A command can't be carried out; ``detail`` says why and what to do."""

    slug: str

    def __init__(self, detail: str) -> None:
        """Refuse, with what the caller is told."""
        super().__init__(detail)
        self.detail = detail


class InvalidTransitionError(RefusalError):
    """The booking's state does not allow it."""

    slug = "invalid-transition"


class VersionMismatchError(RefusalError):
    """The booking has moved on since the caller saw it."""

    slug = "version-mismatch"


class BookingNotFoundError(RefusalError):
    """The tenant has no such booking."""

    slug = "not-found"


class ArtistNotFoundError(RefusalError):
    """The tenant has no such artist."""

    slug = "not-found"


class ArtistArchivedError(RefusalError):
    """The artist takes no new bookings."""

    slug = "artist-archived"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """Who did something, when, and the position that the event of it gets."""

    actor: str
    at: datetime
    position: int


Sealed = Mapping[str, str]
"""What the gateway has sealed: it can be kept, copied and compared here, never read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Whom to call about a booking; at least one of the three is there."""

    name: Sealed | None = None
    email: Sealed | None = None
    phone: Sealed | None = None

    @classmethod
    def of(cls, members: Mapping[str, Sealed | None] | None) -> Self | None:
        """Make a contact of its members; one without any is none."""
        if members is None:
            return None
        contact = cls(name=members.get("name"), email=members.get("email"), phone=members.get("phone"))
        return contact if any(contact.members.values()) else None

    @property
    def members(self) -> dict[str, Sealed | None]:
        """Give the members by name."""
        return {"name": self.name, "email": self.email, "phone": self.phone}


def merge_contact(before: Contact | None, patch: Mapping[str, Sealed | None] | None) -> Contact | None:
    """Merge a patch into a contact: what it names is replaced or cleared, what it does not name stays (RFC 7396)."""
    if before is None or patch is None:
        return Contact.of(patch)
    return Contact.of({**before.members, **patch})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fee:
    """What a booking pays; always whole."""

    amount: Sealed
    currency: Sealed

    @classmethod
    def of(cls, members: Mapping[str, Sealed] | None) -> Self | None:
        """Make a fee of its members."""
        return None if members is None else cls(amount=members["amount"], currency=members["currency"])

    @property
    def members(self) -> dict[str, Sealed]:
        """Give the members by name."""
        return {"amount": self.amount, "currency": self.currency}


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """A booking; ``notes``, ``contact`` and ``fee`` are sealed and opaque here."""

    id: UUID
    artist_id: UUID
    slot: Slot
    status: Status
    title: str
    venue: str | None
    notes: Sealed | None
    contact: Contact | None = None
    fee: Fee | None = None
    version: int
    position: int
    created_by: str
    created_at: datetime
    updated_at: datetime

    def _changed(self, stamp: Stamp, **changes: Any) -> Self:  # noqa: ANN401 - fields of this record
        return replace(self, version=self.version + 1, position=stamp.position, updated_at=stamp.at, **changes)

    def expect(self, versions: list[int] | None) -> None:
        """Hold that the caller has seen this version (None: the caller does not mind).

        Raises:
            VersionMismatchError: the booking has moved on.
        """
        if versions is not None and self.version not in versions:
            message = f"the booking is at version {self.version}: read it again and decide anew"
            raise VersionMismatchError(message)

    def _must_stand(self, verb: str) -> None:
        if self.status is Status.CANCELLED:
            message = f"a cancelled booking can't be {verb}; create a new one"
            raise InvalidTransitionError(message)

    def confirm(self, stamp: Stamp) -> Self | None:
        """Make the pencil a deal; None where it is one.

        Raises:
            InvalidTransitionError: it is cancelled.
        """
        self._must_stand("confirmed")
        return None if self.status is Status.CONFIRMED else self._changed(stamp, status=Status.CONFIRMED)

    def cancel(self, stamp: Stamp) -> Self | None:
        """Release the artist; None where that has happened."""
        return None if self.status is Status.CANCELLED else self._changed(stamp, status=Status.CANCELLED)

    def reschedule(self, stamp: Stamp, slot: Slot) -> Self | None:
        """Move it; None where it is there. Whether the slot is free is the calendar's to say.

        Raises:
            InvalidTransitionError: it is cancelled.
        """
        self._must_stand("rescheduled")
        return None if self.slot == slot else self._changed(stamp, slot=slot)

    def amend(self, stamp: Stamp, changes: Mapping[str, Any]) -> Self | None:
        """Change what it says (``title``, ``venue``, ``notes``, ``contact``, ``fee``); None where it says so.

        A contact is given as the members to merge (`merge_contact`), a fee as both of its members.

        Raises:
            InvalidTransitionError: it is cancelled.
        """
        self._must_stand("amended")
        after = dict(changes)
        if "contact" in after:
            after["contact"] = merge_contact(self.contact, after["contact"])
        if "fee" in after:
            after["fee"] = Fee.of(after["fee"])
        if all(getattr(self, name) == value for name, value in after.items()):
            return None
        return self._changed(stamp, **after)
