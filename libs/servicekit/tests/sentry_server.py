"""Sentry, as far as a client needs one: it takes envelopes, as Sentry documents them for its SDKs."""

import asyncio
import json
import logging
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aiohttp import web
from aiohttp.test_utils import TestServer

from local_stack.clients.waiting import until
from servicekit import logs
from servicekit.settings import ServiceSettings

KEY, PROJECT = "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "42"


class SentryServer:
    """One project; it keeps what it is sent, byte for byte and taken apart, and may be slow (``gate``) or ``away``."""

    def __init__(self) -> None:
        """Have heard nothing."""
        self.events: list[dict[str, Any]] = []
        self.reports: list[dict[str, Any]] = []
        self.sent: list[str] = []
        self.gate: asyncio.Event | None = None
        self.asked = 0

    async def take(self, request: web.Request) -> web.Response:
        """``POST /api/<project>/envelope/``: headers, and for each item headers and its payload."""
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        body = await request.read()
        self.sent.append(f"{dict(request.headers)} {body.decode()}")
        if f"sentry_key={KEY}" not in request.headers["X-Sentry-Auth"] or request.match_info["project"] != PROJECT:
            return web.Response(status=403)
        _, rest = body.split(b"\n", 1)
        while rest.strip():
            head, rest = rest.split(b"\n", 1)
            item = json.loads(head)
            payload, rest = rest[: item["length"]], rest[item["length"] :].lstrip(b"\n")
            (self.events if item["type"] == "event" else self.reports).append(json.loads(payload))
        return web.json_response({"id": "0" * 32})

    async def heard_any(self) -> None:
        """Wait until something was told."""

        async def look() -> bool:
            return bool(self.events)

        await until(look, "an event at Sentry")

    async def heard(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many events, and give them."""

        async def look() -> bool:
            return len(self.events) >= count

        await until(look, f"{count} events at Sentry; there are {len(self.events)}")
        assert len(self.events) == count
        return self.events

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve; gives the DSN."""
        app = web.Application()
        app.router.add_post("/api/{project}/envelope/", self.take)
        async with TestServer(app) as server:
            try:
                yield f"http://{KEY}@{server.host}:{server.port}/{PROJECT}"
            finally:
                if self.gate is not None:
                    self.gate.set()


@asynccontextmanager
async def reporting(settings: ServiceSettings, service: str) -> AsyncIterator[None]:
    """Log as a service does, and tell its Sentry, while inside; what waits is sent at the end."""
    root = logging.getLogger()
    handlers, level, hooks = root.handlers[:], root.level, (sys.excepthook, threading.excepthook)
    logs.configure(settings, service)
    structlog.configure(**structlog.get_config() | {"cache_logger_on_first_use": False})
    told = root.handlers[-1]
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        sys.excepthook, threading.excepthook = hooks
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
        await asyncio.to_thread(told.close)
