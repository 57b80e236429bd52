"""Work for the booking consumer: commands, and what becomes of each.

Of every hundred commands 50 create a booking, 25 confirm one, 20 cancel one, and 5 want a night that is taken. They are
made in the order in which they will stand on Kafka, tenants mixed. The outcome of each is decided here too, by the same
domain, so that a script which only writes rows can write the same ones.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from uuid_utils.compat import uuid7

from booking.application.representation import booking_json, conflict_json, slot_json
from booking.domain.booking import Booking, Slot, Stamp, Status
from booking.domain.calendar import next_free
from production_contracts import commands, events, problems
from production_contracts.commands import Author, Command, CommandBody
from production_contracts.records import Record
from production_contracts.roles import Role
from servicekit.deciding import Decision, NewEvent, refuse

SHARES: Final = {"create": 50, "confirm": 25, "cancel": 20, "conflict": 5}
FIRST_NIGHT: Final = datetime(2027, 5, 8, 20, tzinfo=UTC)
NIGHT: Final = timedelta(hours=3, minutes=30)
ACTOR: Final = "user_bench"
ARTISTS: Final = 10
_KEPT: Final = timedelta(hours=2)

Night = Callable[[UUID, int], int]


@dataclass(frozen=True, kw_only=True)
class Decided:
    """A command, its outcome, and the booking after it (None: nothing happened)."""

    command: Command
    decision: Decision
    at: datetime
    position: int
    booking: Booking | None


@dataclass(kw_only=True)
class _Tenant:
    """A tenant as it stands while work is made."""

    id: UUID
    artists: list[UUID]
    position: int = 0
    nights: dict[UUID, int] = field(default_factory=dict)
    pencils: list[Booking] = field(default_factory=list)
    active: dict[UUID, Booking] = field(default_factory=dict)


class Workload:
    """Commands of some tenants, each with what becomes of it."""

    def __init__(
        self,
        tenants: Sequence[UUID],
        count: int,
        *,
        artists: Mapping[UUID, Sequence[UUID]] | None = None,
        night: Night = lambda _artist, number: number,
        seed: int = 1,
    ) -> None:
        """Make ``count`` commands of these tenants; of their artists, or else of ten new ones each.

        ``night`` tells which night is booked of an artist for the first, second, … time.
        """
        self._random = random.Random(seed)  # noqa: S311 - the same work each time
        self._now = datetime.now(UTC).replace(microsecond=0)
        self._night = night
        cast = artists or {tenant: [uuid7() for _ in range(ARTISTS)] for tenant in tenants}
        self._tenants = [_Tenant(id=tenant, artists=list(cast[tenant])) for tenant in tenants]
        self.artists = {tenant.id: tenant.artists for tenant in self._tenants}
        self.decided = [self._next() for _ in range(count)]

    @property
    def commands(self) -> list[Command]:
        """The commands, in order."""
        return [one.command for one in self.decided]

    def batches(self, size: int) -> list[Sequence[Decided]]:
        """Cut the work into batches."""
        return [self.decided[first : first + size] for first in range(0, len(self.decided), size)]

    def _next(self) -> Decided:
        tenant = self._random.choice(self._tenants)
        (kind,) = self._random.choices(list(SHARES), weights=list(SHARES.values()))
        if kind == "confirm" and tenant.pencils:
            return self._confirm(tenant)
        if kind == "cancel" and tenant.active:
            return self._cancel(tenant)
        if kind == "conflict" and tenant.active:
            return self._conflict(tenant)
        return self._create(tenant)

    def _create(self, tenant: _Tenant) -> Decided:
        artist = self._random.choice(tenant.artists)
        count = tenant.nights.get(artist, 0)
        tenant.nights[artist] = count + 1
        number = self._night(artist, count)
        start = FIRST_NIGHT + number * timedelta(days=1)
        data = commands.CreateBooking(
            artist_id=artist,
            start_time=start,
            end_time=start + NIGHT,
            status="pencil",
            title=f"Night {number}",
            venue="Barton Hall, Ithaca",
        )
        command = self._command(tenant, data, uuid7())
        booking = Booking(
            id=command.aggregate_id,
            artist_id=artist,
            slot=Slot(start, start + NIGHT),
            status=Status.PENCIL,
            title=data.title,
            venue=data.venue,
            notes=None,
            contact=None,
            fee=None,
            version=1,
            position=tenant.position + 1,
            created_by=ACTOR,
            created_at=self._now,
            updated_at=self._now,
        )
        tenant.pencils.append(booking)
        return self._happened(tenant, command, booking, events.BOOKING_CREATED, status=201)

    def _confirm(self, tenant: _Tenant) -> Decided:
        booking = tenant.pencils.pop(self._random.randrange(len(tenant.pencils)))
        confirmed = booking.confirm(self._stamp(tenant))
        command = self._command(tenant, commands.ConfirmBooking(), booking.id)
        return self._happened(tenant, command, confirmed, events.BOOKING_CONFIRMED)

    def _cancel(self, tenant: _Tenant) -> Decided:
        booking = tenant.active[self._random.choice(list(tenant.active))]
        tenant.pencils = [pencil for pencil in tenant.pencils if pencil.id != booking.id]
        cancelled = booking.cancel(self._stamp(tenant))
        command = self._command(tenant, commands.CancelBooking(), booking.id)
        return self._happened(tenant, command, cancelled, events.BOOKING_CANCELLED)

    def _conflict(self, tenant: _Tenant) -> Decided:
        taken = tenant.active[self._random.choice(list(tenant.active))]
        data = commands.CreateBooking(
            artist_id=taken.artist_id,
            start_time=taken.slot.start,
            end_time=taken.slot.end,
            status="pencil",
            title="Too late",
        )
        slots = sorted(booking.slot for booking in tenant.active.values() if booking.artist_id == taken.artist_id)
        free = [slot_json(slot) for slot in next_free(taken.slot, [slot for slot in slots if slot >= taken.slot])]
        detail = "the artist is taken at that time; next_free names windows that would work"
        decision = refuse(problems.BOOKING_CONFLICT, detail, conflicts=[conflict_json(taken)], next_free=free)
        command = self._command(tenant, data, uuid7())
        return Decided(command=command, decision=decision, at=self._now, position=tenant.position, booking=None)

    def _stamp(self, tenant: _Tenant) -> Stamp:
        return Stamp(actor=ACTOR, at=self._now, position=tenant.position + 1)

    def _command(self, tenant: _Tenant, data: Record, aggregate_id: UUID) -> Command:
        body = CommandBody(
            author=Author(sub=ACTOR, role=Role.MEMBER, iat=int(self._now.timestamp())),
            expires_at=self._now + _KEPT,
            data=data,
        )
        return Command(
            id=uuid7(), type=commands.BY_DATA[type(data)], tenant_id=tenant.id, aggregate_id=aggregate_id, body=body
        )

    def _happened(
        self, tenant: _Tenant, command: Command, booking: Booking | None, kind: events.EventType, *, status: int = 200
    ) -> Decided:
        assert booking is not None  # noqa: S101 - the work asks for nothing that is so already
        tenant.position += 1
        if booking.status.occupies:
            tenant.active[booking.id] = booking
        else:
            del tenant.active[booking.id]
        body: dict[str, Any] = booking_json(booking)
        event = NewEvent(type=kind.name, aggregate_id=booking.id, version=booking.version, data=body)
        return Decided(
            command=command,
            decision=Decision(status=status, body=body, events=(event,)),
            at=self._now,
            position=tenant.position,
            booking=booking,
        )
