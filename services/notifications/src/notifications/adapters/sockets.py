"""Socket.IO 5 by python-socketio: the server, and the emitter that writes to its sockets.

The emitter encodes and frames events once for all of their recipients, and writes what is ready together as one. Where
anything waits for a socket already, or it polls, the packets go on its queue. python-socketio's own ``emit`` takes a
task per recipient and does not say what became of it; this way the order is that of the calls, and a queue has a bound.
Protocols: Engine.IO 4, Socket.IO 5.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, Final

import orjson
import socketio
from engineio import packet as engine_packet
from opentelemetry.trace import SpanKind
from prometheus_client import Counter

from notifications.adapters.connections import Allowance, TextPacket, bound, cut_later, write_past
from notifications.domain.positions import LiveEvent
from servicekit import tracing
from servicekit.server import text_frame

NAMESPACE: Final = "/"
_EVENT: Final = "2"
"""Packet type of a Socket.IO event in the namespace ``/`` (Socket.IO protocol 5)."""
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
        self._told: dict[str, Any] = {}
        """The Engine.IO sockets of those who were told something, until they are released."""

    def deliver(self, events: Sequence[LiveEvent], sids: Collection[str]) -> list[str]:
        """Write events to sockets, or put them on their queues; see `Emitter.deliver`."""
        texts = [_EVENT + event.payload for event in events if event.payload is not None]
        if not texts:
            return []
        message = _Message(texts)
        emitted = [(f"emit {event.stream}", event.traceparent) for event in events]
        with tracing.each(SpanKind.PRODUCER, emitted, {"messaging.batch.message_count": len(sids)}):
            return [sid for sid in sids if not self._put(sid, message)]

    def tell(self, sid: str, name: str, message: dict[str, Any]) -> None:
        """Put a message on the queue of a socket; see `Emitter.tell`."""
        if (socket := self._find(sid)) is not None:
            self._told[sid] = socket
        self._put(sid, _Message([_EVENT + orjson.dumps([name, message]).decode()]))

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

    def _find(self, sid: str) -> Any:  # noqa: ANN401 - engineio.AsyncSocket, which has no types
        socket = self._told.get(sid)
        if socket is None:
            socket = self._server.eio.sockets.get(self._server.manager.eio_sid_from_sid(sid, NAMESPACE))
        return None if socket is None or socket.closing or socket.closed else socket

    def _put(self, sid: str, message: "_Message") -> bool:
        socket = self._find(sid)
        if socket is None:
            return False
        for written, piece in enumerate(message.pieces):
            if not write_past(socket, piece.frames):
                return self._enqueue(socket, [packet for left in message.pieces[written:] for packet in left.packets])
        return True

    def _enqueue(self, socket: Any, packets: list[engine_packet.Packet]) -> bool:  # noqa: ANN401 - as above
        for packet in packets:
            if socket.queue.qsize() >= self._pending:
                SLOW.inc()
                return False
            socket.queue.put_nowait(packet)
        return True


class _Piece:
    """Packets that are written at once."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.packets = [engine_packet.Packet(engine_packet.MESSAGE, text) for text in texts]
        self.frames = b"".join(text_frame(packet.encode()) for packet in self.packets)


class _Message:
    """What is sent together, in pieces of about `PIECE` characters: who does not read is not written more at once."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.pieces: list[_Piece] = []
        together: list[str] = []
        for text in texts:
            together.append(text)
            if sum(map(len, together)) >= PIECE:
                self.pieces.append(_Piece(together))
                together = []
        if together:
            self.pieces.append(_Piece(together))


async def _close(socket: Any) -> None:  # noqa: ANN401 - engineio.AsyncSocket, which has no types
    """Close a socket as a lost connection is: without the packet CLOSE, after which clients do not come back.

    What waits is dropped; the writer of a WebSocket closes it, a request that polls is answered.
    """
    socket.queue.drop()
    await socket.close(wait=False, abort=True)  # tells the server's handler of disconnects, which releases
