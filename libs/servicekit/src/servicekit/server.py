"""The HTTP server of a service: uvicorn on uvloop and httptools, with a bounded head and a graceful end."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from production_contracts import problems
from servicekit.problems import problem_response
from servicekit.settings import ServiceSettings

LARGEST_HEAD: Final = 64 * 1024
"""Bytes of an unfinished head (request line and headers) at which a connection is closed with 431."""

LARGEST_WEBSOCKET_MESSAGE: Final = 1024 * 1024
"""Bytes of a message from a WebSocket at which it is closed; an app may hold its clients to less."""

KEEP_ALIVE_SECONDS: Final = 75
BACKLOG: Final = 4096


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose head has a bound: httptools itself gathers header bytes for as long as they come."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed on to uvicorn as it is
        """Begin a connection."""
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._began_now = False
        self._head_bytes = 0

    def on_message_begin(self) -> None:
        """Count from here: a request begins in the chunk in hand."""
        self._in_head = self._began_now = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop counting: what follows is the body."""
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Take a chunk; a head that goes on for too long over further chunks ends the connection."""
        self._began_now = False
        super().data_received(data)
        if self._in_head and not self._began_now:
            self._head_bytes += len(data)
            if self._head_bytes > LARGEST_HEAD and not self.transport.is_closing():
                self._refuse_head()

    def _refuse_head(self) -> None:
        answer = problem_response(problems.HEADERS_TOO_LARGE, "Request line and headers are too large.")
        head = "".join(f"{name.decode()}: {value.decode()}\r\n" for name, value in answer.raw_headers)
        self.transport.write(f"HTTP/1.1 431 \r\n{head}connection: close\r\n\r\n".encode() + bytes(answer.body))
        self.transport.close()


Farewell = Callable[[], Awaitable[None]]
"""Called when a shutdown begins, before requests in hand are waited for: ends those that would go on for ever."""


class _Server(uvicorn.Server):
    farewell: Farewell | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then take what was loaded out of the garbage collector's rounds: it stays for as long as we do."""
        await super().startup(sockets=sockets)
        gc.collect()
        gc.freeze()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say farewell, then shut down."""
        if self.farewell is not None:
            await self.farewell()
        await super().shutdown(sockets=sockets)


def make_server(
    app: ASGIApp, settings: ServiceSettings, *, websockets: bool = False, farewell: Farewell | None = None
) -> uvicorn.Server:
    """Make the server of an app; awaiting its ``serve()`` runs it inside a running loop."""
    server = _Server(
        uvicorn.Config(
            app,
            host=settings.http_host,
            port=settings.http_port,
            loop="uvloop",
            http=BoundedProtocol,
            ws="websockets-sansio" if websockets else "none",
            ws_max_size=LARGEST_WEBSOCKET_MESSAGE,
            ws_per_message_deflate=False,  # it would compress each message again for each of its recipients
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=settings.http_shutdown_seconds,
        )
    )
    server.farewell = farewell
    return server


def serve(
    app: ASGIApp, settings: ServiceSettings, *, websockets: bool = False, farewell: Farewell | None = None
) -> None:
    """Serve an app until SIGTERM or SIGINT; requests in hand may finish, then its lifespan ends."""
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        make_server(app, settings, websockets=websockets, farewell=farewell).run()
