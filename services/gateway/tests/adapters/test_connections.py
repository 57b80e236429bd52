"""A client of HTTP that does no more than a read needs, on servers that say and do all kinds of things."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from gateway.adapters import connections
from gateway.adapters.connections import BrokenAnswerError, Connections

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nPosition: 7\r\n\r\nok"
END = b""
"""Said by a server that ends the connection."""


@dataclass
class Server:
    """Answers each request of a connection as the next of its script says; the last counts for the rest."""

    script: Sequence[bytes]
    heard: list[bytes] = field(default_factory=list)
    connected: int = 0
    port: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        self.writers.append(writer)
        try:
            while True:
                self.heard.append(await reader.readuntil(b"\r\n\r\n"))
                said = self.script[min(len(self.heard), len(self.script)) - 1]
                writer.write(said.removesuffix(b"<END>"))
                await writer.drain()
                if not said or said.endswith(b"<END>"):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()


@asynccontextmanager
async def serving(*script: bytes, most: int = 4) -> AsyncIterator[tuple[Server, Connections]]:
    server = Server(script)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        client = Connections("127.0.0.1", server.port, most=most, connect_seconds=5)
        yield server, client
        client.close()
        for writer in server.writers:
            writer.close()


async def test_what_is_asked_is_a_plain_request_and_the_next_goes_by_the_same_connection() -> None:
    async with serving(OK) as (server, client):
        for _ in range(3):
            answer = await client.get("/v1/x?a=b", {"Authorization": "Bearer t"})
            assert (answer.status, answer.body, answer.headers["position"]) == (200, b"ok", "7")
        assert server.connected == 1
        request = f"GET /v1/x?a=b HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer t\r\n\r\n"
        assert server.heard == [request.encode()] * 3


@pytest.mark.parametrize(
    ("said", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", 200, b"abc"),
        (b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n" + OK, 200, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, b""),
    ],
)
async def test_each_way_of_telling_an_answer_s_length_is_understood(said: bytes, status: int, body: bytes) -> None:
    async with serving(said, OK) as (server, client):
        answer = await client.get("/", {})
        assert (answer.status, answer.body) == (status, body)
        assert (await client.get("/", {})).body == b"ok"
        assert server.connected == 1


@pytest.mark.parametrize(
    "said",
    [
        OK.replace(b"Position: 7", b"Connection: close") + b"<END>",
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnot-asked",
        OK + b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
)
async def test_a_connection_that_ends_or_says_more_than_was_asked_is_not_used_again(said: bytes) -> None:
    async with serving(said, OK) as (server, client):
        assert (await client.get("/", {})).body == b"ok"
        assert (await client.get("/", {})).body == b"ok"
        assert server.connected == 2


@pytest.mark.parametrize(
    "said",
    [
        END,
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal<END>",
        b"HTTP/1.1 200 OK\r\n\r\nof no known length<END>",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ],
)
async def test_what_is_no_whole_answer_is_none(said: bytes) -> None:
    async with serving(said, OK) as (_, client):
        with pytest.raises((BrokenAnswerError, ConnectionError)):
            await client.get("/", {})
        assert (await client.get("/", {})).body == b"ok"


async def test_a_kept_connection_that_ends_instead_of_answering_is_replaced_and_asked_again() -> None:
    async with serving(OK, END, OK) as (server, client):
        assert (await client.get("/1", {})).body == b"ok"
        assert (await client.get("/2", {})).body == b"ok"
        assert server.connected == 2
        assert len(server.heard) == 3


async def test_a_kept_connection_that_ends_within_its_answer_is_not_asked_again() -> None:
    async with serving(OK, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal<END>", OK) as (server, client):
        assert (await client.get("/1", {})).body == b"ok"
        with pytest.raises((BrokenAnswerError, ConnectionError)):
            await client.get("/2", {})
        assert len(server.heard) == 2


async def test_a_read_that_is_given_up_takes_its_connection_with_it() -> None:
    async with serving(b"HTTP/1.1 200 OK\r\n", OK) as (server, client):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.get("/slow", {})
        assert (await client.get("/", {})).body == b"ok"
        assert server.connected == 2


async def test_an_answer_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LARGEST_ANSWER", 1_000)
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 2_000) as (_, client):
        with pytest.raises(BrokenAnswerError, match="more than 1000 bytes"):
            await client.get("/", {})


async def test_there_are_no_more_connections_than_may_be_and_others_wait_for_one() -> None:
    async with serving(OK, most=2) as (server, client):
        answers = await asyncio.gather(*(client.get(f"/{number}", {}) for number in range(20)))
        assert {answer.body for answer in answers} == {b"ok"}
        assert server.connected <= 2
        assert len(server.heard) == 20


async def test_a_connection_that_idled_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(OK) as (server, client):
        await client.get("/", {})
        monkeypatch.setattr(connections, "KEPT_SECONDS", -1.0)
        await client.get("/", {})
        assert server.connected == 2


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/ HTTP/1.1\r\nX: y", {}),
        ("/", {"Authorization": "Bearer x\r\nX: y"}),
        ("/", {"X\r\nY": "z"}),
        ("/", {"X": "y\nz"}),
    ],
)
async def test_nothing_that_is_asked_can_add_a_line(target: str, headers: dict[str, str]) -> None:
    async with serving(OK) as (server, client):
        with pytest.raises(ValueError, match="must not hold another"):
            await client.get(target, headers)
        assert server.heard == []
