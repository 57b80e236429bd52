"""A TCP proxy in one connection between two parts, which can cut it, silence it and slow it down."""

import asyncio
from collections import deque
from typing import Any, Self

from local_stack.port import HOST


class Link:
    """Passes on what comes to a port to another port; as many connections as come. An async context manager.

    What happens to the link happens to every connection in it, and to those that come while it lasts. Nothing that was
    taken is lost or passed on out of order, unless the connection is broken.
    """

    def __init__(self, name: str, port: int, target: int) -> None:
        """Listen on ``port`` and connect to ``target``, both on this machine."""
        self.name = name
        self.port = port
        self.target = target
        self.latency = 0.0
        self.silent = False
        self.sides: set[_Side] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen; a link that does so already goes on."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _Side(self), HOST, self.port)

    def cut(self) -> None:
        """Break every connection, and refuse new ones until `mend`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for side in list(self.sides):
            side.abort()

    def silence(self) -> None:
        """Let not a byte more pass until `mend`; connections stay."""
        self.silent = True

    def slow(self, seconds: float) -> None:
        """Let every byte come so much later, until `mend`."""
        self.latency = seconds

    async def mend(self) -> None:
        """Let everything pass again, first what was held back."""
        self.silent, self.latency = False, 0.0
        for side in list(self.sides):
            side.flush()
        await self.open()

    async def __aenter__(self) -> Self:
        """Open."""
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Break everything off, and wait until it is."""
        self.cut()
        while self.sides:  # noqa: ASYNC110 - a turn of the loop or two
            await asyncio.sleep(0)


class _Side(asyncio.Protocol):
    """One end of a connection through a link: what comes in here goes out at ``other``."""

    def __init__(self, link: Link, other: "_Side | None" = None) -> None:
        self._link = link
        self._other = other
        self._transport: Any = None
        self._held: deque[tuple[float, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self._connecting: asyncio.Task[None] | None = None

    @property
    def holds(self) -> bool:
        """Whether something waits here to be passed on."""
        return bool(self._held)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._link.sides.add(self)
        if self._other is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        other = _Side(self._link, self)
        try:
            await asyncio.get_running_loop().create_connection(lambda: other, HOST, self._link.target)
        except OSError:
            self.abort()  # nobody listens: the nearest to a refusal that is left
            return
        self._other = other
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self._other is not None and not self._held and not self._link.silent and not self._link.latency:
            self._other.write(data)
            return
        self._held.append((asyncio.get_running_loop().time() + self._link.latency, data))
        self.flush()

    def flush(self) -> None:
        """Pass on what is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._other is None or self._link.silent:
            return
        loop = asyncio.get_running_loop()
        while self._held:
            due, data = self._held[0]
            if self._link.latency and due > loop.time():
                self._timer = loop.call_at(due, self.flush)
                return
            self._held.popleft()
            self._other.write(data)
        if self._ended:
            self._other.close()

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def pause_writing(self) -> None:
        """Read no more at the other end: what waits here is enough."""
        if self._other is not None and not self._other.is_closing():
            self._other.pause()

    def resume_writing(self) -> None:
        if self._other is not None and not self._other.is_closing():
            self._other.resume()

    def pause(self) -> None:
        self._transport.pause_reading()

    def resume(self) -> None:
        self._transport.resume_reading()

    def is_closing(self) -> bool:
        return bool(self._transport is None or self._transport.is_closing())

    def connection_lost(self, _error: Exception | None) -> None:
        self._ended = True
        self._link.sides.discard(self)
        self.flush()

    def close(self) -> None:
        if not self.is_closing():
            self._transport.close()

    def abort(self) -> None:
        self._held.clear()
        if self._transport is not None:
            self._transport.abort()
