"""Clients that do not read: they are closed at a bound and leave nothing behind, and nobody waits for them."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from prometheus_client import REGISTRY

from notifications.adapters import connections
from notifications.testing.house import Guest
from notifications.testing.sleeper import Sleeper
from notifications.testing.waiting import until
from servicekit import server

PENDING = 1_000
FLOOD = 6 * PENDING
"""More events than wait for a socket, are taken by its writer and fit the kernel's buffers."""
STEP = 500


@pytest.fixture
async def url(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    monkeypatch.setattr(connections, "CLOSE_SECONDS", 0.2)
    monkeypatch.setattr(server, "STALL_SECONDS", 600.0)  # the kernel is not to do what is looked for here
    async with guest.house.instance(
        max_pending=PENDING, drain_seconds=2.0, resume_limit=2 * FLOOD, max_packets=1_000_000
    ) as url:
        yield url


def value(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


def websockets() -> int:
    """Count the WebSockets that the server has in hand, in whatever state."""
    served = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
    return sum(name == "WebSocketsSansIOProtocol.run_asgi" for name in served)


async def flood(guest: Guest, is_enough: Callable[[], bool] = lambda: False) -> int:
    """Let events happen, a few at a time, up to a flood; gives the last position."""
    position = len(guest.house.owners.events[guest.tenant_id, "booking"])
    for _ in range(FLOOD // STEP):
        if is_enough():
            break
        await guest.happens(STEP)
        position += STEP
    return position


async def test_a_websocket_that_does_not_read_is_closed_and_cut_while_the_others_hear_everything_and_it_resumes(
    guest: Guest, url: str
) -> None:
    quick = await guest.watcher(url).connect()
    before, slow = websockets(), value("notifications_slow_sockets_total")
    sleeper = await Sleeper(url, {"token": guest.token()}).connect()
    position = await flood(guest, lambda: value("notifications_slow_sockets_total") > slow)
    await quick.until_heard("booking", range(1, position + 1))
    await until(lambda: value("notifications_slow_sockets_total") > slow, "the end of the socket that does not read")
    await until(lambda: websockets() == before, "the end of its connection, and of all that waited for it")
    heard = [message["position"] for _, message in await sleeper.wake()]
    assert heard == list(range(1, len(heard) + 1))
    assert len(heard) < position
    again = await guest.watcher(url, after={"booking": len(heard)}).connect()
    await again.until_heard("booking", range(len(heard) + 1, position + 1))


async def test_one_that_stops_reading_while_it_catches_up_is_closed_and_cut(guest: Guest, url: str) -> None:
    await guest.happens(2_000)
    before, slow = websockets(), value("notifications_slow_sockets_total")
    auth = {"token": guest.token(), "after": {"booking": 0}}
    sleepers = [await Sleeper(url, auth).connect() for _ in range(2)]
    await until(lambda: value("notifications_slow_sockets_total") >= slow + 2, "the end of both")
    await until(lambda: websockets() == before, "the end of their connections")
    for sleeper in sleepers:
        sleeper.vanish()


async def test_one_that_polls_and_comes_no_more_is_closed_while_the_others_hear_everything_and_it_resumes(
    guest: Guest, url: str
) -> None:
    quick = await guest.watcher(url).connect()
    slow = value("notifications_slow_sockets_total")
    async with aiohttp.ClientSession(url) as session:
        query = {"EIO": "4", "transport": "polling"}
        async with session.get("/socket.io/", params=query) as response:
            query["sid"] = json.loads((await response.text())[1:])["sid"]
        await session.post("/socket.io/", params=query, data="40" + json.dumps({"token": guest.token()}))
        polled = ""
        while '42["ready"' not in polled:
            async with session.get("/socket.io/", params=query) as response:
                polled += await response.text()
        position = await flood(guest, lambda: value("notifications_slow_sockets_total") > slow)
        await quick.until_heard("booking", range(1, position + 1))
        await until(lambda: value("notifications_slow_sockets_total") > slow, "the end of the one that does not come")
    again = await guest.watcher(url, after={"booking": 0}).connect(transports=["polling"])
    await again.until_heard("booking", range(1, position + 1))


async def test_answers_to_one_that_does_not_read_wait_in_no_greater_number(guest: Guest, url: str) -> None:
    before = websockets()
    sleeper = await Sleeper(url, {"token": guest.token()}).connect()
    kept = [one for one in gc.get_objects() if isinstance(one, connections.Queue)]
    largest = 0
    for number in range(12 * PENDING):
        await sleeper.send(f'42{number}["auth:renew",{{"token":"x"}}]')
        if number % 500 == 0:
            largest = max(largest, *(queue.qsize() for queue in kept))
    await until(lambda: max(queue.qsize() for queue in kept) >= PENDING, "as many answers as may wait")
    assert max(largest, *(queue.qsize() for queue in kept)) <= PENDING + 1
    sleeper.vanish()
    await until(lambda: websockets() == before, "the end of its connection")


async def test_a_session_that_never_connects_is_closed_and_so_many_are_begun(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CONNECT_SECONDS", 1.0)
    monkeypatch.setattr(connections, "DOORSTEP", 1)
    query = {"EIO": "4", "transport": "polling"}
    async with guest.house.instance(max_sockets=1) as url, aiohttp.ClientSession(url) as session:
        sids = []
        for _ in range(2):
            async with session.get("/socket.io/", params=query) as response:
                sids.append(json.loads((await response.text())[1:])["sid"])
        async with session.get("/socket.io/", params=query) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect("/socket.io/", params=query | {"transport": "websocket"})
        assert refused.value.status == 503
        for sid in sids:
            async with session.get("/socket.io/", params=query | {"sid": sid}) as response:
                await response.read()
        await guest.watcher(url).connect()


async def test_attachments_are_refused_before_they_are_gathered(guest: Guest, url: str) -> None:
    sleeper = await Sleeper(url, {"token": guest.token()}).connect()
    await sleeper.send('451000000-["x",{"_placeholder":true,"num":0}]')
    await sleeper.send('427["auth:renew",{"token":"x"}]')
    await sleeper.hear("437[")  # the answer: what follows the announcement is no attachment
    sleeper.vanish()
