"""The server: a head has a bound, and requests in hand are finished."""

import asyncio

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from servicekit.server import LARGEST_HEAD
from servicekit.testing import running


async def _size(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


APP = Starlette(routes=[Route("/", _size, methods=["GET", "POST"])])


async def _read_until_closed(reader: asyncio.StreamReader) -> bytes:
    received = b""
    try:
        async with asyncio.timeout(10):
            while chunk := await reader.read(65536):
                received += chunk
    except ConnectionError:
        pass
    return received


async def test_a_head_without_end_is_cut_off() -> None:
    async with running(APP) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        answer = asyncio.create_task(_read_until_closed(reader))
        writer.write(b"GET / HTTP/1.1\r\n")
        sent = 0
        while not answer.done() and sent < 16 * LARGEST_HEAD:
            try:
                writer.write(b"x-filler: " + b"x" * 4000 + b"\r\n")
                await writer.drain()
            except ConnectionError:
                break
            sent += 4012
            await asyncio.sleep(0)
        received = await answer
        writer.close()
    assert sent < 16 * LARGEST_HEAD
    assert received == b"" or received.startswith(b"HTTP/1.1 431 ")


async def test_long_bodies_and_many_requests_on_one_connection_pass() -> None:
    connector = aiohttp.TCPConnector(limit=1)
    async with running(APP) as url, aiohttp.ClientSession(url, connector=connector) as session:
        for size in (0, 10, 3 * LARGEST_HEAD, 10):
            async with session.post("/", data=b"x" * size) as response:
                assert await response.text() == str(size)


async def test_a_request_in_hand_is_finished_at_a_shutdown() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_request: Request) -> Response:
        begun.set()
        await go_on.wait()
        return PlainTextResponse("done")

    async with aiohttp.ClientSession() as session:
        async with running(Starlette(routes=[Route("/", slow)])) as url:
            asking = asyncio.create_task(_text(session, url))
            await begun.wait()
            asyncio.get_running_loop().call_later(0.2, go_on.set)
        assert await asking == "done"


async def _text(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(url) as response:
        return await response.text()
