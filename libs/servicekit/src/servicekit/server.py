"""The HTTP server of a service: uvicorn on uvloop and httptools, with a graceful end and a bound on what clients hold.

What one connection can make us keep is bounded, and so is for how long: a head in bytes and in time, requests sent
ahead of their answers, answers that are not read (the kernel ends such a connection), pongs. So is how many there are.
"""

import asyncio
import contextlib
import gc
import socket
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, Protocol

import uvicorn
import uvloop
from prometheus_client import Counter
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

from production_contracts import problems
from servicekit.problems import problem_response
from servicekit.settings import ServiceSettings
from servicekit.tls import Certificate

LARGEST_HEAD: Final = 64 * 1024
"""Bytes of an unfinished head (request line and headers) at which a connection is closed with 431."""

LARGEST_WEBSOCKET_MESSAGE: Final = 1024 * 1024
"""Bytes of a message from a WebSocket at which it is closed; an app may hold its clients to less."""

KEEP_ALIVE_SECONDS: Final = 75
BACKLOG: Final = 4096
LARGEST_BODY: Final = 512 * 1024
"""Bytes of a body at which a connection is ended, whatever the app does with them; an app takes fewer."""

BODY_SECONDS = 30.0
"""How long a body may take to come, counted from the end of its head; an app may hold its callers to less."""
HEAD_SECONDS = 15.0
"""How long a head may take to come, counted from the connection's begin or the head's first byte."""
STALL_SECONDS = 30.0
"""How long a peer may take nothing of what was written to it; then the kernel ends the connection (tcp(7))."""
SEND_BUFFER: Final = 128 * 1024
"""Bytes written to a WebSocket that the kernel holds (it reckons with twice as many, for what it adds)."""
PIPELINED: Final = 32
"""Requests that may be sent ahead of their answers."""
ALWAYS_ANSWERED: Final = ("/healthz", "/readyz", "/metrics")
WIRE: Final = "production.wire"
"""The extension of a WebSocket's ASGI scope that holds its `Wire`."""
_TEXT: Final = 0x81
_LENGTH_OF_16_BITS: Final = 126
_LENGTH_OF_64_BITS: Final = 127

CROWDED = Counter("http_connections_crowded", "Connections that came when there were as many as may be")


class _Config(uvicorn.Config):
    most_connections: int


class BoundedLoop(uvloop.Loop):
    """A loop whose servers give a TLS handshake as long as a head; asyncio would wait a minute for it, unseen by us."""

    async def create_server(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - handed on as it is
        """Make a server, as asyncio does."""
        if options.get("ssl") is not None:
            options.setdefault("ssl_handshake_timeout", HEAD_SECONDS)
        return await super().create_server(*args, **options)


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 with bounds: httptools gathers header bytes for as long as they come, uvicorn waits as long for them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed on to uvicorn as it is
        """Begin a connection."""
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._began_now = False
        self._head_bytes = 0
        self._body_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._body_timer: asyncio.TimerHandle | None = None
        self._is_crowded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; one too many is answered once, and closed."""
        super().connection_made(transport)
        end_when_stalled(transport)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)
        assert isinstance(self.config, _Config)  # noqa: S101 - `make_server` makes no other
        if len(self.connections) > self.config.most_connections:
            CROWDED.inc()
            self._is_crowded = True
            self.app = _OnlyHealth(self.app)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._end_head()
        self._end_body()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Count from here: a request begins in the chunk in hand."""
        if len(self.pipeline) >= PIPELINED:
            message = "too many requests were sent ahead of their answers"
            raise ValueError(message)  # httptools ends the connection with 400
        self._in_head = self._began_now = True
        self._head_bytes = 0
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop counting: what follows is the body, which is counted anew."""
        self._in_head = False
        self._end_head()
        self._body_bytes = 0
        self._body_timer = self.loop.call_later(BODY_SECONDS, self._end_slow_body)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body, also of one that nobody reads; one that goes on for too long ends the connection."""
        self._body_bytes += len(body)
        if self._body_bytes <= LARGEST_BODY:
            super().on_body(body)
        elif not self.transport.is_closing():
            detail = f"A body is at most {LARGEST_BODY} bytes."
            self._refuse_body("413", problem_response(problems.PAYLOAD_TOO_LARGE, detail))

    def on_message_complete(self) -> None:
        """Stop waiting for the body."""
        self._end_body()
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Take a chunk; a head that goes on for too long over further chunks ends the connection."""
        self._began_now = False
        super().data_received(data)
        if self._in_head and not self._began_now:
            self._head_bytes += len(data)
            if self._head_bytes > LARGEST_HEAD and not self.transport.is_closing():
                self._refuse("431", problem_response(problems.HEADERS_TOO_LARGE, "The head is too large."))

    def handle_websocket_upgrade(self) -> None:
        """Go on as a WebSocket."""
        self._end_head()
        self._end_body()
        if self._is_crowded:
            self._refuse("503", _crowded())
        else:
            super().handle_websocket_upgrade()

    def _end_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_body(self) -> None:
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None

    def _end_slow_body(self) -> None:
        detail = f"The body did not arrive within {BODY_SECONDS:.0f} s; nothing was done."
        self._refuse_body("503", problem_response(problems.UNAVAILABLE, detail, headers={"Retry-After": "1"}))

    def _refuse_body(self, status: str, answer: Response) -> None:
        """End the connection; the answer goes first unless the app's own has begun, which is none of a next request."""
        cycle: RequestResponseCycle | None = self.cycle  # none yet where an upgrade comes with a body
        if cycle is None or cycle.response_started or self.pipeline:
            self.transport.close()
        else:
            self._refuse(status, answer)

    def _refuse(self, status: str, answer: Response) -> None:
        lines = {name.decode(): value.decode() for name, value in answer.raw_headers} | {"connection": "close"}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.transport.write(f"HTTP/1.1 {status} \r\n{head}\r\n".encode() + bytes(answer.body))
        self.transport.close()


class Wire(Protocol):
    """What an app can do to a WebSocket past ASGI."""

    writer: Callable[[bytes], None] | None
    """Writes frames, as `text_frame` makes them, now; None while they would have to wait, or come too late.

    It may change with every write, and whenever the loop goes on; `follow` tells.
    """

    def follow(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` each time that `writer` is another."""
        ...

    def abort(self) -> None:
        """Cut the connection, whatever waits in it."""
        ...


def text_frame(text: str) -> bytes:
    """Make the frame of a text message from a server (RFC 6455, section 5.2): the same for all who are sent it."""
    data = text.encode()
    length = len(data)
    if length < _LENGTH_OF_16_BITS:
        return bytes((_TEXT, length)) + data
    if length < 1 << 16:
        return bytes((_TEXT, _LENGTH_OF_16_BITS)) + length.to_bytes(2, "big") + data
    return bytes((_TEXT, _LENGTH_OF_64_BITS)) + length.to_bytes(8, "big") + data


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that an app can write to and cut, and that keeps little, and no pongs, for who does not read."""

    writer: Callable[[bytes], None] | None = None
    _changed: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection over; the kernel keeps `SEND_BUFFER` for it, and not the megabytes it would grow to."""
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._look()

    def handle_connect(self, event: Request) -> None:
        """Begin, and give the app the wire."""
        super().handle_connect(event)
        if self.response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            self.scope["extensions"][WIRE] = self  # type: ignore[assignment] # uvicorn expects dicts

    def data_received(self, data: bytes) -> None:
        """Take a chunk, which may end the connection."""
        super().data_received(data)
        self._look()

    async def send(self, message: Any) -> None:  # noqa: ANN401 - as ASGI has it
        """Do as the app says, which may end the connection."""
        await super().send(message)
        self._look()

    def shutdown(self) -> None:
        """Say that the server goes."""
        super().shutdown()
        self._look()

    def keepalive_timeout(self) -> None:
        """End a connection whose peer answers no more."""
        super().keepalive_timeout()
        self._look()

    def pause_writing(self) -> None:
        """Note that what is written has to wait."""
        super().pause_writing()
        self._look()

    def resume_writing(self) -> None:
        """Note that there is room again."""
        super().resume_writing()
        self._look()

    def follow(self, changed: Callable[[], None]) -> None:
        """Tell of changes; see `Wire.follow`."""
        self._changed = changed

    def _look(self) -> None:
        """Look whether frames can be written now; to be called after whatever may change it."""
        is_open = self.handshake_complete and not self.disconnected and self.conn.state is State.OPEN
        is_free = is_open and self.writable.is_set() and not self.transport.is_closing()
        if is_free is (self.writer is None):
            self.writer = self.transport.write if is_free else None
            if self._changed is not None:
                self._changed()

    def abort(self) -> None:
        """Cut; see `Wire.abort`."""
        self.transport.abort()
        self._look()

    def handle_ping(self) -> None:
        """Answer a ping, unless what was written before waits to be read."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()  # made already, and dropped: whoever does not read hears no pong either


class _OnlyHealth:
    """An app that answers what watches over it, and refuses everybody else."""

    def __init__(self, app: Any) -> None:  # noqa: ANN401 - uvicorn's own kind of app
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in ALWAYS_ANSWERED:
            await _crowded()(scope, receive, send)
            return

        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, send_and_close)


def _crowded() -> Response:
    detail = "This instance has as many connections as it bears; nothing was done."
    return problem_response(problems.UNAVAILABLE, detail, headers={"Retry-After": "1", "Connection": "close"})


def end_when_stalled(transport: asyncio.Transport) -> None:
    """Let the kernel end a connection of whose data the peer has taken nothing for `STALL_SECONDS`.

    Closing one does not: what was written waits for its reader first, and one that stands still answers the kernel's
    probes for ever.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family in {socket.AF_INET, socket.AF_INET6}:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(STALL_SECONDS * 1000))


Farewell = Callable[[], Awaitable[None]]
"""Called when a shutdown begins, before requests in hand are waited for: ends those that would go on for ever."""


class _Server(uvicorn.Server):
    farewell: Farewell | None = None
    certificate: Certificate | None = None
    _following: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then take what was loaded out of the garbage collector's rounds: it stays for as long as we do."""
        await super().startup(sockets=sockets)
        if self.certificate is not None:
            self._following = asyncio.create_task(self.certificate.follow(), name="certificate")
        gc.collect()
        gc.freeze()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say farewell, then shut down."""
        if self._following is not None:
            self._following.cancel()
        if self.farewell is not None:
            await self.farewell()
        await super().shutdown(sockets=sockets)


def make_server(
    app: ASGIApp, settings: ServiceSettings, *, websockets: bool = False, farewell: Farewell | None = None
) -> uvicorn.Server:
    """Make the server of an app; awaiting its ``serve()`` runs it inside a running loop."""
    certificate = None
    if settings.http_cert_file is not None and settings.http_key_file is not None:
        certificate = Certificate(settings.http_cert_file, settings.http_key_file)
    config = _Config(
        app,
        host=settings.http_host,
        port=settings.http_port,
        loop=f"{__name__}:{BoundedLoop.__name__}",
        ssl_context_factory=None if certificate is None else lambda _config, _default: certificate.context,
        http=BoundedProtocol,
        ws=BoundedWebSocket if websockets else "none",
        ws_max_size=LARGEST_WEBSOCKET_MESSAGE,
        ws_per_message_deflate=False,  # it would compress each message again for each of its recipients
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.http_trusted_proxies),
        forwarded_allow_ips=settings.http_trusted_proxies,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.http_shutdown_seconds,
    )
    config.most_connections = settings.http_connections
    server = _Server(config)
    server.farewell = farewell
    server.certificate = certificate
    return server


def serve(
    app: ASGIApp, settings: ServiceSettings, *, websockets: bool = False, farewell: Farewell | None = None
) -> None:
    """Serve an app until SIGTERM or SIGINT; requests in hand may finish, then its lifespan ends."""
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        make_server(app, settings, websockets=websockets, farewell=farewell).run()
