"""What Engine.IO and Socket.IO keep for a client, bounded: they themselves keep whatever comes, for as long as it does.

A client that does not read is closed by the emitter, or by Engine.IO for want of a PONG. The library then waits for
what it has taken to be written, for ever; here the connection is cut.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson
import socketio
from engineio import packet as engine_packet
from engineio.async_drivers.asgi import WebSocket
from engineio.exceptions import SocketIsClosedError
from prometheus_client import Counter
from socketio.packet import Packet
from starlette.types import ASGIApp, Receive, Scope, Send

from production_contracts import problems
from production_contracts.problems import problem_body
from servicekit.problems import problem_response
from servicekit.server import WIRE, Wire

CONNECT_SECONDS = 30.0
"""How long an Engine.IO session may go on without a Socket.IO connection that was let in."""
CLOSE_SECONDS = 5.0
"""How long a connection may take to end after its socket was closed; then it is cut."""
MOST_AT_ONCE: Final = 16
"""Packets that are taken from a queue together: what one answer to a poll holds, as python-engineio reads no more."""
DOORSTEP: Final = 1_000
"""Sessions beyond the sockets that an instance takes: those that are just being let in, or refused."""

_TOO_MUCH: Final = problem_body(problems.RATE_LIMITED, "This client sends more than it may; the connection is closed.")
_CLOSING: Final = engine_packet.Packet(engine_packet.MESSAGE, "2" + orjson.dumps(["closing", _TOO_MUCH]).decode())
"""The last that such a client hears: a Socket.IO event, as the protocol's own DISCONNECT gives no reason."""

FLOODS = Counter("notifications_floods", "Sockets that were closed because they sent too much")


class TextPacket(Packet):  # type: ignore[misc] # it has no types
    """A packet without attachments: nobody sends us any, and python-socketio gathers as many as a client announces."""

    def decode(self, encoded_packet: str) -> None:
        """Read a packet; ValueError where it announces attachments."""
        if super().decode(encoded_packet):
            message = "a packet with attachments"
            raise ValueError(message)


class Queue(asyncio.Queue[Any]):
    """What waits for a socket.

    Engine.IO itself puts in answers and PINGs, and what does not fit is dropped: where a PING was, the socket is closed
    for want of a PONG. The emitter looks whether there is room, and closes where there is none.
    """

    def __init__(self, most: int) -> None:
        """Hold at most ``most`` packets, and the sign that it ends."""
        super().__init__()
        self._most = most
        self._left = MOST_AT_ONCE
        self._changed: Callable[[], None] | None = None
        self.is_idle = False
        """Whether nothing waits, and all that was taken before is written: its taker waits for more."""

    def follow(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` each time that `is_idle` is another."""
        self._changed = changed

    def _note(self, *, is_idle: bool) -> None:
        if is_idle is not self.is_idle:
            self.is_idle = is_idle
            if self._changed is not None:
                self._changed()

    def _put(self, item: Any) -> None:  # noqa: ANN401 - as above
        self._note(is_idle=False)
        super()._put(item)

    async def put(self, item: Any) -> None:  # noqa: ANN401 - engineio.Packet, which has no types, or None
        """Put in a packet if there is room, and the sign that it ends (None) in any case."""
        if item is None or self.qsize() < self._most:
            self.put_nowait(item)

    async def get(self) -> Any:  # noqa: ANN401 - as above
        """Wait for the first packet of those that are taken together."""
        self._left = MOST_AT_ONCE
        self._note(is_idle=self.empty())
        try:
            return await super().get()
        finally:
            self._note(is_idle=False)

    def get_nowait(self) -> Any:  # noqa: ANN401 - as above
        """Take another; asyncio.QueueEmpty where there is none, or enough were taken together."""
        if self._left == 0:
            raise asyncio.QueueEmpty
        item = super().get_nowait()
        self._left -= 1
        return item

    def drop(self) -> None:
        """Drop what waits."""
        while not self.empty():
            super().get_nowait()
            self.task_done()


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """How many packets a client may send at once, and how many come back in a second."""

    burst: int
    per_second: float


class Meter:
    """Counts what a client sends against its allowance (a token bucket)."""

    def __init__(self, allowance: Allowance, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with a full allowance; ``clock`` gives seconds."""
        self._allowance = allowance
        self._clock = clock
        self._left = float(allowance.burst)
        self._at = clock()

    def take(self) -> bool:
        """Take one packet from the allowance; False where nothing is left of it."""
        now = self._clock()
        self._left = min(self._allowance.burst, self._left + (now - self._at) * self._allowance.per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def hold_to(socket: Any, allowance: Allowance) -> None:  # noqa: ANN401 - engineio.AsyncSocket, which has no types
    """Close a socket whose client sends more than its allowance, once it has been told so."""
    meter, receive = Meter(allowance), socket.receive

    async def receive_within(packet: Any) -> None:  # noqa: ANN401 - engineio.Packet, which has no types
        if meter.take():
            await receive(packet)
            return
        if not socket.closing and not socket.closed:
            FLOODS.inc()
            socket.queue.drop()
            socket.queue.put_nowait(_CLOSING)
            await socket.close(wait=False, abort=True)
            socket.queue.put_nowait(None)
            cut_later(socket)
        raise SocketIsClosedError

    socket.receive = receive_within


class Line:
    """The way to an Engine.IO socket: past its queue while nothing waits in that or was taken from it.

    The writer of Engine.IO takes three turns of the loop and two tasks for what is one write past it.
    """

    __slots__ = ("socket", "wire", "write")

    def __init__(self, socket: Any) -> None:  # noqa: ANN401 - engineio.AsyncSocket, which has no types; None: it is gone
        """Lead to ``socket``, by way of its queue for now."""
        self.socket = socket
        self.wire: Wire | None = None
        """The WebSocket below; None: there is none yet."""
        self.write: Callable[[bytes], None] | None = None
        """Writes frames to the WebSocket now; None where they have to wait their turn, or come too late."""

    @property
    def is_gone(self) -> bool:
        """Whether the socket takes nothing any more."""
        return self.socket is None or self.socket.closing or self.socket.closed

    def connect(self, wire: Wire) -> None:
        """Take the WebSocket below the socket."""
        self.wire = wire
        wire.follow(self._look)
        self.socket.queue.follow(self._look)
        self._look()

    def _look(self) -> None:
        is_free = self.socket.queue.is_idle and self.socket.upgraded
        self.write = self.wire.writer if is_free and self.wire is not None else None


def line_to(socket: Any) -> Line:  # noqa: ANN401 - engineio.AsyncSocket, which has no types
    """Give the line to a socket: one for as long as it lives."""
    line: Line | None = getattr(socket, "line", None)
    if line is None:
        line = socket.line = Line(socket)
    return line


class Connection(WebSocket):  # type: ignore[misc] # it has no types
    """The WebSocket below an Engine.IO socket, whose line leads to it."""

    def __init__(self, handler: Any, server: Any) -> None:  # noqa: ANN401 - a method of the socket, and its server
        """Begin; ``handler`` is the socket's own."""
        super().__init__(handler, server)
        self._socket = handler.__self__

    async def __call__(self, environ: dict[str, Any]) -> Any:  # noqa: ANN401 - as it is handed on
        """Serve the socket."""
        line_to(self._socket).connect(environ["asgi.scope"]["extensions"][WIRE])
        return await super().__call__(environ)


def cut_later(socket: Any) -> None:  # noqa: ANN401 - engineio.AsyncSocket, which has no types
    """Cut the WebSocket below a closed socket, should it not have ended by itself in `CLOSE_SECONDS`."""
    if (wire := line_to(socket).wire) is not None:
        asyncio.get_running_loop().call_later(CLOSE_SECONDS, wire.abort)


def bound(server: "socketio.AsyncServer", *, pending: int, allowance: Allowance) -> None:
    """Bound what a server keeps and takes: packets to and from a socket, and sessions that never connect."""
    server.eio._async = {**server.eio._async, "websocket": Connection}  # noqa: SLF001 - the only way to say so
    server.eio.create_queue = lambda: Queue(pending)
    begin = server.eio.handlers["connect"]

    async def begin_and_watch(eio_sid: str, environ: dict[str, Any]) -> Any:  # noqa: ANN401 - as it is handed on
        asyncio.get_running_loop().call_later(CONNECT_SECONDS, _end_idle, server, eio_sid)
        hold_to(server.eio.sockets[eio_sid], allowance)
        return await begin(eio_sid, environ)

    server.eio.on("connect", begin_and_watch)


def _end_idle(server: "socketio.AsyncServer", eio_sid: str) -> None:
    socket = server.eio.sockets.get(eio_sid)
    if socket is not None and not server.manager.sid_from_eio_sid(eio_sid, "/"):
        socket.queue.put_nowait(None)
        cut_later(socket)
        server.start_background_task(socket.close, wait=False, abort=True)


class Doorstep:
    """ASGI middleware before a Socket.IO server: begins no session beyond those that the instance bears."""

    def __init__(self, app: ASGIApp, server: "socketio.AsyncServer", *, sessions: int) -> None:
        """Stand before ``app``, which serves ``server``."""
        self._app = app
        self._sockets: dict[str, Any] = server.eio.sockets
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        begins = scope["type"] != "lifespan" and scope["path"].startswith("/socket.io")
        begins = begins and b"sid=" not in scope["query_string"]
        if begins and len(self._sockets) >= self._sessions + DOORSTEP:
            detail = "This instance takes no more connections for the moment."
            answer = problem_response(problems.UNAVAILABLE, detail, headers={"Retry-After": "1"})
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)
