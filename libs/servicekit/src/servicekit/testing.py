"""For tests: an app behind the real server, on a free port of the loopback, in the test's own loop; keys in memory."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from pydantic_settings import SettingsConfigDict
from starlette.types import ASGIApp

from servicekit.keyring import Kept, KeysAwayError
from servicekit.masters import WrappedKey
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


class MemoryShelf:
    """Wrapped keys in memory; a `keyring.Shelf`. It notes what it is asked, and may be away, or slow (`gate`)."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self.keys: dict[UUID, list[WrappedKey]] = {}
        self.destroyed: set[UUID] = set()
        self.asked: list[list[UUID]] = []
        self.offered = 0
        self.away = False
        self.gate: asyncio.Event | None = None

    async def read(self, tenants: Collection[UUID]) -> list[Kept]:
        """Read what is kept."""
        self.asked.append(list(tenants))
        found = [self._kept(tenant) for tenant in tenants]
        await self._answer()
        return found

    async def offer(self, key: WrappedKey) -> Kept:
        """Keep a key, if there is no current one."""
        self.offered += 1
        await self._answer()
        kept = self._kept(key.tenant_id)
        if not kept.destroyed and not any(one.current for one in kept.keys):
            self.keys.setdefault(key.tenant_id, []).append(key)
        return self._kept(key.tenant_id)

    def rotate(self, key: WrappedKey) -> None:
        """Let a new key be current."""
        before = self.keys.get(key.tenant_id, [])
        self.keys[key.tenant_id] = [*(one.model_copy(update={"current": False}) for one in before), key]

    def destroy(self, tenant_id: UUID) -> None:
        """Destroy a tenant's keys."""
        self.keys.pop(tenant_id, None)
        self.destroyed.add(tenant_id)

    def _kept(self, tenant_id: UUID) -> Kept:
        return Kept(
            tenant_id=tenant_id, destroyed=tenant_id in self.destroyed, keys=tuple(self.keys.get(tenant_id, ()))
        )

    async def _answer(self) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.away:
            raise KeysAwayError
