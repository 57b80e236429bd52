"""HTTP/1.1 to one origin over kept connections: GET and nothing else, as the services that own the data are asked.

A client for everything (redirects, cookies, proxies, compression, streams) costs several times of what a read needs;
this is what it needs, on the parser that serves our own requests. A connection carries one request at a time. What
comes back is taken only if it is whole: an answer that ends early, or whose length nobody tells, is none.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

import httptools

KEPT_SECONDS: Final = 60.0
"""How long an idle connection is kept: less than a server of ours waits for the next request on it."""
LARGEST_ANSWER: Final = 64 * 1024 * 1024
"""Bytes of an answer at which it is refused: many times of what the largest page takes."""


class BrokenAnswerError(Exception):
    """What came back is no whole HTTP answer, or the connection ended before there was one."""


@dataclass(kw_only=True, slots=True)
class Answer:
    """An answer as it arrives; header names are in lower case, and of a repeated one the last counts."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class _Connection(asyncio.Protocol):
    """A connection; the callbacks named ``on_*`` are the parser's."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._answer = Answer()
        self._pieces: list[bytes] = []
        self._size = 0
        self.idle_since = 0.0
        self.has_begun = False
        """Whether anything of the answer has come."""
        self.is_kept = True
        """Whether it can carry another request."""

    def ask(self, request: bytes) -> "asyncio.Future[Answer]":
        """Send a request; the future is its answer."""
        self._waiting = asyncio.get_running_loop().create_future()
        self._answer, self._pieces, self._size, self.has_begun = Answer(), [], 0, False
        cast("asyncio.Transport", self._transport).write(request)
        return self._waiting

    def close(self) -> None:
        """End it, whatever is under way."""
        self.is_kept = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_kept = False
        self._fail(BrokenAnswerError("the connection ended") if exc is None else exc)

    def data_received(self, data: bytes) -> None:
        if self._waiting is None or self._waiting.done():  # nobody asked for this: it is nobody's answer
            self.close()
            return
        self.has_begun = True
        self._size += len(data)
        if self._size > LARGEST_ANSWER:
            self._fail(BrokenAnswerError(f"an answer of more than {LARGEST_ANSWER} bytes"))
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(BrokenAnswerError(str(error)))
            self.close()

    def on_message_begin(self) -> None:
        if self._waiting is None or self._waiting.done():  # more came than was asked for, which is nobody's answer
            self.is_kept = False
            self._answer, self._pieces = Answer(), []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # noqa: PLR2004 - an interim answer (RFC 9110, section 15.2): the answer is still to come
            self._answer = Answer()
            return
        self.is_kept = self.is_kept and self._parser.should_keep_alive()
        self._answer.status = status
        self._answer.body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(self._answer)

    def _fail(self, error: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)


class Connections:
    """Connections to one origin, made as they are needed, so many at most; whoever comes too many waits for one."""

    def __init__(
        self, host: str, port: int, *, most: int, connect_seconds: float, tls: ssl.SSLContext | None = None
    ) -> None:
        """Connect to ``host`` and ``port``, by TLS where a context says how, within ``connect_seconds``."""
        self._host = host
        self._port = port
        self._tls = tls
        self._connect_seconds = connect_seconds
        self._places = asyncio.Semaphore(most)
        self._idle: deque[_Connection] = deque()

    def close(self) -> None:
        """End the connections that idle; those that are asked something end with their answer."""
        while self._idle:
            self._idle.pop().close()

    async def get(self, target: str, headers: Mapping[str, str]) -> Answer:
        """Ask for ``target``, a path with its query as it stands on the wire; deadlines are the caller's.

        A kept connection may have ended just now: where it had not begun to answer, another is asked, as a GET may be.

        Raises:
            OSError: there is no connection to be had.
            BrokenAnswerError: no whole answer came.
            ValueError: a header or the target would end its line.
        """
        request = self._request(target, headers)
        async with self._places:
            while (kept := self._kept()) is not None:
                try:
                    return await self._ask(kept, request)
                except (BrokenAnswerError, OSError):
                    if kept.has_begun:
                        raise
            return await self._ask(await self._connect(), request)

    async def _ask(self, connection: _Connection, request: bytes) -> Answer:
        try:
            answer = await connection.ask(request)
        except BaseException:
            connection.close()  # its answer may still come, and would be taken for the next one's
            raise
        if connection.is_kept:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _kept(self) -> _Connection | None:
        """Take the connection that was used last; the others may grow too old."""
        long_ago = asyncio.get_running_loop().time() - KEPT_SECONDS
        while self._idle and self._idle[0].idle_since < long_ago:
            self._idle.popleft().close()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_kept:
                return connection
        return None

    async def _connect(self) -> _Connection:
        async with asyncio.timeout(self._connect_seconds):
            _, connection = await asyncio.get_running_loop().create_connection(
                _Connection, self._host, self._port, ssl=self._tls
            )
        return connection

    def _request(self, target: str, headers: Mapping[str, str]) -> bytes:
        host = f"[{self._host}]" if ":" in self._host else self._host
        lines = [f"GET {target} HTTP/1.1", f"Host: {host}:{self._port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join(lines)
        if head.count("\r") != len(lines) - 1 or head.count("\n") != len(lines) - 1:
            message = "a line of a request must not hold another"
            raise ValueError(message)
        return f"{head}\r\n\r\n".encode("latin-1")
