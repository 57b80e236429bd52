"""A link passes everything on, in order; cut, silenced and slow it does what it says, and mended it works again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from local_stack.chaos.proxy import Link
from local_stack.port import HOST, free_ports

PATIENCE_SECONDS = 20

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo(asyncio.Protocol):
    """Sends back what it is sent."""

    def __init__(self, alive: set[asyncio.BaseTransport]) -> None:
        self._alive = alive

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._alive.add(transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self._alive.discard(self._transport)


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    """A link to a server that sends back what it is sent."""
    port, target = free_ports(2)
    alive: set[asyncio.BaseTransport] = set()
    server = await asyncio.get_running_loop().create_server(lambda: Echo(alive), HOST, target)
    async with asyncio.timeout(PATIENCE_SECONDS):
        async with Link("a>b", port, target) as link:
            yield link
        server.close()
        while alive:  # noqa: ASYNC110 - a turn of the loop or two
            await asyncio.sleep(0)


@asynccontextmanager
async def connected(link: Link) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection(HOST, link.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def held_back(link: Link) -> None:
    """Wait until the link holds something."""
    while not any(side.holds for side in link.sides):  # noqa: ASYNC110 - a turn of the loop or two
        await asyncio.sleep(0)


async def test_what_is_sent_comes_back_whole(link: Link) -> None:
    sent = bytes(range(256)) * 20_000
    async with connected(link) as (reader, writer):
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent


async def test_a_cut_link_breaks_connections_and_refuses_new_ones_until_it_is_mended(link: Link) -> None:
    async with connected(link) as (reader, writer):
        writer.write(b"before")
        assert await reader.readexactly(6) == b"before"
        link.cut()
        assert await ended(reader)
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(HOST, link.port)
    await link.mend()
    async with connected(link) as (reader, writer):
        writer.write(b"after")
        assert await reader.readexactly(5) == b"after"


async def test_a_silent_link_holds_back_and_gives_all_in_order_when_mended(link: Link) -> None:
    async with connected(link) as (reader, writer), connected(link) as (late_reader, late_writer):
        writer.write(b"a")
        assert await reader.readexactly(1) == b"a"
        link.silence()
        writer.write(b"b")
        late_writer.write(b"c")
        waiting = asyncio.gather(reader.readexactly(1), late_reader.readexactly(1))
        await held_back(link)
        assert not waiting.done()
        await link.mend()
        assert list(await waiting) == [b"b", b"c"]


async def test_a_slow_link_holds_back_for_a_while(link: Link) -> None:
    async with connected(link) as (reader, writer):
        link.slow(0.05)
        writer.write(b"a")
        waiting = asyncio.ensure_future(reader.readexactly(1))
        await held_back(link)
        assert not waiting.done()
        assert await waiting == b"a"


async def test_where_nobody_listens_a_connection_is_broken_off() -> None:
    port, target = free_ports(2)
    async with asyncio.timeout(PATIENCE_SECONDS), Link("a>b", port, target) as link, connected(link) as (reader, _):
        assert await ended(reader)


async def ended(reader: asyncio.StreamReader) -> bool:
    """Tell that nothing more comes: in order, or broken."""
    with suppress(ConnectionError):
        return not await reader.read(1)
    return True
