"""The emitter on Engine.IO sockets that nobody reads."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
from engineio.async_socket import AsyncSocket

from notifications.adapters.connections import MOST_AT_ONCE, Queue, line_to
from notifications.adapters.sockets import PIECE, SocketEmitter
from notifications.testing.memory import OCCURRED, live_event
from notifications.testing.waiting import until


class Server:
    """As much of a server as its sockets and the emitter ask for."""

    def __init__(self, *sids: str) -> None:
        self.disconnected: list[str] = []
        self.ping_interval = self.ping_timeout = 1
        self.eio = self
        self.manager = SimpleNamespace(eio_sid_from_sid=lambda sid, _namespace: sid)
        self.reason = SimpleNamespace(SERVER_DISCONNECT="server disconnect")
        self.sockets = {sid: AsyncSocket(self, sid) for sid in sids}

    def create_queue(self) -> Queue:
        return Queue(10)

    async def _trigger_event(self, _event: str, sid: str, _reason: str, *, run_async: bool) -> None:  # noqa: ARG002 - its name
        self.disconnected.append(sid)


@pytest.fixture
def server() -> Server:
    return Server("ana", "ben")


def waiting(server: Server, sid: str) -> list[str]:
    queue = server.sockets[sid].queue
    return [queue.get_nowait().encode() for _ in range(queue.qsize())]


async def test_packets_are_those_of_socket_io_and_wait_in_order(server: Server) -> None:
    emitter = SocketEmitter(server, pending=10, patience_s=1)
    emitter.tell("ana", "ready", {"booking": 1})
    assert emitter.deliver([live_event("booking", 2)], ["ana", "ben", "gone"]) == ["gone"]
    assert waiting(server, "ana") == ['42["ready",{"booking":1}]', happened(2)]
    assert waiting(server, "ben") == [happened(2)]


async def test_a_socket_that_lets_too_much_wait_takes_nothing_any_more(server: Server) -> None:
    emitter = SocketEmitter(server, pending=3, patience_s=1)
    for position in range(1, 4):
        assert emitter.deliver([live_event("booking", position)], ["ana"]) == []
    assert emitter.deliver([live_event("booking", 4)], ["ana", "ben"]) == ["ana"]


async def test_waiting_for_a_socket_ends_when_it_reads_and_when_patience_does(server: Server) -> None:
    emitter = SocketEmitter(server, pending=3, patience_s=0.05)
    emitter.deliver([live_event("booking", 1)], ["ana", "ben"])
    server.sockets["ana"].queue.get_nowait()
    server.sockets["ana"].queue.task_done()
    assert await emitter.drained("ana")
    assert not await emitter.drained("ben")
    assert not await emitter.drained("gone")


async def test_a_closed_socket_drops_what_waits_and_is_told_about_once(server: Server) -> None:
    emitter = SocketEmitter(server, pending=3, patience_s=1)
    emitter.deliver([live_event("booking", 1)], ["ana"])
    emitter.close("ana")
    emitter.close("ana")
    emitter.close("gone")
    await emitter.closed()
    await asyncio.wait_for(server.sockets["ana"].queue.join(), 1)
    assert server.disconnected == ["ana"]
    assert emitter.deliver([live_event("booking", 2)], ["ana"]) == ["ana"]


class FakeWire:
    """A WebSocket that takes what it is written until it is full."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = False
        self.writer: Callable[[bytes], None] | None = self._write
        self._room = 1_000
        self._changed: Callable[[], None] = lambda: None

    def hold(self, room: int) -> None:
        """Take as many writes as ``room`` in all."""
        self._room = room
        self._look()

    def _look(self) -> None:
        self.writer = self._write if len(self.written) < self._room else None
        self._changed()

    def follow(self, changed: Callable[[], None]) -> None:
        self._changed = changed

    def _write(self, frames: bytes) -> None:
        if self.is_closed:
            message = "unable to perform operation; the handler is closed"
            raise RuntimeError(message)
        self.written.append(frames)
        self._look()

    def abort(self) -> None:
        self.hold(0)


class Upgraded:
    """A socket whose writer waits for packets, and holds what it has taken until it is let go on."""

    def __init__(self, socket: AsyncSocket) -> None:
        self.wire = FakeWire()
        socket.upgraded = True
        line_to(socket).connect(self.wire)
        self._socket = socket
        self.taken: list[str] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while True:
            packets = await self._socket.poll()
            await self.goes_on.wait()
            self.taken += [packet.encode() for packet in packets]

    async def end(self) -> None:
        while not self._writing.done():  # asyncio.wait_for forgets that it was cancelled where there is a packet
            self._writing.cancel()
            await asyncio.sleep(0)
        await asyncio.gather(self._writing, return_exceptions=True)


@pytest.fixture
async def ana(server: Server) -> AsyncIterator[Upgraded]:
    upgraded = Upgraded(server.sockets["ana"])
    await asyncio.sleep(0.01)  # its writer waits
    yield upgraded
    await upgraded.end()


def told(frames: bytes) -> list[str]:
    """Read the text frames of a server, as a client does."""
    found = []
    while frames:
        length, at = frames[1], 2
        if length == 126:
            length, at = int.from_bytes(frames[2:4], "big"), 4
        elif length == 127:
            length, at = int.from_bytes(frames[2:10], "big"), 10
        assert frames[0] == 0x81
        found.append(frames[at : at + length].decode())
        frames = frames[at + length :]
    return found


def happened(position: int) -> str:
    message = f'{{"stream":"booking","position":{position},"occurred_at":"{OCCURRED}"}}'
    return f'42["booking:happened",{message}]'


async def test_events_that_are_ready_together_are_one_write(server: Server, ana: Upgraded) -> None:
    emitter = SocketEmitter(server, pending=10, patience_s=1)
    assert emitter.deliver([live_event("booking", position) for position in (1, 2, 3)], ["ana", "ben"]) == []
    assert [told(frames) for frames in ana.wire.written] == [[happened(1), happened(2), happened(3)]]
    assert waiting(server, "ben") == [happened(1), happened(2), happened(3)]  # it polls


async def test_nothing_overtakes_what_waits_or_was_taken(server: Server, ana: Upgraded) -> None:
    emitter = SocketEmitter(server, pending=10, patience_s=1)
    ana.wire.hold(0)
    ana.goes_on = asyncio.Event()
    emitter.deliver([live_event("booking", 1)], ["ana"])
    ana.wire.hold(1_000)
    emitter.deliver([live_event("booking", 2)], ["ana"])
    await until(server.sockets["ana"].queue.empty, "the writer has taken both")
    emitter.deliver([live_event("booking", 3)], ["ana"])
    assert ana.wire.written == []
    ana.goes_on.set()
    await until(lambda: server.sockets["ana"].queue.is_idle, "the writer waits for more")
    emitter.deliver([live_event("booking", 4)], ["ana"])
    assert ana.taken == [happened(1), happened(2), happened(3)]
    assert [told(frames) for frames in ana.wire.written] == [[happened(4)]]


async def test_who_reads_slowly_is_written_a_piece_and_the_rest_waits(server: Server, ana: Upgraded) -> None:
    emitter = SocketEmitter(server, pending=10, patience_s=1)
    ana.wire.hold(1)
    ana.goes_on = asyncio.Event()
    large = [replace(live_event("booking", position), payload='["x","' + "y" * PIECE + '"]') for position in (1, 2, 3)]
    assert emitter.deliver(large, ["ana"]) == []
    assert [len(told(frames)) for frames in ana.wire.written] == [1]
    assert server.sockets["ana"].queue.qsize() == 2


async def test_a_socket_that_is_being_upgraded_is_not_written_to(server: Server) -> None:
    emitter = SocketEmitter(server, pending=10, patience_s=1)
    socket, wire = server.sockets["ana"], FakeWire()
    line_to(socket).connect(wire)
    polling = asyncio.create_task(socket.poll())
    await until(lambda: socket.queue.is_idle, "the poll waits")
    emitter.deliver([live_event("booking", 1)], ["ana"])
    assert [packet.encode() for packet in await polling] == [happened(1)]
    assert wire.written == []


async def test_an_audience_is_sent_the_same_until_it_is_left(server: Server, ana: Upgraded) -> None:
    audience = SocketEmitter(server, pending=10, patience_s=1).audience()
    for sid in ("ana", "ben", "gone"):
        audience.add(sid)
    assert len(audience) == 3
    assert audience.deliver([live_event("booking", 1)]) == ["gone"]
    audience.discard("gone")
    assert audience.deliver([live_event("booking", 2)]) == []
    audience.discard("ana")
    audience.discard("ana")
    assert audience.deliver([live_event("booking", 3)]) == []
    assert [told(frames) for frames in ana.wire.written] == [[happened(1)], [happened(2)]]
    assert waiting(server, "ben") == [happened(1), happened(2), happened(3)]  # it polls


async def test_a_connection_that_was_closed_behind_our_back_keeps_nothing_from_the_others(
    server: Server, ana: Upgraded
) -> None:
    emitter = SocketEmitter(server, pending=10, patience_s=1)
    ana.wire.is_closed = True
    assert emitter.deliver([live_event("booking", 1)], ["ana", "ben"]) == ["ana"]
    assert waiting(server, "ben") == [happened(1)]


async def test_one_that_is_lost_at_a_piece_is_named_once_and_the_others_are_sent_all(
    server: Server, ana: Upgraded
) -> None:
    emitter = SocketEmitter(server, pending=2, patience_s=1)
    large = [replace(live_event("booking", position), payload='["x","' + "y" * PIECE + '"]') for position in range(4)]
    assert emitter.deliver(large, ["ben", "ana"]) == ["ben"]
    assert [len(told(frames)) for frames in ana.wire.written] == [1, 1, 1, 1]


async def test_an_answer_to_a_poll_holds_so_many_packets_and_the_next_goes_on(server: Server) -> None:
    emitter = SocketEmitter(server, pending=100, patience_s=1)
    for position in range(1, 3 * MOST_AT_ONCE):
        emitter.deliver([live_event("booking", position)], ["ana"])
    taken = [await server.sockets["ana"].poll() for _ in range(3)]
    assert [len(packets) for packets in taken] == [MOST_AT_ONCE, MOST_AT_ONCE, MOST_AT_ONCE - 1]
    assert server.sockets["ana"].queue.empty()
