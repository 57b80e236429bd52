"""Watchers that come and go: stock Socket.IO clients that write down what they hear, and go on where they were."""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import socketio
import socketio.exceptions

from local_stack.chaos.history import Told
from local_stack.chaos.load import Log
from local_stack.clients.tenant import Tenant

STREAMS = ("booking", "tenancy")
HANDSHAKE_SECONDS = 10.0


class Follower:
    """Somebody who watches a tenant, now at one instance, now at the other, and away in between.

    Each connection is a client of its own that says where the last one came to: what is heard twice, or not at all, is
    the system's doing.
    """

    def __init__(self, name: str, tenant: Tenant, urls: Sequence[str], log: Log, *, seed: int, patient: bool) -> None:
        """Describe the watcher; a ``patient`` one stays long and comes back at once, the other is often away."""
        self.name = name
        self.tenant = tenant
        self.urls = urls
        self.log = log
        self.patient = patient
        self.chance = random.Random(f"{seed} {name}")  # noqa: S311 - it must be the same again
        self.positions: dict[str, int] = {}
        self.epoch: str | None = None
        self.connections = 0
        self._goal: Mapping[str, int] | None = None
        self._moved = asyncio.Event()
        issued = int(time.time()) - 600
        self.token = tenant.token(name, iat=issued, nbf=issued)
        if self.chance.random() < 0.5:  # noqa: PLR2004 - the others begin at what is new
            self.positions = dict.fromkeys(STREAMS, 0)

    async def watch(self) -> None:
        """Connect again and again until cancelled, or `catch_up` is there."""
        async with aiohttp.ClientSession() as session:
            while not self._there():
                await self._connect(session)
                if not self._there():
                    await asyncio.sleep(self.chance.uniform(0.05, 1.0) if self.patient else self.chance.uniform(0, 12))

    def catch_up(self, goal: Mapping[str, int]) -> None:
        """Let `watch` return once these positions are reached."""
        self._goal = goal
        self.patient = True
        self._moved.set()

    def behind(self) -> str:
        """Say what is missing; empty: nothing."""
        missing = {stream: (self.positions.get(stream, 0), head) for stream, head in (self._goal or {}).items()}
        return ", ".join(f"{stream} at {at} of {head}" for stream, (at, head) in missing.items() if at < head)

    def _there(self) -> bool:
        return self._goal is not None and not self.behind()

    async def _connect(self, session: aiohttp.ClientSession) -> None:
        self.connections += 1
        url = self.chance.choice(self.urls)
        client = socketio.AsyncClient(reconnection=False, handle_sigint=False, http_session=session)
        client.eio.external_http = True
        said: dict[str, Any] = {"token": self.token}
        if self.positions:
            said["after"] = dict(self.positions)
        if self.epoch is not None:
            said["epoch"] = self.epoch
        connection = _Connection(self, self.connections, url)
        client.on("ready", connection.ready)
        client.on("resync", connection.resync)
        client.on("*", connection.event)
        connection.tell("connected", after=dict(self.positions) or None)
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await client.connect(url, auth=said, transports=["websocket"], wait_timeout=HANDSHAKE_SECONDS)
            await self._stay(client, self.chance.uniform(20, 60) if self.patient else self.chance.uniform(1, 20))
        except (socketio.exceptions.ConnectionError, aiohttp.ClientError, TimeoutError, OSError):
            pass
        finally:
            connection.over = True
            connection.tell("closed")
            await _close(client)

    async def _stay(self, client: socketio.AsyncClient, seconds: float) -> None:
        end = self.log.clock() + seconds
        while client.connected and not self._there() and (left := end - self.log.clock()) > 0:
            self._moved.clear()
            try:
                await asyncio.wait_for(self._moved.wait(), min(left, 0.5))
            except TimeoutError:
                continue

    def moved(self) -> None:
        """Look whether the goal is reached."""
        if self._goal is not None:
            self._moved.set()


class _Connection:
    """What is heard on one connection; plain functions, so that they are called in the order in which messages came."""

    def __init__(self, follower: Follower, number: int, url: str) -> None:
        self._follower = follower
        self._number = number
        self._url = url
        self.over = False

    def tell(self, kind: Any, **fields: Any) -> None:  # noqa: ANN401 - as Told takes them
        follower = self._follower
        follower.log.history.add(
            Told(
                watcher=follower.name,
                tenant_id=str(follower.tenant.id),
                connection=self._number,
                url=self._url,
                at=follower.log.clock(),
                kind=kind,
                **fields,
            )
        )

    def ready(self, message: Any) -> None:  # noqa: ANN401 - JSON
        if self.over:
            return
        self.tell("ready", heads=message)
        self._follower.epoch = message["epoch"]
        for stream in STREAMS:
            self._follower.positions.setdefault(stream, message[stream])
        self._follower.moved()

    def resync(self, message: Any) -> None:  # noqa: ANN401 - JSON
        if self.over:
            return
        self.tell("resync", stream=message["stream"], position=message["position"], data=message)
        self._follower.positions[message["stream"]] = message["position"]

    def event(self, name: str, message: Any) -> None:  # noqa: ANN401 - JSON
        if self.over:
            return
        self.tell(
            "event",
            stream=message["stream"],
            position=message["position"],
            event_id=message["id"],
            name=name,
            data=message["data"],
        )
        self._follower.positions[message["stream"]] = message["position"]
        self._follower.moved()


async def _close(client: socketio.AsyncClient) -> None:
    """Let go of a connection whose other end may be frozen."""
    try:
        async with asyncio.timeout(2):
            await client.disconnect()
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass
    websocket = client.eio.ws
    if websocket is not None and not websocket.closed:
        transport = websocket._response.connection and websocket._response.connection.transport  # noqa: SLF001
        if transport is not None:
            transport.abort()
