"""For tests: the ports of the application in memory, with faults that can be switched on.

What asks another process lets the event loop go on first, as a network would.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Any
from uuid import UUID

import orjson

from notifications.application.ports import Batch, RecentUnavailableError
from notifications.domain.positions import LiveEvent
from notifications.domain.resumption import Head
from production_contracts import problems
from production_contracts.events import STREAMS
from servicekit.problems import ProblemError

OCCURRED = "2026-11-25T12:00:00.000Z"
PAGE = 500
HOPS = 3


def live_event(stream: str, position: int) -> LiveEvent:
    """Make an event whose payload says what it is."""
    message = {"stream": stream, "position": position, "occurred_at": OCCURRED}
    return LiveEvent(stream=stream, position=position, payload=orjson.dumps([f"{stream}:happened", message]).decode())


class MemoryRecent:
    """`Recent` in memory; what is published is told at once to the channels that listen."""

    def __init__(self) -> None:
        """Begin empty."""
        self.streams: defaultdict[tuple[UUID, str], dict[int, LiveEvent]] = defaultdict(dict)
        self.channels: list[MemoryChannel] = []
        self.down = False
        self.deaf = False

    async def publish(self, batch: Batch) -> None:
        """Keep and tell what is past the last event kept."""
        await self._reach()
        for (tenant_id, stream), events in batch.items():
            kept = self.streams[tenant_id, stream]
            fresh = []
            for event in events:
                if event.position > max(kept, default=0):
                    kept[event.position] = event
                    fresh.append(event)
            for channel in self.channels:
                if fresh and tenant_id in channel.tenants and not self.deaf:
                    channel.receive(tenant_id, fresh)

    async def after(self, tenant_id: UUID, stream: str, position: int) -> list[LiveEvent]:
        """Read a page, holes and all."""
        await self._reach()
        return [event for at, event in self.streams[tenant_id, stream].items() if at > position][:PAGE]

    async def last(self, streams: Sequence[tuple[UUID, str]]) -> list[int]:
        """Read the last positions."""
        await self._reach()
        return [max(self.streams[key], default=0) for key in streams]

    async def _reach(self) -> None:
        for _ in range(HOPS):
            await asyncio.sleep(0)
        if self.down:
            message = "switched off"
            raise RecentUnavailableError(message)


class MemoryChannel:
    """`Channel` of a `MemoryRecent`."""

    def __init__(
        self,
        recent: MemoryRecent,
        *,
        receive: Callable[[UUID, Sequence[LiveEvent]], None],
        heard: Callable[[UUID], None],
    ) -> None:
        """Hear nobody yet."""
        self.tenants: set[UUID] = set()
        self.receive = receive
        self._heard = heard
        recent.channels.append(self)

    def listen(self, tenant_id: UUID) -> None:
        """Hear a tenant from now on."""
        self.tenants.add(tenant_id)
        self._heard(tenant_id)

    def forget(self, tenant_id: UUID) -> None:
        """Hear a tenant no more."""
        self.tenants.discard(tenant_id)


class MemoryOwners:
    """`Owners` whose events are made by `happen`; a token is the text of its tenant's id."""

    def __init__(self) -> None:
        """Begin with nothing having happened."""
        self.positions: defaultdict[tuple[UUID, str], int] = defaultdict(int)
        self.epochs = {"booking": "b1", "tenancy": "t1"}
        self.down = False
        self.asked: list[tuple[str, int]] = []

    def happen(self, tenant_id: UUID, stream: str, count: int = 1) -> list[LiveEvent]:
        """Let events happen; they are in the history at once, and nobody has been told."""
        last = self.positions[tenant_id, stream]
        self.positions[tenant_id, stream] += count
        return [live_event(stream, position) for position in range(last + 1, last + count + 1)]

    async def heads(self, token: str) -> dict[str, Head]:
        """Read the heads of the tenant that the token names."""
        await self._reach()
        return {
            stream: Head(position=self.positions[UUID(token), stream], epoch=self.epochs[stream]) for stream in STREAMS
        }

    async def after(self, stream: str, position: int, token: str) -> list[LiveEvent]:
        """Read a page of the tenant that the token names."""
        self.asked.append((stream, position))
        await self._reach()
        last = min(self.positions[UUID(token), stream], position + PAGE)
        return [live_event(stream, at) for at in range(position + 1, last + 1)]

    async def _reach(self) -> None:
        for _ in range(HOPS):
            await asyncio.sleep(0)
        if self.down:
            detail = "switched off"
            raise ProblemError(problems.UNAVAILABLE, detail)


class MemoryEmitter:
    """`Emitter` that writes down what each socket was sent."""

    def __init__(self) -> None:
        """Begin without a word sent."""
        self.sent: defaultdict[str, list[tuple[str, Any]]] = defaultdict(list)
        self.gone: set[str] = set()
        self.stuck: set[str] = set()
        self.closed: list[str] = []

    def audience(self) -> "MemoryAudience":
        """Make an audience."""
        return MemoryAudience(self)

    def deliver(self, events: Sequence[LiveEvent], sids: Collection[str]) -> list[str]:
        """Write events down for each socket that is not gone."""
        told = [tuple(orjson.loads(event.payload)) for event in events if event.payload is not None]
        for sid in sids:
            if sid not in self.gone:
                self.sent[sid] += told
        return [sid for sid in sids if sid in self.gone]

    def tell(self, sid: str, name: str, message: dict[str, Any]) -> None:
        """Write a message down."""
        self.sent[sid].append((name, message))

    async def drained(self, sid: str) -> bool:
        """Tell whether the socket reads."""
        return sid not in self.gone | self.stuck

    def close(self, sid: str) -> None:
        """Write down that the socket was closed."""
        self.closed.append(sid)
        self.gone.add(sid)

    def positions(self, sid: str, stream: str) -> list[int]:
        """Name the positions of a stream that a socket was sent, in that order."""
        return [
            message["position"]
            for name, message in self.sent[sid]
            if name.endswith(":happened") and message["stream"] == stream
        ]


class MemoryAudience:
    """`Audience` of a `MemoryEmitter`."""

    def __init__(self, emitter: MemoryEmitter) -> None:
        """Begin without sockets."""
        self._emitter = emitter
        self._sids: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._sids)

    def add(self, sid: str) -> None:
        """Add a socket."""
        self._sids[sid] = None

    def discard(self, sid: str) -> None:
        """Take one out."""
        self._sids.pop(sid, None)

    def deliver(self, events: Sequence[LiveEvent]) -> list[str]:
        """Write events down for each."""
        return self._emitter.deliver(events, list(self._sids))
