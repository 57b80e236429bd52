"""A socket of Socket.IO 5 that watches: by hand, so that 2,000 of them cost less than the server that they measure.

Protocols: RFC 6455 without extensions, Engine.IO 4, Socket.IO 5.
"""

import asyncio
import base64
import json
import os
from collections.abc import Callable
from typing import Any, Final, cast

_TEXT: Final = 0x81
_MASKED: Final = 0x80
_SHORT: Final = 126
_PONG: Final = b"3"
PING_FRAME: Final = b"\x81\x012"
"""An Engine.IO PING as a frame: no text of ours holds the byte 0x81, so it can be looked for in what arrives."""
WEBSOCKET_PING: Final = b"\x89\x04"
"""How a ping of the WebSocket below begins that carries four bytes, as uvicorn sends one every 20 seconds."""
_WEBSOCKET_PONG: Final = b"\x8a\x84" + bytes(4)


class RefusedError(Exception):
    """The server did not let us in."""


def frame(text: bytes) -> bytes:
    """Write a short text as a client does: masked, by a mask of zeros."""
    assert len(text) < 1 << 16  # noqa: S101 - nothing longer is said
    if len(text) < _SHORT:
        head = bytes((_TEXT, _MASKED | len(text)))
    else:
        head = bytes((_TEXT, _MASKED | _SHORT)) + len(text).to_bytes(2, "big")
    return head + bytes(4) + text


class Watcher(asyncio.Protocol):
    """A socket that hands on, once it is connected, whatever arrives, as it arrives."""

    def __init__(self, auth: dict[str, Any] | None, arrived: Callable[[bytes], None]) -> None:
        """Connect as ``auth`` says, and hand on to ``arrived``."""
        self._auth = auth
        self._arrived = arrived
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._state: Callable[[bytes], None] = self._take_upgrade
        self._greeted = False
        self._closing = False
        self.connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a WebSocket."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own kind is no subclass
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take what arrives."""
        self._state(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Complain of an end that we did not ask for."""
        if not self.connected.done():
            self.connected.set_exception(exc or RefusedError("the server closed the connection"))
        elif not self._closing:
            self._arrived(b"")

    def close(self) -> None:
        """Go."""
        self._closing = True
        if self._transport is not None:
            self._transport.close()

    def _take_upgrade(self, data: bytes) -> None:
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            return
        if b" 101 " not in head:
            self._refuse(head)
            return
        self._head = b""
        self._state = self._take_hello
        if rest:
            self._take_hello(rest)

    def _take_hello(self, data: bytes) -> None:
        """Wait for Engine.IO's OPEN, connect in the namespace, wait for Socket.IO's CONNECT."""
        self._head += data
        if not self._greeted and b'0{"sid"' in self._head:
            self._greeted = True
            self._head = b""
            said = b"" if self._auth is None else json.dumps(self._auth).encode()
            cast("asyncio.Transport", self._transport).write(frame(b"40" + said))
        elif b'44{"' in self._head:
            self._refuse(self._head)
        elif b'40{"' in self._head and not self.connected.done():
            after = self._head.partition(b'40{"')[2]
            self._state = self._take
            self.connected.set_result(None)
            self._arrived(after)

    def _take(self, data: bytes) -> None:
        if PING_FRAME in data and self._transport is not None:
            self._transport.write(frame(_PONG))
        if (at := data.find(WEBSOCKET_PING)) >= 0 and self._transport is not None:
            at += len(WEBSOCKET_PING)
            self._transport.write(_WEBSOCKET_PONG + data[at : at + 4])
        self._arrived(data)

    def _refuse(self, answer: bytes) -> None:
        if not self.connected.done():
            self.connected.set_exception(RefusedError(repr(answer[:300])))
