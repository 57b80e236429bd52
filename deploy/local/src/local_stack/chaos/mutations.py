"""Mutations: ways in which the services could be wrong, each of which a check must find. None is ever installed.

A mutation replaces something of the real code in one process, at its start (see `mutant`). It names the checks that
must report a breach, all of them, and the drill that brings it out.
"""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection

from booking.adapters import bookings
from booking.adapters.roster import Roster
from booking.domain.booking import Booking, Slot
from booking.domain.calendar import Calendar
from local_stack.chaos.checks import calendar, commands, streams, trail, watchers
from notifications.application import admission
from notifications.application.hubs import Hubs
from notifications.domain.positions import LiveEvent
from notifications.domain.resumption import Head as StreamHead
from notifications.domain.resumption import Start, starts
from production_contracts.artists import Artist
from production_contracts.envelope import KafkaRecord
from production_contracts.events import Stream
from servicekit import journal, worker
from servicekit.audit import store
from servicekit.audit.chain import Entered
from servicekit.journal import Head, KnownOutcome, LoggedOutcome, StoredEvent
from servicekit.kafka import Record, _Consumption
from servicekit.relay import Relay


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutation:
    """One way to be wrong: in which service, how, what finds it, and what brings it out."""

    service: str
    breaks: str
    """What the service does then, as the documents tell it."""
    bites: frozenset[str]
    """The names of the checks that report it."""
    apply: Callable[[], None]
    drill: str = "ordinary"
    """The drill (see `drills.DRILLS`) that brings it out, after the ordinary work that every run does."""


def _commit_first() -> None:
    take = _Consumption.take

    async def commit_then_take(self: _Consumption, records: tuple[Record, ...]) -> None:
        if self._commits:
            await self._commit(records)
        await take(self, records)

    _replace(_Consumption, "take", commit_then_take)


def _forget_commands() -> None:
    async def nothing(_connection: AsyncConnection, _commands: object) -> dict[tuple[UUID, UUID], KnownOutcome]:
        return {}

    _replace(journal, "known_commands", nothing)


def _forget_keys() -> None:
    logged = worker._logged  # noqa: SLF001 - the service is to be wrong, which its interface does not offer

    async def nothing(_connection: AsyncConnection, _keys: object) -> dict[tuple[UUID, str, str], KnownOutcome]:
        return {}

    def logged_without_key(*of: Any) -> LoggedOutcome:  # noqa: ANN401 - as the original takes it
        return replace(logged(*of), key=None, fingerprint=None)

    _replace(journal, "known_keys", nothing)
    _replace(worker, "_logged", logged_without_key)


def _forget_outcomes() -> None:
    append = journal.append

    async def append_events(
        connection: AsyncConnection,
        stream: Stream,
        events: Sequence[StoredEvent],
        _outcomes: object,
        heads: dict[UUID, Head],
    ) -> None:
        await append(connection, stream, events, [], heads)

    _replace(journal, "append", append_events)


def _skip_entries() -> None:
    append = store.append

    async def append_accepted(connection: AsyncConnection, entered: Sequence[Entered]) -> None:
        await append(connection, [one for one in entered if one.decided.outcome == "accepted"])

    _replace(store, "append", append_accepted)


def _skip_events() -> None:
    append = journal.append

    async def append_most(
        connection: AsyncConnection,
        stream: Stream,
        events: Sequence[StoredEvent],
        outcomes: Sequence[LoggedOutcome],
        heads: dict[UUID, Head],
    ) -> None:
        kept = [event for event in events if event.type != "BookingConfirmed"]
        for event in events:
            heads[event.tenant_id].position -= event not in kept
        await append(connection, stream, kept, outcomes, heads)

    _replace(journal, "append", append_most)


def _skip_position() -> None:
    enter = worker._Batch._enter  # noqa: SLF001 - as above

    def enter_and_skip(self: Any, command: Any, decision: Any) -> None:  # noqa: ANN401 - as the original takes it
        enter(self, command, decision)
        if any(event.type == "BookingCancelled" for event in decision.events):
            self._heads[command.tenant_id].position += 1

    _replace(worker._Batch, "_enter", enter_and_skip)  # noqa: SLF001 - as above


def _publish_first() -> None:
    publish = Relay._publish_lane  # noqa: SLF001 - as above

    async def mark_then_publish(
        self: Relay, lane: int, waiting: list[tuple[UUID, int, KafkaRecord]]
    ) -> tuple[int, dict[UUID, int]]:
        async with self._database.statement() as connection:
            await journal.mark_published(connection, {tenant: position for tenant, position, _ in waiting})
        return await publish(self, lane, waiting)

    _replace(Relay, "_publish_lane", mark_then_publish)


def _publish_backwards() -> None:
    publish = Relay._publish_lane  # noqa: SLF001 - as above

    async def publish_reversed(
        self: Relay, lane: int, waiting: list[tuple[UUID, int, KafkaRecord]]
    ) -> tuple[int, dict[UUID, int]]:
        return await publish(self, lane, waiting[::-1])

    _replace(Relay, "_publish_lane", publish_reversed)


def _skip_rows() -> None:
    async def claim(_connection: AsyncConnection, _changed: object) -> bool:
        return True

    _replace(bookings, "update", claim)


def _forget_artist_changes() -> None:
    store = Roster._store  # noqa: SLF001 - as above

    async def store_new(
        self: Roster, received: Sequence[tuple[Record, UUID, Artist]], offsets: Mapping[int, int]
    ) -> None:
        await store(self, [one for one in received if one[2].version == 1], offsets)

    _replace(Roster, "_store", store_new)


def _refuse_at_once() -> None:
    async def never_doubt(_self: Roster, _artists: object) -> frozenset[bookings.Key]:
        return frozenset()

    _replace(Roster, "await_artists", never_doubt)


def _allow_overlaps() -> None:
    """Let neither the domain nor the database object: without its constraint the database is spoilt for good."""
    owner = os.environ["BOOKING_DATABASE_OWNER_URL"].replace("postgresql+asyncpg://", "postgresql://", 1)
    with psycopg.connect(owner) as connection:
        connection.execute("alter table bookings drop constraint if exists no_double_booking")

    def whatever(_self: Calendar, _slot: Slot, besides: UUID | None = None) -> list[Booking]:
        del besides
        return []

    _replace(Calendar, "in_the_way", whatever)


def _forget_resume() -> None:
    def at_the_head(heads: dict[str, StreamHead], _after: object, epoch: str | None, furthest: int) -> dict[str, Start]:
        return starts(heads, {}, epoch, furthest)

    _replace(admission, "starts", at_the_head)


def _mix_rooms() -> None:
    receive = Hubs.receive

    def receive_everywhere(self: Hubs, tenant_id: UUID, events: Collection[LiveEvent]) -> None:
        for tenant in {tenant_id, *self._hubs}:
            receive(self, tenant, list(events))

    _replace(Hubs, "receive", receive_everywhere)


def _replace(owner: object, name: str, other: object) -> None:
    """Put something in the place of what is there; where nothing is, the mutation has outlived the code it mutates."""
    if not hasattr(owner, name):
        message = f"{owner} has no {name} any more: this mutation would mutate nothing, write it anew"
        raise AttributeError(message)
    setattr(owner, name, other)


MUTATIONS: Final[Mapping[str, Mutation]] = {
    "commit-first": Mutation(
        service="booking",
        breaks="commits a batch's offsets before it is decided; a death in between loses it",
        bites=frozenset({commands.ONE_OUTCOME, commands.NOTHING_DROPPED}),
        apply=_commit_first,
        drill="killed-in-hand",
    ),
    "forget-commands": Mutation(
        service="booking",
        breaks="does not look a redelivered command up in the log",
        bites=frozenset({commands.NOTHING_DROPPED}),
        apply=_forget_commands,
        drill="redelivered",
    ),
    "forget-keys": Mutation(
        service="booking",
        breaks="neither remembers an `Idempotency-Key` nor looks it up",
        bites=frozenset({commands.ONE_OUTCOME}),
        apply=_forget_keys,
    ),
    "forget-outcomes": Mutation(
        service="booking",
        breaks="writes events without the outcome of their command",
        bites=frozenset({commands.ONE_OUTCOME, commands.APPLIED_ONCE, commands.NOTHING_DROPPED}),
        apply=_forget_outcomes,
    ),
    "skip-entries": Mutation(
        service="booking",
        breaks="leaves refused commands out of the audit trail",
        bites=frozenset({trail.TRAIL}),
        apply=_skip_entries,
    ),
    "skip-events": Mutation(
        service="booking",
        breaks="answers a confirmation whose event it does not store",
        bites=frozenset({commands.ANSWERED_STANDS, streams.REPLAY}),
        apply=_skip_events,
    ),
    "skip-position": Mutation(
        service="booking",
        breaks="leaves a position out after a cancellation",
        bites=frozenset({streams.GAP_FREE, watchers.WATCHERS}),
        apply=_skip_position,
    ),
    "publish-first": Mutation(
        service="booking",
        breaks="marks events published before Kafka has acknowledged them",
        bites=frozenset({streams.TOPIC_IS_STORE}),
        apply=_publish_first,
        drill="kafka-killed",
    ),
    "publish-backwards": Mutation(
        service="booking",
        breaks="publishes the events of a round in reverse",
        bites=frozenset({streams.TOPIC_IS_STORE}),
        apply=_publish_backwards,
        drill="decided-together",
    ),
    "skip-rows": Mutation(
        service="booking",
        breaks="does not write the row of an amended booking",
        bites=frozenset({commands.ANSWERED_STANDS, streams.REPLAY}),
        apply=_skip_rows,
    ),
    "forget-artist-changes": Mutation(
        service="booking",
        breaks="passes over changes of artists in the roster's topic",
        bites=frozenset({streams.ROSTER}),
        apply=_forget_artist_changes,
    ),
    "refuse-at-once": Mutation(
        service="booking",
        breaks="does not wait for the roster before it refuses an artist as unknown",
        bites=frozenset({commands.CAUSE_BEFORE_EFFECT}),
        apply=_refuse_at_once,
        drill="roster-behind",
    ),
    "forget-resume": Mutation(
        service="notifications",
        breaks="lets a socket that comes back begin at the head",
        bites=frozenset({watchers.WATCHERS}),
        apply=_forget_resume,
    ),
    "mix-rooms": Mutation(
        service="notifications",
        breaks="hands a tenant's events to the rooms of others",
        bites=frozenset({watchers.WATCHERS}),
        apply=_mix_rooms,
    ),
    "allow-overlaps": Mutation(
        service="booking",
        breaks="looks at no neighbours, in a database without `no_double_booking`",
        bites=frozenset({calendar.NO_OVERLAP}),
        apply=_allow_overlaps,
    ),
}
"""By name; the last one leaves a database behind in which overlaps can stand."""
