"""What DESIGN.md promises under "Live", with stock clients on two instances."""

import asyncio
import json
import os
import random
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
import redis.asyncio as redis
from socketio.exceptions import ConnectionError as SocketConnectionError

from local_stack.engines import Engines
from local_stack.port import HOST, free_ports
from notifications.testing.house import Guest, House
from notifications.testing.owners import CIPHERTEXT, SENSITIVE
from notifications.testing.waiting import until, until_ready
from notifications.testing.watcher import Watcher
from production_contracts.times import format_timestamp


async def refused(watcher: Watcher) -> Any:  # noqa: ANN401 - a problem
    with pytest.raises(SocketConnectionError):
        await watcher.connect()
    await until(lambda: bool(watcher.refusals), "connect_error")
    problem = watcher.refusals[-1]
    assert problem["data"]["type"] == f"/problems/{problem['message']}"
    return problem


async def test_ready_comes_first_and_tells_the_heads(guest: Guest) -> None:
    await guest.happens(3)
    await guest.happens(2, "tenancy")
    watcher = await guest.watcher().connect()
    ready = {"tenant_id": str(guest.tenant_id), "epoch": "b1.t1", "booking": 3, "tenancy": 2}
    assert watcher.heard[0] == ("ready", ready)


async def test_events_reach_the_sockets_of_both_instances_in_order_and_once(guest: Guest) -> None:
    watchers = [await guest.watcher(url).connect() for url in guest.house.urls * 2]
    for _ in range(10):
        await guest.happens(random.randint(1, 20))
        await guest.happens(random.randint(1, 5), "tenancy")
    for watcher in watchers:
        for stream in ("booking", "tenancy"):
            head = len(guest.house.owners.events[guest.tenant_id, stream])
            await watcher.until_heard(stream, range(1, head + 1))


async def test_a_message_is_as_the_contract_says_and_holds_nothing_sensitive(guest: Guest) -> None:
    watcher = await guest.watcher(after={"booking": 0}).connect()
    await guest.happens()
    await guest.happens(stream="tenancy")
    await until(lambda: bool(watcher.messages("artist:created") and watcher.messages("booking:created")), "both")
    message = watcher.messages("booking:created")[0]
    stored = guest.house.owners.events[guest.tenant_id, "booking"][0]
    data = {name: value for name, value in stored["data"].items() if name not in SENSITIVE}
    names = ("stream", "position", "id", "type", "occurred_at")
    assert message == {name: stored[name] for name in names} | {"data": data}
    assert CIPHERTEXT not in json.dumps(watcher.heard)


async def test_a_socket_resumes_from_where_it_was_while_events_flow(guest: Guest) -> None:
    await guest.happens(700)
    flowing = asyncio.create_task(guest.happens(300))
    watchers = [guest.watcher(url, after={"booking": 40}) for url in guest.house.urls]
    await asyncio.gather(*(watcher.connect() for watcher in watchers))
    await flowing
    for watcher in watchers:
        await watcher.until_heard("booking", range(41, 1_001))


async def test_tenants_hear_their_own_events_only(house: House) -> None:
    guests = [Guest(house) for _ in range(2)]
    watchers = [await guest.watcher(url).connect() for guest in guests for url in house.urls]
    await asyncio.gather(guests[0].happens(30), guests[1].happens(50))
    for watcher, count in zip(watchers, (30, 30, 50, 50), strict=True):
        await watcher.until_heard("booking", range(1, count + 1))
        await watcher.close()


async def test_a_flush_of_redis_hides_nothing(guest: Guest) -> None:
    watchers = [await guest.watcher(url).connect() for url in guest.house.urls]
    async with redis.Redis.from_url(guest.house.redis_url) as client:
        for _ in range(5):
            await guest.happens(10)
            await client.flushall()
    for watcher in [*watchers, await guest.watcher(after={"booking": 0}).connect()]:
        await watcher.until_heard("booking", range(1, 51))


async def test_a_lost_connection_to_redis_hides_nothing(guest: Guest) -> None:
    watchers = [await guest.watcher(url).connect() for url in guest.house.urls]
    async with redis.Redis.from_url(guest.house.redis_url) as client:
        for _ in range(5):
            await guest.happens(5)
            await client.client_kill_filter(_type="pubsub")
    for watcher in watchers:
        await watcher.until_heard("booking", range(1, 26))


@pytest.mark.parametrize(
    ("after", "position"), [({"booking": 6}, 5), ({"booking": 2_000, "tenancy": 0}, 5)], ids=["by one", "by far"]
)
async def test_a_client_ahead_of_the_head_is_told_to_read_anew(
    guest: Guest, after: dict[str, int], position: int
) -> None:
    await guest.happens(5)
    watcher = await guest.watcher(after=after).connect()
    await guest.happens(2)
    await until(lambda: len(watcher.heard) > 3, "ready, resync, two events")
    assert watcher.heard[1] == ("resync", {"stream": "booking", "position": position})
    assert watcher.positions("booking") == [6, 7]


async def test_a_client_too_far_behind_is_told_to_read_anew(guest: Guest) -> None:
    guest.house.owners.happen(guest.tenant_id, "booking", 2_001)
    watcher = await guest.watcher(after={"booking": 0}).connect()
    await until(lambda: bool(watcher.messages("resync")), "resync")
    assert watcher.messages("resync") == [{"stream": "booking", "position": 2_001}]
    near = await guest.watcher(after={"booking": 1}).connect()
    await near.until_heard("booking", range(2, 2_002))


async def test_a_client_of_another_epoch_is_told_to_read_anew(guest: Guest) -> None:
    await guest.happens(5)
    watcher = await guest.watcher(after={"booking": 2, "tenancy": 0}, epoch="b0.t1").connect()
    await until(lambda: bool(watcher.messages("resync")), "resync")
    assert watcher.messages("resync") == [{"stream": "booking", "position": 5}]


@pytest.mark.parametrize(
    "auth",
    [
        {"after": 5},
        {"after": {"booking": -1}},
        {"after": {"booking": "5"}},
        {"after": {"booking": True}},
        {"after": {"booking": 1.5}},
        {"after": {"weather": 5}},
        {"epoch": 5},
        {"token": 5},
        {"surprise": 5},
    ],
    ids=str,
)
async def test_a_malformed_auth_is_refused(guest: Guest, auth: dict[str, Any]) -> None:
    problem = await refused(guest.watcher(**auth))
    assert problem["message"] == "invalid-request"
    assert problem["data"]["errors"][0]["pointer"].startswith("#/")


async def test_who_has_no_valid_token_is_refused(guest: Guest) -> None:
    assert (await refused(guest.watcher(token=None)))["message"] == "invalid-request"
    nobody = guest.watcher()
    del nobody.auth["token"]
    assert (await refused(nobody))["message"] == "unauthenticated"
    assert (await refused(guest.watcher(token="x")))["message"] == "unauthenticated"
    expired = guest.token(ttl=timedelta(seconds=-1))
    assert (await refused(guest.watcher(token=expired)))["message"] == "unauthenticated"
    assert (await refused(guest.watcher(token=guest.token(tenant=None))))["message"] == "forbidden"


async def test_while_the_owners_are_down_nobody_new_is_let_in(guest: Guest) -> None:
    with guest.house.owners.outage():
        assert (await refused(guest.watcher()))["message"] == "unavailable"


async def test_a_socket_is_closed_when_its_token_runs_out_and_its_client_goes_on_with_another(guest: Guest) -> None:
    watcher = await guest.watcher(token=guest.token(ttl=timedelta(seconds=2))).connect()
    await guest.happens(2)
    await watcher.until_heard("booking", range(1, 3))
    watcher.auth = {"token": guest.token()}
    await until(lambda: len(watcher.messages("ready")) > 1, "ready, again")
    await guest.happens(2)
    await watcher.until_heard("booking", range(1, 5))


async def test_a_renewed_token_keeps_the_socket(guest: Guest) -> None:
    watcher = await guest.watcher(token=guest.token(ttl=timedelta(seconds=2))).connect()
    other = await guest.watcher(token=guest.token(ttl=timedelta(seconds=3))).connect()
    other.auth = {"token": guest.token()}
    in_an_hour = int(time.time()) + 3600
    answer = await watcher.client.call("auth:renew", {"token": guest.token(exp=in_an_hour)})
    assert answer == {"expires_at": format_timestamp(datetime.fromtimestamp(in_an_hour, UTC))}
    await until(lambda: len(other.messages("ready")) > 1, "the end of a token that ran out later than the first")
    assert len(watcher.messages("ready")) == 1


@pytest.mark.parametrize("words", [{"user": "eve"}, {"tenant": "elsewhere"}], ids=str)
async def test_a_token_of_somebody_else_renews_nothing(guest: Guest, words: dict[str, str]) -> None:
    watcher = await guest.watcher(token=guest.token(ttl=timedelta(seconds=2))).connect()
    answer = await watcher.client.call("auth:renew", {"token": guest.token(**words)})
    assert answer["error"]["type"] == "/problems/forbidden"
    await guest.happens(1)
    await watcher.until_heard("booking", range(1, 2))
    watcher.auth = {"token": guest.token()}
    await until(lambda: len(watcher.messages("ready")) > 1, "the end of the first token")


async def test_a_malformed_renewal_is_refused(guest: Guest) -> None:
    watcher = await guest.watcher().connect()
    for data in (None, 5, {}, {"token": None}, {"token": "x", "more": 1}):
        assert (await watcher.client.call("auth:renew", data))["error"]["type"] == "/problems/invalid-request"
    assert (await watcher.client.call("auth:renew", {"token": "x"}))["error"]["type"] == "/problems/unauthenticated"


async def test_other_events_of_a_client_are_ignored(guest: Guest) -> None:
    watcher = await guest.watcher().connect()
    await watcher.client.emit("booking:created", {"stream": "booking"})
    await watcher.client.emit("join", "tenant:other")
    await guest.happens(1)
    await watcher.until_heard("booking", range(1, 2))
    assert len(watcher.heard) == 2


async def test_a_client_that_only_polls_hears_the_same(guest: Guest) -> None:
    watcher = await guest.watcher().connect(transports=["polling"])
    for _ in range(5):
        await guest.happens(2)
    await watcher.until_heard("booking", range(1, 11))


async def test_a_stopping_instance_sends_its_sockets_away_and_they_try_to_come_back(guest: Guest) -> None:
    async with guest.house.instance() as url:
        watchers = [
            await guest.watcher(url).connect(transports=transports) for transports in (["websocket"], ["polling"])
        ]
        await guest.happens(2)
        for watcher in watchers:
            await watcher.until_heard("booking", range(1, 3))
    await until(lambda: all(watcher.refusals for watcher in watchers), "attempts to connect again")


async def test_an_instance_takes_so_many_sockets_and_no_more(guest: Guest) -> None:
    async with guest.house.instance(max_sockets=1) as url:
        first = await guest.watcher(url).connect()
        assert (await refused(guest.watcher(url)))["message"] == "unavailable"
        await first.client.disconnect()
        await guest.watcher(url).connect()


async def test_a_message_that_is_too_large_closes_its_socket(guest: Guest) -> None:
    watcher = await guest.watcher().connect()
    await watcher.client.emit("auth:renew", {"token": "x" * 70_000})
    await until(lambda: len(watcher.messages("ready")) > 1, "a new connection")


async def test_pages_of_other_origins_connect_only_where_they_may(guest: Guest) -> None:
    page = {"Origin": "https://calendar.example"}
    async with guest.house.instance(cors_origins=["https://calendar.example"]) as url:
        await guest.watcher(url).connect(headers=page)
        for headers, there in ((page, guest.house.urls[0]), ({"Origin": "https://other.example"}, url)):
            with pytest.raises(SocketConnectionError):
                await guest.watcher(there).connect(headers=headers)


async def test_health_readiness_metrics_and_problems_share_the_port(guest: Guest) -> None:
    await guest.watcher().connect()
    async with aiohttp.ClientSession(guest.house.urls[0]) as session:
        for path in ("/healthz", "/readyz"):
            async with session.get(path) as response:
                assert response.status == 200, await response.text()
        async with session.get("/metrics") as response:
            told = await response.text()
            assert "notifications_sockets " in told
            assert 'notifications_connections_total{outcome="accepted"}' in told
        async with session.get("/nowhere") as response:
            assert (response.status, response.content_type) == (404, "application/problem+json")


async def test_an_outage_of_redis_delays_and_loses_nothing(guest: Guest, own_engines: Engines) -> None:
    watchers = [await guest.watcher(url).connect() for url in guest.house.urls]
    await guest.happens(5)
    own_engines.redis.stop()
    await guest.happens(20)
    late = guest.watcher(after={"booking": 3})
    await late.connect()
    own_engines.redis.start()
    await guest.happens(5)
    for watcher in watchers:
        await watcher.until_heard("booking", range(1, 31))
    await late.until_heard("booking", range(4, 31))


async def test_the_process_serves_and_ends_in_order(guest: Guest) -> None:
    port = free_ports(1)[0]
    url = f"http://{HOST}:{port}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifications", env=os.environ | guest.house.environment(port)
    )
    try:
        await until_ready(url)
        watcher = await guest.watcher(url).connect()
        await guest.happens(3)
        await watcher.until_heard("booking", range(1, 4))
        process.terminate()
        # uvicorn raises the signal again once everything is shut down.
        assert await asyncio.wait_for(process.wait(), 60) in {0, -signal.SIGTERM}
        await until(lambda: bool(watcher.refusals), "an attempt to connect again")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
