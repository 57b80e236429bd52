"""The hubs of this instance, one per tenant with sockets here, and the watch that finds what they were not told."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog
from prometheus_client import Counter

from notifications.application.history import History
from notifications.application.hub import Hub, Seat
from notifications.application.ports import Channel, Emitter, Owners, Recent, RecentUnavailableError
from notifications.domain.positions import LiveEvent
from notifications.domain.resumption import Head, epoch_of
from production_contracts.events import STREAMS
from servicekit.problems import ProblemError

CHUNK: Final = 500
OWNER_CHECKS = Counter("notifications_owner_checks", "Times that an owner was asked for its head in doubt")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Watchfulness:
    """How often the heads of streams are looked at, and what may be under way at once."""

    period_s: float
    """Every so often the recent events are asked how far each stream is."""
    doubt_s: float
    """While they can't confirm a hub's positions, the owner is asked this often."""
    readers: int
    """So many reads of history may be under way."""


@dataclass(kw_only=True, slots=True)
class _Doubt:
    evidence: tuple[int, ...] | None
    asked_at: float


class Hubs:
    """Opens a hub with a tenant's first socket, hears the tenant while it has sockets, closes the hub with the last."""

    def __init__(
        self,
        *,
        recent: Recent,
        owners: Owners,
        channel: Channel,
        emitter: Emitter,
        watchfulness: Watchfulness,
    ) -> None:
        """Begin without hubs."""
        self._recent = recent
        self._owners = owners
        self._channel = channel
        self._emitter = emitter
        self._watchfulness = watchfulness
        self._history = History(recent, owners)
        self._slots = asyncio.Semaphore(watchfulness.readers)
        self._hubs: dict[UUID, Hub] = {}
        self._places: dict[str, Hub] = {}
        self._doubts: dict[Hub, _Doubt] = {}
        self._due: set[UUID] = set()
        self._wake = asyncio.Event()

    def enter(self, seat: Seat, heads: Mapping[str, Head]) -> Hub:
        """Give a socket a place in its tenant's hub, where it can `Hub.join`.

        ``heads`` is what the owners said just now. Of another epoch than the hub's, it means that a stream was restored
        to an earlier state: whoever is connected is sent away, to come back and be told.
        """
        tenant_id = seat.principal.tenant_id
        hub = self._hubs.get(tenant_id)
        if hub is not None and hub.epoch != epoch_of(dict(heads)):
            self._dissolve(hub)
            hub = None
        if hub is None:
            hub = Hub(tenant_id, heads, history=self._history, emitter=self._emitter, slots=self._slots, lose=self.lose)
            self._hubs[tenant_id] = hub
            self._channel.listen(tenant_id)
        hub.take(seat)
        self._places[seat.sid] = hub
        for stream, head in heads.items():
            hub.learn(stream, head.position)
        return hub

    def leave(self, sid: str) -> None:
        """Give a place up; a hub without places is closed."""
        hub = self._places.pop(sid, None)
        if hub is None:
            return
        hub.leave(sid)
        if not hub.seats:
            self._doubts.pop(hub, None)
            del self._hubs[hub.tenant_id]
            self._channel.forget(hub.tenant_id)

    def lose(self, sid: str) -> None:
        """Close a socket, from our side, and give its place up."""
        self._emitter.close(sid)
        self.leave(sid)

    async def stop(self) -> None:
        """Give every place up, and wait until nothing is being fetched; nobody enters any more."""
        hubs = list(self._hubs.values())
        for sid in list(self._places):
            self.leave(sid)
        for hub in hubs:
            await hub.stop()

    def __len__(self) -> int:
        return len(self._places)

    def receive(self, tenant_id: UUID, events: Sequence[LiveEvent]) -> None:
        """Take events of one stream of a tenant from the channel."""
        hub = self._hubs.get(tenant_id)
        if hub is not None:
            hub.receive(events)

    def heard(self, tenant_id: UUID) -> None:
        """Take note that a tenant is heard from now on: whatever was said before is looked for."""
        self._due.add(tenant_id)
        self._wake.set()

    async def watch(self) -> None:
        """Look for what the hubs were not told, for ever: at once for a tenant newly heard, else every period."""
        loop = asyncio.get_running_loop()
        period = self._watchfulness.period_s
        next_round = loop.time() + period
        while True:
            try:
                async with asyncio.timeout_at(next_round):
                    await self._wake.wait()
                self._wake.clear()
                due, self._due = self._due, set()
                hubs = [self._hubs[tenant_id] for tenant_id in due if tenant_id in self._hubs]
            except TimeoutError:
                next_round = loop.time() + period
                hubs = list(self._hubs.values())
            for first in range(0, len(hubs), CHUNK):
                await self.check(hubs[first : first + CHUNK])

    async def check(self, hubs: Sequence[Hub]) -> None:
        """Compare hubs with the recent events and, where those can't confirm a position, with the owner."""
        before = [[hub.positions[stream] for stream in STREAMS] for hub in hubs]
        try:
            found = await self._recent.last([(hub.tenant_id, stream) for hub in hubs for stream in STREAMS])
        except RecentUnavailableError:
            found = None
        doubtful = []
        for index, (hub, positions) in enumerate(zip(hubs, before, strict=True)):
            lasts = None if found is None else found[index * len(STREAMS) : (index + 1) * len(STREAMS)]
            if lasts is not None:
                for stream, last in zip(STREAMS, lasts, strict=True):
                    hub.learn(stream, last)
            if lasts is not None and all(last >= at for last, at in zip(lasts, positions, strict=True)):
                self._doubts.pop(hub, None)
            elif self._is_due(hub, None if lasts is None else tuple(lasts)):
                doubtful.append(hub)
        await asyncio.gather(*(self._ask_owner(hub) for hub in doubtful))

    def _is_due(self, hub: Hub, evidence: tuple[int, ...] | None) -> bool:
        """Tell whether to ask the owner: when the doubt is new or looks different, else every so often."""
        at = asyncio.get_running_loop().time()
        known = self._doubts.get(hub)
        if known is not None and known.evidence == evidence and at - known.asked_at < self._watchfulness.doubt_s:
            return False
        if hub.seats:
            self._doubts[hub] = _Doubt(evidence=evidence, asked_at=at)
        return bool(hub.seats)

    async def _ask_owner(self, hub: Hub) -> None:
        async with self._slots:
            if not hub.seats:
                return
            OWNER_CHECKS.inc()
            try:
                heads = await self._owners.heads(hub.token())
            except ProblemError as error:
                log.info("owner_check_failed", problem=error.kind.slug)
                self._doubts.pop(hub, None)
                return
        if epoch_of(heads) != hub.epoch:
            self._dissolve(hub)
            return
        for stream, head in heads.items():
            hub.learn(stream, head.position)

    def _dissolve(self, hub: Hub) -> None:
        log.warning("epoch_changed", tenant_id=str(hub.tenant_id), sockets=len(hub.seats))
        for sid in list(hub.seats):
            self.lose(sid)
