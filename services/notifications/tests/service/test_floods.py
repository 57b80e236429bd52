"""Clients that take or send too much: each is held to its own share, and nobody else feels it."""

import asyncio
import contextlib
import json
from typing import Any

import aiohttp
import pytest
from prometheus_client import REGISTRY
from socketio.exceptions import ConnectionError as SocketConnectionError
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from notifications.adapters.connections import Allowance, Meter
from notifications.testing.house import Guest
from notifications.testing.sleeper import Sleeper
from notifications.testing.waiting import until
from notifications.testing.watcher import Watcher


async def refusal(watcher: Watcher) -> dict[str, Any]:
    with pytest.raises(SocketConnectionError):
        await watcher.connect()
    found: dict[str, Any] = watcher.refusals[-1]
    return found


async def test_a_user_has_so_many_sockets_and_others_of_the_tenant_have_theirs(guest: Guest) -> None:
    async with guest.house.instance(max_sockets_user=2) as url:
        held = [await guest.watcher(url).connect() for _ in range(2)]
        refused = await refusal(guest.watcher(url))
        assert (refused["message"], refused["data"]["status"]) == ("rate-limited", 429)
        await guest.watcher(url, token=guest.token(user="bob")).connect()
        await held[0].client.disconnect()
        await guest.watcher(url).connect()
        assert (await refusal(guest.watcher(url)))["message"] == "rate-limited"


async def test_a_tenant_has_so_many_sockets_and_another_tenant_is_told_and_feels_nothing(guest: Guest) -> None:
    other = Guest(guest.house)
    async with guest.house.instance(max_sockets_tenant=2) as url:
        for name in ("ana", "bob"):
            await guest.watcher(url, token=guest.token(user=name)).connect()
        refused = await refusal(guest.watcher(url, token=guest.token(user="cem")))
        assert refused["message"] == "rate-limited"
        try:
            for _ in range(2):
                await other.watcher(url).connect()
            assert await refusal(other.watcher(url)) == refused  # byte for byte: it speaks of nobody
        finally:
            for watcher in other.watchers:
                await watcher.close()


async def test_of_many_that_come_together_no_more_get_in_than_may(guest: Guest) -> None:
    async with guest.house.instance(max_sockets_user=3) as url:
        watchers = [guest.watcher(url) for _ in range(12)]
        came = await asyncio.gather(*(watcher.connect() for watcher in watchers), return_exceptions=True)
        assert sum(isinstance(one, Watcher) for one in came) == 3
        assert {watcher.refusals[-1]["message"] for watcher in watchers if watcher.refusals} == {"rate-limited"}


async def test_who_was_removed_or_has_gone_takes_no_place(guest: Guest) -> None:
    async with guest.house.instance(max_sockets_user=1) as url:
        for _ in range(3):
            sleeper = await Sleeper(url, {"token": guest.token()}).connect()
            sleeper.vanish()
            watcher = guest.watcher(url)
            await until_connected(watcher)
            await watcher.close()


async def until_connected(watcher: Watcher) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await watcher.connect()
            except SocketConnectionError:
                await asyncio.sleep(0.02)
            else:
                return


async def test_a_client_that_sends_too_much_is_told_why_and_closed_and_others_hear_everything(guest: Guest) -> None:
    async with guest.house.instance(max_packets=20, packets_per_second=0.001) as url:
        quiet = await guest.watcher(url).connect()
        loud = await guest.watcher(url).connect(transports=["websocket"])
        floods = REGISTRY.get_sample_value("notifications_floods_total") or 0.0
        for _ in range(25):
            if not loud.client.connected:
                break
            await loud.client.emit("auth:renew", {"token": "x"})
        await until(lambda: bool(loud.messages("closing")), "a word of why")
        assert loud.messages("closing")[0]["type"] == "/problems/rate-limited"
        assert REGISTRY.get_sample_value("notifications_floods_total") == floods + 1
        await until(lambda: len(loud.messages("ready")) > 1, "a new connection, with an allowance of its own")
        await guest.happens(3)
        for watcher in (quiet, loud):
            await watcher.until_heard("booking", range(1, 4))
        assert quiet.messages("closing") == []


async def test_one_that_polls_is_told_and_closed_as_well(guest: Guest) -> None:
    async with (
        guest.house.instance(max_packets=20, packets_per_second=0.001) as url,
        aiohttp.ClientSession(url) as session,
    ):
        query = {"EIO": "4", "transport": "polling"}

        async def poll() -> str:
            async with session.get("/socket.io/", params=query) as response:
                return await response.text()

        query["sid"] = json.loads((await poll())[1:])["sid"]
        await session.post("/socket.io/", params=query, data="40" + json.dumps({"token": guest.token()}))
        while '42["ready"' not in await poll():
            pass
        polled = asyncio.create_task(poll())
        statuses = []
        for _ in range(25):
            async with session.post("/socket.io/", params=query, data="3") as response:
                statuses.append(response.status)
        assert '42["closing"' in await polled
        assert statuses[0] == 200
        assert statuses[-1] == 400  # there is no such session any more


async def test_a_session_that_floods_before_it_connects_is_closed_too(guest: Guest) -> None:
    async with guest.house.instance(max_packets=20, packets_per_second=0.001) as url:
        host = url.removeprefix("http://")
        async with connect(f"ws://{host}/socket.io/?EIO=4&transport=websocket", proxy=None) as raw:
            with contextlib.suppress(ConnectionClosed):
                for _ in range(25):
                    await raw.send("3")
            heard = [message async for message in raw]
        assert any(str(message).startswith('42["closing"') for message in heard)


def test_an_allowance_comes_back_and_never_grows_beyond_itself() -> None:
    now = 0.0
    meter = Meter(Allowance(burst=3, per_second=0.5), clock=lambda: now)
    assert [meter.take() for _ in range(4)] == [True, True, True, False]
    now = 2.0
    assert [meter.take() for _ in range(2)] == [True, False]
    now = 1_000.0
    assert [meter.take() for _ in range(4)] == [True, True, True, False]
