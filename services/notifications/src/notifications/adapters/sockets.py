"""Socket.IO 5 by python-socketio: the server, and the emitter that writes to its sockets.

The emitter encodes and frames events once for all of their recipients, and writes what is ready together as one. Where
anything waits for a socket already, or it polls, the packets go on its queue. python-socketio's own ``emit`` takes a
task per recipient and does not say what became of it; this way the order is that of the calls, and a queue has a bound.
Protocols: Engine.IO 4, Socket.IO 5.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import orjson
import socketio
from engineio import packet as engine_packet
from opentelemetry.trace import SpanKind
from prometheus_client import Counter

from notifications.adapters.connections import Allowance, Line, TextPacket, bound, cut_later, line_to
from notifications.domain.positions import LiveEvent
from servicekit import tracing
from servicekit.server import text_frame

NAMESPACE: Final = "/"
_EVENT: Final = "2"
"""Packet type of a Socket.IO event in the namespace ``/`` (Socket.IO protocol 5)."""
_MESSAGE: Final = str(engine_packet.MESSAGE)
"""Packet type of Engine.IO's messages (Engine.IO protocol 4)."""
_GONE: Final = Line(None)
PIECE: Final = 16 * 1024
"""Characters that are written to a socket at once."""

SLOW = Counter("notifications_slow_sockets", "Sockets that were closed because they did not read")


def make_server(
    *, cors_origins: Sequence[str], largest_message: int, pending: int, allowance: Allowance
) -> "socketio.AsyncServer":
    """Make the Socket.IO server; without ``cors_origins``, pages of its own origin only.

    At most ``pending`` packets wait for a socket. What a client sends is handled one after the other, and no more of it
    than its ``allowance``.
    """
    origins = "*" if "*" in cors_origins else list(cors_origins) or None
    server = socketio.AsyncServer(
        async_mode="asgi",
        async_handlers=False,  # or each message is a task: as many as a client cares to send
        serializer=TextPacket,
        cors_allowed_origins=origins,
        cors_credentials=False,
        max_http_buffer_size=largest_message,
        logger=False,
        engineio_logger=False,
    )
    bound(server, pending=pending, allowance=allowance)
    return server


class SocketEmitter:
    """`Emitter` on a python-socketio server."""

    def __init__(self, server: "socketio.AsyncServer", *, pending: int, patience_s: float) -> None:
        """Write to the sockets of ``server``.

        Args:
            server: the server.
            pending: packets that may wait for a socket; one that lets more come together is too slow.
            patience_s: how long a socket that catches up may take to read a page.
        """
        self._server = server
        self._pending = pending
        self._patience_s = patience_s
        self._closing: set[asyncio.Task[None]] = set()
        self._told: dict[str, Line] = {}
        """The lines to those who were told something, until they are released."""

    def audience(self) -> "SocketAudience":
        """Make an audience, without sockets; see `Emitter.audience`."""
        return SocketAudience(self)

    def deliver(self, events: Sequence[LiveEvent], sids: Collection[str]) -> list[str]:
        """Write events to sockets, or put them on their queues; see `Emitter.deliver`."""
        return self.send(events, {sid: self.line(sid) for sid in sids})

    def send(self, events: Sequence[LiveEvent], lines: Mapping[str, Line]) -> list[str]:
        """Deliver events by lines, given by the ids of their sockets; names those that take no more."""
        texts = [_EVENT + event.payload for event in events if event.payload is not None]
        if not texts or not lines:
            return []
        pieces = _pieces(texts)
        traced = [(f"emit {event.stream}", event.traceparent) for event in events if event.traceparent is not None]
        if not traced:
            return self._write(pieces, lines)
        with tracing.each(SpanKind.PRODUCER, traced, {"messaging.batch.message_count": len(lines)}):
            return self._write(pieces, lines)

    def tell(self, sid: str, name: str, message: dict[str, Any]) -> None:
        """Put a message on the queue of a socket; see `Emitter.tell`."""
        line = self.line(sid)
        if not line.is_gone:
            self._told[sid] = line
            self._write(_pieces([_EVENT + orjson.dumps([name, message]).decode()]), {sid: line})

    async def drained(self, sid: str) -> bool:
        """Wait until a socket's queue has been taken; see `Emitter.drained`."""
        socket = self._find(sid)
        if socket is None:
            return False
        try:
            async with asyncio.timeout(self._patience_s):
                await socket.queue.join()
        except TimeoutError:
            SLOW.inc()
            return False
        return self._find(sid) is not None

    def close(self, sid: str) -> None:
        """Close the connection below a socket: then stock clients connect again, after a DISCONNECT they do not."""
        socket = self._find(sid)
        if socket is not None:
            task = asyncio.create_task(_close(socket), name="close-socket")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def release(self, sid: str) -> None:
        """End the connection of a socket that is gone: its request that polls is answered, its WebSocket closed."""
        self._told.pop(sid, None)
        socket = self._server.eio.sockets.get(self._server.manager.eio_sid_from_sid(sid, NAMESPACE))
        if socket is not None:
            socket.queue.put_nowait(None)
            cut_later(socket)

    async def closed(self) -> None:
        """Wait until the sockets that were told to close have been told so."""
        if self._closing:
            await asyncio.wait(self._closing)

    def line(self, sid: str) -> Line:
        """Give the line to a socket, be it gone or not."""
        line = self._told.get(sid)
        if line is None:
            socket = self._server.eio.sockets.get(self._server.manager.eio_sid_from_sid(sid, NAMESPACE))
            line = _GONE if socket is None else line_to(socket)
        return line

    def _find(self, sid: str) -> Any:  # noqa: ANN401 - engineio.AsyncSocket, which has no types
        line = self.line(sid)
        return None if line.is_gone else line.socket

    def _write(self, pieces: Iterable["_Piece"], lines: Mapping[str, Line]) -> list[str]:
        """Write to each line, or put on its queue; what is on a queue is not overtaken by the pieces that follow.

        This is what a delivery costs, besides the kernel's part: so the loop does nothing that could be done before.
        """
        lost: list[str] = []
        for piece in pieces:
            frames = piece.frames
            waiting = []
            gone = []
            for sid, line in lines.items():
                if (write := line.write) is None:
                    waiting.append(sid)
                    continue
                try:
                    write(frames)
                except RuntimeError:  # it was closed behind our back, which must not keep it from the others
                    gone.append(sid)
            gone += [sid for sid in waiting if not self._enqueue(lines[sid], piece.packets)]
            if gone:
                lost += gone
                lines = {sid: line for sid, line in lines.items() if sid not in gone}
        return lost

    def _enqueue(self, line: Line, packets: list[engine_packet.Packet]) -> bool:
        if line.is_gone:
            return False
        queue = line.socket.queue
        for packet in packets:
            if queue.qsize() >= self._pending:
                SLOW.inc()
                return False
            queue.put_nowait(packet)
        return True


class SocketAudience:
    """`Audience` of a `SocketEmitter`."""

    def __init__(self, emitter: SocketEmitter) -> None:
        """Begin without sockets."""
        self._emitter = emitter
        self._lines: dict[str, Line] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, sid: str) -> None:
        """Let a socket hear what comes from now on."""
        self._lines[sid] = self._emitter.line(sid)

    def discard(self, sid: str) -> None:
        """Let it hear no more."""
        self._lines.pop(sid, None)

    def deliver(self, events: Sequence[LiveEvent]) -> list[str]:
        """Deliver to all; see `Audience.deliver`."""
        return self._emitter.send(events, self._lines)


class _Piece:
    """Packets that are written at once: about `PIECE` characters, as who does not read is written no more at once."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self.frames = b"".join([text_frame(_MESSAGE + text) for text in texts])

    @cached_property
    def packets(self) -> list[engine_packet.Packet]:
        """The same for a queue."""
        return [engine_packet.Packet(engine_packet.MESSAGE, text) for text in self._texts]


def _pieces(texts: Sequence[str]) -> list[_Piece]:
    if len(texts) == 1:
        return [_Piece(texts)]
    pieces: list[_Piece] = []
    together: list[str] = []
    size = 0
    for text in texts:
        together.append(text)
        size += len(text)
        if size >= PIECE:
            pieces.append(_Piece(together))
            together, size = [], 0
    if together:
        pieces.append(_Piece(together))
    return pieces


async def _close(socket: Any) -> None:  # noqa: ANN401 - engineio.AsyncSocket, which has no types
    """Close a socket as a lost connection is: without the packet CLOSE, after which clients do not come back.

    What waits is dropped; the writer of a WebSocket closes it, a request that polls is answered.
    """
    socket.queue.drop()
    await socket.close(wait=False, abort=True)  # tells the server's handler of disconnects, which releases
