"""Somebody who watches a tenant's calendar on a socket."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import socketio

from local_stack.clients.waiting import PATIENCE_SECONDS


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """A message that came: the event's name on sockets, and the message."""

    name: str
    message: Any

    @property
    def stream(self) -> str:
        """Of which stream it is."""
        return str(self.message["stream"])

    @property
    def position(self) -> int:
        """Where it stands in its stream."""
        return int(self.message["position"])


class Watcher:
    """A stock Socket.IO client that keeps what it hears, and goes on where it was when it has to connect again.

    `after` are the positions from which it goes on at the first connection; without, it hears what comes from then on.
    """

    def __init__(self, url: str, token: str, *, after: Mapping[str, int] | None = None) -> None:
        """Describe the watcher; `connect`, or `async with`, connects."""
        self.url = url
        self.token = token
        self.positions: dict[str, int] | None = None if after is None else dict(after)
        self.epoch: str | None = None
        self.heard: list[Heard] = []
        self.ready: list[Any] = []
        self.resyncs: list[Any] = []
        self.refusals: list[Any] = []
        self.disconnects: list[str] = []
        self._changed = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        # Short delays: whoever waits for a reconnect should not wait for a politeness meant for crowds.
        self.client = socketio.AsyncClient(reconnection_delay=0.1, reconnection_delay_max=0.5, handle_sigint=False)
        # Plain functions, so that they are called in the order in which messages came.
        self.client.on("ready", self._keep_ready)
        self.client.on("resync", self._keep_resync)
        self.client.on("connect_error", self._keep_refusal)
        self.client.on("disconnect", self._keep_disconnect)
        self.client.on("*", self._keep)

    @property
    def connected(self) -> bool:
        """Whether the connection stands."""
        return bool(self.client.connected)

    def auth(self) -> dict[str, Any]:
        """Say who we are and where we are; asked at each connection."""
        said: dict[str, Any] = {"token": self.token}
        if self.positions is not None:
            said["after"] = dict(self.positions)
        if self.epoch is not None:
            said["epoch"] = self.epoch
        return said

    async def connect(self) -> None:
        """Connect and wait for `ready`.

        Raises:
            ConnectionError: of Socket.IO, when refused.
            TimeoutError: no `ready` came.
        """
        # A session of our own: the client leaves one that it made unclosed if it connects again while it closes it, and
        # closes one that was lent to it and others when it is collected.
        self._session = aiohttp.ClientSession()
        self.client.eio.http, self.client.eio.external_http = self._session, True
        try:
            await self.client.connect(self.url, auth=self.auth, transports=["websocket"], wait_timeout=PATIENCE_SECONDS)
            await self.until(lambda: self.ready, "ready")
        except BaseException:
            await self.disconnect()
            raise

    async def disconnect(self) -> None:
        """Go, and give up coming back."""
        await self.client.shutdown()
        if self._session is not None:
            await self._session.close()

    async def drop(self) -> None:
        """Lose the connection, as by a broken network; the client connects again by itself."""
        await self.client.eio.ws.close()

    async def renew(self, token: str) -> Any:  # noqa: ANN401 - what the server acknowledges
        """Go on with another token and give the server's acknowledgement."""
        return await self.client.call("auth:renew", {"token": token}, timeout=PATIENCE_SECONDS)

    async def until(self, holds: Callable[[], object], what: str, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until a condition on what was heard holds.

        Raises:
            TimeoutError: it did not in time; the message says what.
        """
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            message = f"{seconds:g} s have passed without: {what} (heard {len(self.heard)} so far)"
            raise TimeoutError(message) from None

    async def reached(self, stream: str, position: int) -> None:
        """Wait until the event at a position, or a later one, has been heard."""
        await self.until(lambda: (self.positions or {}).get(stream, 0) >= position, f"{stream} {position}")

    def of(self, stream: str) -> list[Heard]:
        """Give what was heard of a stream."""
        return [heard for heard in self.heard if heard.stream == stream]

    async def __aenter__(self) -> Self:
        """Connect."""
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Go."""
        await self.disconnect()

    def _keep(self, name: str, message: Any) -> None:  # noqa: ANN401 - JSON
        heard = Heard(name=name, message=message)
        self.heard.append(heard)
        if self.positions is not None:
            self.positions[heard.stream] = heard.position
        self._changed.set()

    def _keep_ready(self, message: Any) -> None:  # noqa: ANN401 - JSON
        self.ready.append(message)
        self.epoch = message["epoch"]
        if self.positions is None:
            self.positions = {stream: message[stream] for stream in ("booking", "tenancy")}
        self._changed.set()

    def _keep_resync(self, message: Any) -> None:  # noqa: ANN401 - JSON
        self.resyncs.append(message)
        self._changed.set()

    def _keep_refusal(self, message: Any) -> None:  # noqa: ANN401 - JSON
        self.refusals.append(message)
        self._changed.set()

    def _keep_disconnect(self, reason: str) -> None:
        self.disconnects.append(reason)
        self._changed.set()
