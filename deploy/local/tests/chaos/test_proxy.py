"""The proxy loses nothing of its own accord, and does what it is told to."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from local_stack.chaos.proxy import Link
from local_stack.port import HOST, free_ports

DEADLINE_S = 60.0


@asynccontextmanager
async def echoed() -> AsyncIterator[Link]:
    """A link to somebody who says everything again."""
    port, target = free_ports(2)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, HOST, target)
    async with Link("ana>echo", port, target) as link:
        yield link
    server.close()
    await server.wait_closed()


async def say(writer: asyncio.StreamWriter, reader: asyncio.StreamReader, data: bytes) -> bytes:
    async with asyncio.timeout(DEADLINE_S):
        writer.write(data)
        answer, _ = await asyncio.gather(reader.readexactly(len(data)), writer.drain())
        return answer


async def test_what_is_sent_comes_whole_and_in_order() -> None:
    async with echoed() as link:
        reader, writer = await asyncio.open_connection(HOST, link.port)
        data = secrets.token_bytes(3_000_000)
        assert await say(writer, reader, data) == data
        writer.close()
        assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b""


async def test_a_silent_link_holds_back_and_loses_nothing() -> None:
    async with echoed() as link:
        reader, writer = await asyncio.open_connection(HOST, link.port)
        assert await say(writer, reader, b"before") == b"before"
        link.silence()
        late = asyncio.create_task(say(writer, reader, b"during"))
        done, _ = await asyncio.wait([late], timeout=0.1)
        assert not done
        await link.mend()
        assert await late == b"during"
        writer.close()


async def test_a_slow_link_delays_and_keeps_the_order() -> None:
    async with echoed() as link:
        reader, writer = await asyncio.open_connection(HOST, link.port)
        link.slow(0.05)
        for number in range(5):
            assert await say(writer, reader, b"%d" % number) == b"%d" % number
        writer.close()


async def test_a_cut_link_breaks_what_is_there_and_refuses_what_comes() -> None:
    async with echoed() as link:
        reader, writer = await asyncio.open_connection(HOST, link.port)
        assert await say(writer, reader, b"before") == b"before"
        link.cut()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await say(writer, reader, b"during")
        writer.close()
        with pytest.raises(OSError):  # noqa: PT011 - refused, in whichever words
            await asyncio.open_connection(HOST, link.port)
        await link.mend()
        reader, writer = await asyncio.open_connection(HOST, link.port)
        assert await say(writer, reader, b"after") == b"after"
        writer.close()
