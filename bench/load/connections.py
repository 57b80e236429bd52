"""A connection of the load generator: one request at a time, and of the answer what is needed to know that it came."""

import asyncio
from collections.abc import Callable
from typing import Final, cast

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "
_STATUS: Final = slice(9, 12)

Answered = Callable[["Connection", bytes, float], None]
"""Told of an answer: the connection, the status, and when the request was due."""


class BrokenAnswerError(Exception):
    """The server closed the connection, or answered what this client can't read."""


class Connection(asyncio.Protocol):
    """An HTTP/1.1 connection kept alive, whose answers state their length."""

    def __init__(self, answered: Answered, failed: Callable[[Exception], None]) -> None:
        """Tell ``answered`` of each answer, and ``failed`` if there can be no more."""
        self._answered = answered
        self._failed = failed
        self._transport: asyncio.Transport | None = None
        self._due = 0.0
        self._head = b""
        self._missing = 0
        self._status = b""
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own kind is no subclass

    def send(self, request: bytes, due: float) -> None:
        """Send a request that was due at a time."""
        assert self._transport is not None  # noqa: S101 - it is connected first
        self._due = due
        self._transport.write(request)

    def close(self) -> None:
        """Close the connection."""
        self._closing = True
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Take a piece of an answer."""
        if self._missing:
            self._missing -= len(data)
        else:
            data = self._head + data
            end = data.find(_HEAD_END)
            if end < 0:
                self._head = data
                return
            self._head = b""
            found = data.lower().find(_LENGTH, 0, end)
            if found < 0:
                self._failed(BrokenAnswerError(f"an answer without a length: {data[:200]!r}"))
                return
            length = int(data[found + len(_LENGTH) : data.index(b"\r\n", found)])
            self._status = data[_STATUS]
            self._missing = length - (len(data) - end - len(_HEAD_END))
        if self._missing == 0:
            self._answered(self, self._status, self._due)

    def connection_lost(self, exc: Exception | None) -> None:
        """Complain of an end that we did not ask for."""
        if not self._closing:
            self._failed(exc or BrokenAnswerError("the server closed the connection"))
