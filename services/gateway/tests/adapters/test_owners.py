"""The owning services over HTTP: what they answer, and that they may be away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.adapters.owners import READS_A_CONNECTION, HttpOwners
from gateway.application.ports import OwnerAwayError


@asynccontextmanager
async def owners_of(url: str, timeout: float = 5.0) -> AsyncIterator[HttpOwners]:  # noqa: ASYNC109 - the deadline under test
    owners = HttpOwners({"booking": url}, timeout_seconds=timeout, connections=4)
    await owners.start()
    try:
        yield owners
    finally:
        await owners.stop()


async def _echo(request: web.Request) -> web.Response:
    if request.path == "/v1/hang":
        await asyncio.get_running_loop().create_future()
    if request.path == "/v1/moved":
        raise web.HTTPFound(location="/v1/elsewhere")
    body = {"path": request.raw_path, "authorization": request.headers["Authorization"]}
    return web.json_response(body, status=409, headers={"Position": "7", "X-Other": "1", "Set-Cookie": "a=b"})


@pytest.fixture
async def url() -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/{path:.*}", _echo)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def test_path_query_and_token_arrive_and_the_answer_comes_back(url: str) -> None:
    async with owners_of(url) as owners:
        query = {"from": "2027-01-01T00:00:00.000Z", "cursor": "a+b/c=&d"}
        answer = await owners.get("booking", "/v1/bookings", query, {"Authorization": "Bearer x"})
    assert answer.status == 409
    assert b"Bearer x" in answer.body
    assert b"/v1/bookings?from=2027-01-01T00:00:00.000Z&cursor=a%2Bb/c%3D%26d" in answer.body
    assert dict(answer.headers) == {"content-type": "application/json; charset=utf-8", "position": "7"}


async def test_an_owner_that_hangs_or_sends_elsewhere_is_away_or_passed_on(url: str) -> None:
    async with owners_of(url, timeout=0.05) as owners:
        with pytest.raises(OwnerAwayError):
            await owners.get("booking", "/v1/hang", {}, {"Authorization": "x"})
    async with owners_of(url) as owners:
        assert (await owners.get("booking", "/v1/moved", {}, {"Authorization": "x"})).status == 302


async def test_an_owner_that_hangs_holds_so_many_reads_and_the_next_are_refused_at_once(url: str) -> None:
    async with owners_of(url) as owners:
        places = 4 * READS_A_CONNECTION
        hanging = [
            asyncio.create_task(owners.get("booking", "/v1/hang", {}, {"Authorization": "x"})) for _ in range(places)
        ]
        await asyncio.sleep(0)  # each takes its place as soon as it runs
        with pytest.raises(OwnerAwayError, match="16 reads of booking"):
            await owners.get("booking", "/v1/x", {}, {"Authorization": "x"})
        for task in hanging:
            task.cancel()
        await asyncio.wait(hanging)
        assert (await owners.get("booking", "/v1/x", {}, {"Authorization": "x"})).status == 409


async def test_an_owner_that_is_not_there_is_away(unused_tcp_port: int) -> None:
    async with owners_of(f"http://127.0.0.1:{unused_tcp_port}") as owners:
        with pytest.raises(OwnerAwayError):
            await owners.get("booking", "/v1/x", {}, {})
        assert not await owners.answers("booking")


async def test_a_client_that_is_not_open_says_so() -> None:
    owners = HttpOwners({"booking": "http://127.0.0.1:1"}, timeout_seconds=1, connections=1)
    with pytest.raises(OwnerAwayError):
        await owners.get("booking", "/", {}, {})
