"""The server: what a client can make it hold has a bound, and requests in hand are finished."""

import asyncio
import base64
import contextlib
import itertools
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.frames import Frame, Opcode

from servicekit import server
from servicekit.server import LARGEST_HEAD, PIPELINED, WIRE, text_frame
from servicekit.testing import running

MEGABYTE = b"x" * (1 << 20)


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


async def _open(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n"])
async def test_a_head_that_does_not_come_ends_its_connection(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
    async with running(APP) as url:
        reader, writer = await _open(url)
        writer.write(begun)
        answered = await _read_until_closed(reader)
        assert answered.startswith(b"HTTP/1.1 200 ") == begun.endswith(b"\r\n")
        writer.close()


async def test_who_does_not_read_an_answer_is_cut_off_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STALL_SECONDS", 1.0)
    ended = asyncio.Event()
    sent = itertools.count()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while next(sent) < 1_000:
                yield MEGABYTE
        finally:
            ended.set()

    async def stream(_request: Request) -> Response:
        return StreamingResponse(endless())

    app = Starlette(routes=[*APP.routes, Route("/endless", stream)])
    async with running(app) as url, aiohttp.ClientSession(url) as session:
        reader, writer = await _open(url)
        writer.write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readline()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(60):
            while not ended.is_set():
                async with session.get("/") as response:
                    assert response.status == 200
                await asyncio.wait([asyncio.ensure_future(ended.wait())], timeout=0.05)
        writer.close()


async def test_so_many_requests_may_be_sent_ahead_of_their_answers() -> None:
    taken = itertools.count(1)
    go_on = asyncio.Event()

    async def wait(_request: Request) -> Response:
        next(taken)
        await go_on.wait()
        return PlainTextResponse("done")

    async with running(Starlette(routes=[Route("/", wait)])) as url:
        reader, writer = await _open(url)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 5 * PIPELINED)
        answered = await _read_until_closed(reader)
        assert answered.startswith(b"HTTP/1.1 400 ")
        go_on.set()
        writer.close()
    assert next(taken) <= PIPELINED


async def test_one_connection_too_many_is_told_so_and_health_is_answered_all_the_same() -> None:
    app = Starlette(routes=[*APP.routes, Route("/healthz", _size)])
    async with running(app, websockets=True, http_connections=2) as url:
        held = [await _open(url) for _ in range(2)]
        for _, writer in held:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        for reader, _ in held:
            await reader.readuntil(b"\r\n\r\n0")
        async with aiohttp.ClientSession(url) as session:
            for path, status in (("/", 503), ("/healthz", 200), ("/", 503)):
                async with session.get(path) as response:
                    assert (response.status, response.headers["Connection"]) == (status, "close")
                    assert response.headers.get("Retry-After") == ("1" if status == 503 else None)
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect("/")
            assert refused.value.status == 503
            for _, writer in held:
                writer.close()
            status = 503
            async with asyncio.timeout(30):
                while status != 200:
                    status = await _status(session, "/")


async def test_who_pings_a_websocket_and_does_not_read_is_owed_no_pongs() -> None:
    transports: list[Any] = []

    async def listen(websocket: WebSocket) -> None:
        transports.append(websocket.scope["extensions"][WIRE].transport)
        await websocket.accept()
        with pytest.raises(RuntimeError):
            await websocket.receive_text()

    async with running(Starlette(routes=[WebSocketRoute("/", listen)]), websockets=True) as url:
        reader, writer = await _open(url)
        key = base64.b64encode(os.urandom(16))
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        pings = (b"\x89\xfd\0\0\0\0" + b"x" * 125) * 8_000
        largest = 0
        for _ in range(30):
            writer.write(pings)
            await writer.drain()
            largest = max(largest, transports[0].get_write_buffer_size())
        assert 0 < largest < 1 << 20
        transports[0].abort()
        writer.close()


@pytest.mark.parametrize("text", ["", "2", "x" * 125, "x" * 126, "ü" * 100, "x" * 65_535, "x" * 65_536])
def test_a_frame_is_as_the_websocket_library_makes_it(text: str) -> None:
    assert text_frame(text) == Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


async def test_a_wire_tells_when_it_takes_frames_and_when_no_more() -> None:
    told: list[bool] = []
    wires: list[Any] = []

    async def listen(websocket: WebSocket) -> None:
        wire = websocket.scope["extensions"][WIRE]
        wires.append(wire)
        wire.follow(lambda: told.append(wire.writer is not None))
        assert wire.writer is None
        await websocket.accept()
        while (await websocket.receive_text()) != "leave":
            pass
        await websocket.close()

    async with (
        running(Starlette(routes=[WebSocketRoute("/", listen)]), websockets=True) as url,
        aiohttp.ClientSession(url) as session,
        session.ws_connect("/", max_msg_size=0) as client,
    ):
        await _until(lambda: told == [True])
        written = 0
        while (write := wires[0].writer) is not None:
            write(text_frame("x" * (64 * 1024)))
            written += 1
        assert told == [True, False], "nobody has read"
        for _ in range(written):
            await client.receive_str()
        await _until(lambda: told == [True, False, True])
        await client.send_str("leave")
        await _until(lambda: told == [True, False, True, False])
        assert (await client.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_a_wire_takes_nothing_once_its_connection_is_lost() -> None:
    wires: list[Any] = []

    async def listen(websocket: WebSocket) -> None:
        wires.append(websocket.scope["extensions"][WIRE])
        await websocket.accept()
        with pytest.raises(RuntimeError):
            await websocket.receive_text()

    async with (
        running(Starlette(routes=[WebSocketRoute("/", listen)]), websockets=True) as url,
        aiohttp.ClientSession(url) as session,
        session.ws_connect("/") as client,
    ):
        await _until(lambda: bool(wires) and wires[0].writer is not None)
        connection = client.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # gone without a word
        client._response.close()
        await _until(lambda: wires[0].writer is None)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


async def _status(session: aiohttp.ClientSession, path: str) -> int:
    async with session.get(path) as response:
        return response.status


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


async def test_a_body_without_end_is_cut_off_whether_it_is_read_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LARGEST_BODY", 256 * 1024)
    read: list[int] = []

    async def count(request: Request) -> Response:
        with contextlib.suppress(ClientDisconnect):
            read.append(0)
            async for chunk in request.stream():
                read[-1] += len(chunk)
        return PlainTextResponse("too late")

    async def ignore(_request: Request) -> Response:
        return PlainTextResponse("done")

    app = Starlette(routes=[Route("/count", count, methods=["POST"]), Route("/ignore", ignore, methods=["POST"])])
    async with running(app) as url:
        for path, answer in (("/count", b"HTTP/1.1 413 "), ("/ignore", b"HTTP/1.1 200 ")):
            reader, writer = await _open(url)
            answered = asyncio.create_task(_read_until_closed(reader))
            writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            sent = 0
            while not answered.done() and sent < 64 << 20:
                try:
                    writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
                    await writer.drain()
                except ConnectionError:
                    break
                sent += 0x4000
                await asyncio.sleep(0)
            received = await answered
            assert sent < 64 << 20
            assert received == b"" or received.startswith(answer)  # a reset may overtake the answer
            writer.close()
    assert max(read) <= server.LARGEST_BODY


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [("/", b"Content-Length: 10\r\n\r\nhalf", b"503"), ("/ignore", b"Content-Length: 10\r\n\r\nhalf", b"200")],
)
async def test_a_body_that_does_not_come_ends_its_connection(
    path: str, body: bytes, status: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "BODY_SECONDS", 0.2)

    async def ignore(_request: Request) -> Response:
        return PlainTextResponse("done")

    async with running(Starlette(routes=[*APP.routes, Route("/ignore", ignore, methods=["POST"])])) as url:
        reader, writer = await _open(url)
        writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\n".encode() + body)
        answered = await _read_until_closed(reader)
        assert answered.startswith(b"HTTP/1.1 " + status)
        writer.close()


async def test_a_body_that_comes_in_time_is_given_as_long_for_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BODY_SECONDS", 0.2)
    taken, late = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Response:
        body = await request.body()
        asyncio.get_running_loop().call_later(0.5, late.set)
        taken.set()
        await late.wait()
        return PlainTextResponse(str(len(body)))

    app = Starlette(routes=[Route("/", slow, methods=["POST"])])
    async with (
        running(app) as url,
        aiohttp.ClientSession(url) as session,
        session.post("/", data=b"x" * 1000) as response,
    ):
        assert (response.status, await response.text()) == (200, "1000")


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
