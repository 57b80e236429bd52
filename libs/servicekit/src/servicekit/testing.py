"""For tests: an app behind the real server, on a free port of the loopback, in the test's own event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic_settings import SettingsConfigDict
from starlette.types import ASGIApp

from servicekit.server import Farewell, make_server
from servicekit.settings import Port, ServiceSettings


class _Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="SERVICEKIT_TESTING_")
    http_port: Port = 0
    http_shutdown_seconds: int = 2


@asynccontextmanager
async def running(
    app: ASGIApp,
    *,
    websockets: bool = False,
    farewell: Farewell | None = None,
    **changes: Any,  # noqa: ANN401 - whatever a field takes
) -> AsyncIterator[str]:
    """Serve an app with `server.make_server` while inside, its lifespan included; gives its base URL.

    ``changes`` are settings: ``http_connections=2``.
    """
    server = make_server(app, _Settings(**changes), websockets=websockets, farewell=farewell)
    serving = asyncio.create_task(server._serve())  # noqa: SLF001 - serve() would take over the test run's signals
    try:
        while not server.started:
            if serving.done():
                break
            await asyncio.sleep(0.005)
        else:
            host, port = server.servers[0].sockets[0].getsockname()[:2]
            scheme = "http" if server.config.ssl is None else "https"
            yield f"{scheme}://{host}:{port}"
    finally:
        server.should_exit = True
        await serving
