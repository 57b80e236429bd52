"""The emitter on Engine.IO sockets that nobody reads."""

import asyncio
from types import SimpleNamespace

import pytest
from engineio.async_socket import AsyncSocket

from notifications.adapters.connections import MOST_AT_ONCE, Queue
from notifications.adapters.sockets import SocketEmitter
from notifications.testing.memory import OCCURRED, live_event


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
    assert emitter.deliver(live_event("booking", 2), ["ana", "ben", "gone"]) == ["gone"]
    message = f'{{"stream":"booking","position":2,"occurred_at":"{OCCURRED}"}}'
    happened = f'42["booking:happened",{message}]'
    assert waiting(server, "ana") == ['42["ready",{"booking":1}]', happened]
    assert waiting(server, "ben") == [happened]


async def test_a_socket_that_lets_too_much_wait_takes_nothing_any_more(server: Server) -> None:
    emitter = SocketEmitter(server, pending=3, patience_s=1)
    for position in range(1, 4):
        assert emitter.deliver(live_event("booking", position), ["ana"]) == []
    assert emitter.deliver(live_event("booking", 4), ["ana", "ben"]) == ["ana"]


async def test_waiting_for_a_socket_ends_when_it_reads_and_when_patience_does(server: Server) -> None:
    emitter = SocketEmitter(server, pending=3, patience_s=0.05)
    emitter.deliver(live_event("booking", 1), ["ana", "ben"])
    server.sockets["ana"].queue.get_nowait()
    server.sockets["ana"].queue.task_done()
    assert await emitter.drained("ana")
    assert not await emitter.drained("ben")
    assert not await emitter.drained("gone")


async def test_a_closed_socket_drops_what_waits_and_is_told_about_once(server: Server) -> None:
    emitter = SocketEmitter(server, pending=3, patience_s=1)
    emitter.deliver(live_event("booking", 1), ["ana"])
    emitter.close("ana")
    emitter.close("ana")
    emitter.close("gone")
    await emitter.closed()
    await asyncio.wait_for(server.sockets["ana"].queue.join(), 1)
    assert server.disconnected == ["ana"]
    assert emitter.deliver(live_event("booking", 2), ["ana"]) == ["ana"]


async def test_an_answer_to_a_poll_holds_so_many_packets_and_the_next_goes_on(server: Server) -> None:
    emitter = SocketEmitter(server, pending=100, patience_s=1)
    for position in range(1, 3 * MOST_AT_ONCE):
        emitter.deliver(live_event("booking", position), ["ana"])
    taken = [await server.sockets["ana"].poll() for _ in range(3)]
    assert [len(packets) for packets in taken] == [MOST_AT_ONCE, MOST_AT_ONCE, MOST_AT_ONCE - 1]
    assert server.sockets["ana"].queue.empty()
