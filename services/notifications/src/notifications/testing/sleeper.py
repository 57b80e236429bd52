"""A client that connects as a page would and then stops reading, below whatever would read for it."""

import asyncio
import json
import socket
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

SMALL_WINDOW = 4096


class Sleeper:
    """A WebSocket in Socket.IO's protocol that reads up to ``ready`` and nothing more before `wake`."""

    def __init__(self, url: str, auth: dict[str, Any]) -> None:
        """Connect to ``url`` with ``auth``, once told to."""
        self._url = url
        self._auth = auth
        self._connection: ClientConnection | None = None

    async def connect(self) -> "Sleeper":
        """Connect, and read until the socket is ready; the kernel takes little for us after that."""
        host, port = self._url.removeprefix("http://").split(":")
        wire = socket.socket()
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW)
        wire.setblocking(False)  # noqa: FBT003 - it takes no name
        await asyncio.get_running_loop().sock_connect(wire, (host, int(port)))
        address = f"ws://{host}:{port}/socket.io/?EIO=4&transport=websocket"
        self._connection = await connect(
            address, sock=wire, max_queue=1, ping_interval=None, compression=None, close_timeout=0, proxy=None
        )
        await self.send("40" + json.dumps(self._auth))
        await self.hear('42["ready"')
        return self

    async def hear(self, beginning: str) -> None:
        """Read up to a packet that begins so; AssertionError where the connection ends before."""
        async for message in self._connected:
            if isinstance(message, str) and message.startswith(beginning):
                return
        unexpected = f"the connection ended before there was {beginning}"
        raise AssertionError(unexpected)

    async def send(self, packet: str) -> None:
        """Send a packet, read or not."""
        await self._connected.send(packet)

    async def wake(self) -> list[tuple[str, Any]]:
        """Read to the end of the connection, and give the events that came."""
        heard: list[tuple[str, Any]] = []
        with suppress(ConnectionClosed):
            async for message in self._connected:
                if isinstance(message, str) and message.startswith("42"):
                    name, body = json.loads(message[2:])
                    heard.append((name, body))
        return heard

    def vanish(self) -> None:
        """Be gone, without a word."""
        if self._connection is not None:
            self._connection.transport.abort()

    @property
    def _connected(self) -> ClientConnection:
        if self._connection is None:
            message = "connect first"
            raise RuntimeError(message)
        return self._connection
