"""A hub: the sockets of one tenant on this instance, and how far each of them is in each stream."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog
from prometheus_client import Counter, Histogram

from notifications.application.history import History
from notifications.application.messages import occurred_at
from notifications.application.ports import Audience, Emitter
from notifications.domain.positions import LiveEvent, Step, step
from notifications.domain.resumption import Head, epoch_of
from production_contracts.events import STREAMS
from servicekit import clock
from servicekit.problems import ProblemError
from servicekit.tokens import Principal

FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 5.0

DELIVERED = Counter("notifications_delivered", "Events sent to sockets, counted per socket")
DELIVERY_SECONDS = Histogram(
    "notifications_delivery_seconds",
    "From when an event occurred until it was handed to the sockets that watch",
    ["stream"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
_DELIVERY_SECONDS_OF: Final[Mapping[str, Histogram]] = {stream: DELIVERY_SECONDS.labels(stream) for stream in STREAMS}
GAPS = Counter("notifications_gaps", "Times that events were found missing and fetched", ["stream"])

log = structlog.get_logger(__name__)


@dataclass(kw_only=True, slots=True, eq=False)
class Seat:
    """A socket's place in its hub: who sits there, and the last position it was sent of each stream.

    While it is where its hub is, the hub's positions are its own, and those here are those of before.
    """

    sid: str
    principal: Principal
    positions: dict[str, int]


class Hub:
    """Hands a tenant's events to its sockets: to each of them each event past its position once, in order.

    An event arrives through `receive` and is passed on to the seats that are *level* with the hub, and to those *ahead*
    of it once it has passed them; none of these is behind. Between a look at a position and what is done about it
    nothing waits, so no other event comes between. A seat that joins catches up by itself until it meets the hub.
    """

    def __init__(
        self,
        tenant_id: UUID,
        heads: Mapping[str, Head],
        *,
        history: History,
        emitter: Emitter,
        slots: asyncio.Semaphore,
        lose: Callable[[str], None],
    ) -> None:
        """Begin at ``heads``, without sockets.

        Args:
            tenant_id: whose hub it is.
            heads: how far each stream is.
            history: what happened past a position.
            emitter: writes to the sockets.
            slots: bounds how many reads of history are under way in this instance.
            lose: told of a socket that takes nothing any more; it must give its place up (`leave`).
        """
        self.tenant_id = tenant_id
        self.epoch = epoch_of(dict(heads))
        self.positions = {stream: head.position for stream, head in heads.items()}
        self.seats: dict[str, Seat] = {}
        self._known = dict(self.positions)
        self._level: Audience = emitter.audience()
        self._ahead: dict[str, Seat] = {}
        self._fills: dict[str, asyncio.Task[None]] = {}
        self._history = history
        self._emitter = emitter
        self._slots = slots
        self._lose = lose

    def token(self) -> str:
        """Name the token that lasts longest among those of the seats; there must be one."""
        return max((seat.principal for seat in self.seats.values()), key=lambda principal: principal.exp).token

    def receive(self, events: Sequence[LiveEvent]) -> None:
        """Take events of one stream, whenever and however often they come; what is missing before one is fetched."""
        ready: list[LiveEvent] = []
        for event in events:
            match step(ready[-1].position if ready else self.positions[event.stream], event.position):
                case Step.NEXT:
                    ready.append(event)
                case Step.BEYOND:
                    self.learn(event.stream, event.position)
                case Step.PASSED:
                    pass
        if ready:
            self._pass_on(ready)

    def learn(self, stream: str, position: int) -> None:
        """Take note that a stream is at ``position`` at least: what is missing up to there is fetched."""
        self._known[stream] = max(self._known[stream], position)
        if self._known[stream] > self.positions[stream] and stream not in self._fills and self.seats:
            GAPS.labels(stream).inc()
            self._fills[stream] = asyncio.create_task(self._fill(stream), name=f"fill-{stream}")

    async def join(self, seat: Seat) -> None:
        """Bring a seat from its positions to the hub's, then attach it; ends early when its socket is lost.

        The seat must have been taken before (`take`).
        """
        wait = FIRST_WAIT_S
        while (stream := self._behind(seat)) is not None:
            try:
                events = await self._fetch(stream, seat.positions[stream], lambda: seat.principal.token)
            except ProblemError as error:
                log.info("catch_up_waits", stream=stream, problem=error.kind.slug, wait_s=wait)
                events = []
            if events:
                seat.positions[stream] = events[-1].position
                if not self._send(events, [seat.sid]):
                    return
                wait = FIRST_WAIT_S
                if not await self._emitter.drained(seat.sid):
                    self._lose(seat.sid)
                    return
            else:
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT_S)
        if seat.sid in self.seats:
            self._place(seat)

    def take(self, seat: Seat) -> None:
        """Give a socket its place; it is sent nothing before it has joined."""
        self.seats[seat.sid] = seat

    def leave(self, sid: str) -> None:
        """Give a place up."""
        self.seats.pop(sid, None)
        self._level.discard(sid)
        self._ahead.pop(sid, None)
        if not self.seats:
            for task in self._fills.values():
                task.cancel()

    async def stop(self) -> None:
        """Wait until nothing is being fetched any more; every place was given up."""
        if fills := list(self._fills.values()):
            await asyncio.wait(fills)

    def _behind(self, seat: Seat) -> str | None:
        return next((name for name, position in self.positions.items() if seat.positions[name] < position), None)

    def _place(self, seat: Seat) -> None:
        """Keep a seat that is not behind where it belongs."""
        if seat.positions == self.positions:
            self._ahead.pop(seat.sid, None)
            self._level.add(seat.sid)
        else:
            self._ahead[seat.sid] = seat

    def _pass_on(self, events: Sequence[LiveEvent]) -> None:
        """Send events that follow each other, all of one stream, to each seat past its position."""
        stream, before, last = events[0].stream, events[0].position - 1, events[-1].position
        self.positions[stream] = last
        if sockets := len(self._level):
            self._account(events, sockets, self._level.deliver(events))
            _measure(events)
        for seat in list(self._ahead.values()):
            if (position := seat.positions[stream]) < last:
                seat.positions[stream] = last
                self._send(events[position - before :], [seat.sid])
            if seat.sid in self._ahead:
                self._place(seat)

    def _send(self, events: Sequence[LiveEvent], sids: list[str]) -> bool:
        lost = self._emitter.deliver(events, sids)
        self._account(events, len(sids), lost)
        return not lost

    def _account(self, events: Sequence[LiveEvent], sockets: int, lost: Sequence[str]) -> None:
        DELIVERED.inc(len(events) * (sockets - len(lost)))
        for sid in lost:
            self._lose(sid)

    async def _fetch(self, stream: str, position: int, token: Callable[[], str]) -> list[LiveEvent]:
        async with self._slots:
            return await self._history.after(self.tenant_id, stream, position, token())

    async def _fill(self, stream: str) -> None:
        try:
            await self._fetch_missing(stream)
        except Exception:
            # The next look at the heads begins anew.
            log.exception("fill_failed", stream=stream)
        finally:
            del self._fills[stream]

    async def _fetch_missing(self, stream: str) -> None:
        wait = FIRST_WAIT_S
        while self.seats and self.positions[stream] < self._known[stream]:
            known = self._known[stream]
            try:
                events = await self._fetch(stream, self.positions[stream], self.token)
            except ProblemError as error:
                log.info("fill_waits", stream=stream, problem=error.kind.slug, wait_s=wait)
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT_S)
                continue
            wait = FIRST_WAIT_S
            self.receive(events)
            if not events and self._known[stream] == known:
                # Owners commit before anybody hears of it: what they do not have is not there.
                self._known[stream] = self.positions[stream]


def _measure(events: Sequence[LiveEvent]) -> None:
    now = clock.now()
    measured = _DELIVERY_SECONDS_OF[events[0].stream]
    for event in events:
        if (since := occurred_at(event)) is not None:
            measured.observe(max(0.0, (now - since).total_seconds()))
