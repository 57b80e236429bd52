"""A batch of booking commands, decided in memory under the locks of its streams, and saved as its net result."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from booking.adapters import bookings
from booking.adapters.bookings import Key
from booking.application.representation import booking_json, conflict_json, slot_json
from booking.domain.booking import (
    ArtistArchivedError,
    ArtistNotFoundError,
    Booking,
    BookingNotFoundError,
    Contact,
    Fee,
    InvalidTransitionError,
    RefusalError,
    Slot,
    Stamp,
    Status,
)
from booking.domain.calendar import HORIZON, Calendar, ConflictError, next_free
from production_contracts import commands as asked
from production_contracts import events, problems
from production_contracts.commands import Command
from production_contracts.times import LATEST
from servicekit.deciding import Decision, ForeignWriteError, NewEvent, refuse

MOST_CONFLICTS_TOLD = 100
MOST_NEIGHBOURS = 1_000
"""Bookings looked at to explain a conflict; beyond the last of so many nothing is promised to be free."""


class BookingLedger:
    """The bookings that a batch is about: as loaded, as they are now, and what to explain at the end."""

    def __init__(self, doubtful: frozenset[Key] = frozenset()) -> None:
        """Begin empty; ``doubtful`` artists are not in the roster, but the roster lags."""
        self._doubtful = doubtful
        self._artists: dict[Key, str] = {}
        self._loaded: dict[Key, Booking] = {}
        self._current: dict[Key, Booking] = {}
        self._calendars: dict[Key, Calendar] = defaultdict(Calendar)
        self._to_explain: list[tuple[UUID, UUID, Slot, UUID | None, dict[str, Any]]] = []
        self._decide: dict[type, Callable[[Command, Stamp], Decision]] = {
            asked.CreateBooking: self._create,
            asked.ConfirmBooking: self._confirm,
            asked.CancelBooking: self._cancel,
            asked.RescheduleBooking: self._reschedule,
            asked.AmendBooking: self._amend,
        }

    @classmethod
    async def load(
        cls, connection: AsyncConnection, commands: Sequence[Command], doubtful: frozenset[Key] = frozenset()
    ) -> "BookingLedger":
        """Load the bookings that commands name, the artists of new ones, and what is in the way of their slots."""
        ledger = cls(doubtful)
        ledger._loaded = await bookings.load(connection, {_key(command) for command in commands})
        ledger._current = dict(ledger._loaded)
        artists: dict[Key, set[UUID]] = defaultdict(set)  # two commands may want to create one booking
        for command in commands:
            if isinstance(data := command.body.data, asked.CreateBooking):
                artists[_key(command)].add(data.artist_id)
        wanted = {(tenant, artist) for (tenant, _), named in artists.items() for artist in named}
        ledger._artists = await bookings.artist_states(connection, wanted)
        for key, booking in ledger._loaded.items():
            artists[key].add(booking.artist_id)
        windows = [
            (command.tenant_id, artist, Slot(data.start_time, data.end_time))
            for command in commands
            if isinstance(data := command.body.data, asked.CreateBooking | asked.RescheduleBooking)
            for artist in artists[_key(command)]
        ]
        for tenant, booking in await bookings.neighbours(connection, windows, MOST_NEIGHBOURS):
            ledger._calendars[tenant, booking.artist_id].add(booking)
        return ledger

    def decide(self, command: Command, *, position: int, now: datetime) -> Decision:
        """Decide one command after those before it."""
        stamp = Stamp(actor=command.body.author.sub, at=now, position=position)
        try:
            return self._decide[type(command.body.data)](command, stamp)
        except ConflictError as conflict:
            return self._explain(command, conflict)
        except RefusalError as refusal:
            return refuse(problems.PROBLEM_TYPES[refusal.slug], refusal.detail)

    async def complete(self, connection: AsyncConnection) -> None:
        """Work out when each refused booking would be possible, after everything in this batch."""
        windows = {
            (tenant, artist, Slot(slot.start, slot.start + HORIZON + (slot.end - slot.start)))
            for tenant, artist, slot, _, _ in self._to_explain
        }
        taken: dict[Key, dict[UUID, Booking]] = defaultdict(dict)
        for tenant, booking in await bookings.neighbours(connection, list(windows), MOST_NEIGHBOURS):
            taken[tenant, booking.artist_id][booking.id] = booking
        for (tenant, _), booking in self._current.items():
            taken[tenant, booking.artist_id][booking.id] = booking
        for tenant, artist, slot, besides, body in self._to_explain:
            slots = sorted(b.slot for b in taken[tenant, artist].values() if b.status.occupies and b.id != besides)
            if len(slots) >= MOST_NEIGHBOURS:
                slots.append(Slot(slots[-1].end, datetime.max.replace(tzinfo=slot.end.tzinfo)))
            body["next_free"] = [slot_json(free) for free in next_free(slot, slots) if free.end <= LATEST]

    async def save(self, connection: AsyncConnection) -> None:
        """Write the net state: rows whose slot or status changed are deleted and inserted again, others updated."""
        old: list[Key] = []
        new: list[tuple[UUID, Booking]] = []
        amended: list[tuple[UUID, Booking]] = []
        for key, booking in self._current.items():
            before = self._loaded.get(key)
            if before is booking:
                continue
            if before is not None and (before.slot, before.status) == (booking.slot, booking.status):
                amended.append((key[0], booking))
                continue
            if before is not None:
                old.append(key)
            new.append((key[0], booking))
        if not (await bookings.replace(connection, old, new) and await bookings.update(connection, amended)):
            message = f"another writer is in the way of {len(new) + len(amended)} bookings"
            raise ForeignWriteError(message)

    def _create(self, command: Command, stamp: Stamp) -> Decision:
        data = command.body.data
        assert isinstance(data, asked.CreateBooking)  # noqa: S101 - the table of __init__ says so
        key, artist = _key(command), (command.tenant_id, data.artist_id)
        if key in self._current:
            message = "there is a booking with this id"
            raise InvalidTransitionError(message)
        if artist not in self._artists:
            if artist in self._doubtful:
                detail = "the roster is behind for the moment, and this artist not known yet; try again"
                return refuse(problems.UNAVAILABLE, detail, remember=False)
            message = "there is no such artist"
            raise ArtistNotFoundError(message)
        if self._artists[artist] != "active":
            message = "this artist is archived and takes no new bookings"
            raise ArtistArchivedError(message)
        slot = Slot(data.start_time, data.end_time)
        self._calendars[artist].hold_free(slot)
        stated = data.model_dump()
        made = Booking(
            id=key[1],
            artist_id=data.artist_id,
            slot=slot,
            status=Status(data.status),
            title=data.title,
            venue=data.venue,
            notes=stated["notes"],
            contact=Contact.of(stated["contact"]),
            fee=Fee.of(stated["fee"]),
            version=1,
            position=stamp.position,
            created_by=stamp.actor,
            created_at=stamp.at,
            updated_at=stamp.at,
        )
        return self._happened(key, made, events.BOOKING_CREATED, status=201)

    def _confirm(self, command: Command, stamp: Stamp) -> Decision:
        key, booking = self._found(command)
        return self._happened(key, booking.confirm(stamp), events.BOOKING_CONFIRMED)

    def _cancel(self, command: Command, stamp: Stamp) -> Decision:
        data = command.body.data
        assert isinstance(data, asked.CancelBooking)  # noqa: S101 - the table of __init__ says so
        key, booking = self._found(command)
        beside = {} if data.reason is None else {"reason": data.reason}
        return self._happened(key, booking.cancel(stamp), events.BOOKING_CANCELLED, beside)

    def _reschedule(self, command: Command, stamp: Stamp) -> Decision:
        data = command.body.data
        assert isinstance(data, asked.RescheduleBooking)  # noqa: S101 - the table of __init__ says so
        key, booking = self._found(command)
        slot = Slot(data.start_time, data.end_time)
        moved = booking.reschedule(stamp, slot)
        if moved is not None:
            self._calendars[key[0], booking.artist_id].hold_free(slot, besides=booking.id)
        return self._happened(key, moved, events.BOOKING_RESCHEDULED, {"previous": slot_json(booking.slot)})

    def _amend(self, command: Command, stamp: Stamp) -> Decision:
        data = command.body.data
        assert isinstance(data, asked.AmendBooking)  # noqa: S101 - the table of __init__ says so
        key, booking = self._found(command)
        return self._happened(key, booking.amend(stamp, data.model_dump(exclude_unset=True)), events.BOOKING_AMENDED)

    def _found(self, command: Command) -> tuple[Key, Booking]:
        key = _key(command)
        booking = self._current.get(key)
        if booking is None:
            message = "there is no such booking"
            raise BookingNotFoundError(message)
        booking.expect(command.body.expected_versions)
        return key, booking

    def _happened(
        self,
        key: Key,
        after: Booking | None,
        event: events.EventType,
        beside: Mapping[str, Any] = MappingProxyType({}),
        *,
        status: int = 200,
    ) -> Decision:
        """Decide that something happened, or is so already; ``beside`` joins the booking in the event's data."""
        if after is None:
            return Decision(status=status, body=booking_json(self._current[key]))
        self._current[key] = after
        self._calendars[key[0], after.artist_id].put(after)
        body = booking_json(after)
        made = NewEvent(type=event.name, aggregate_id=after.id, version=after.version, data={**body, **beside})
        return Decision(status=status, body=body, events=(made,))

    def _explain(self, command: Command, conflict: ConflictError) -> Decision:
        conflicts = [conflict_json(booking) for booking in conflict.taken[:MOST_CONFLICTS_TOLD]]
        refusal = refuse(problems.BOOKING_CONFLICT, conflict.detail, conflicts=conflicts, next_free=[])
        besides = None if isinstance(command.body.data, asked.CreateBooking) else command.aggregate_id
        artist = conflict.taken[0].artist_id
        self._to_explain.append((command.tenant_id, artist, conflict.asked, besides, refusal.body))
        return refusal


def _key(command: Command) -> Key:
    return command.tenant_id, command.aggregate_id
