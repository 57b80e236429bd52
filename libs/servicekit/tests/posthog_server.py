"""PostHog, as far as a server's client needs one: it takes batches of events, and tells definitions of flags."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from local_stack.clients.waiting import until

KEY, FLAGS_KEY = "phc_0a1b2c3d4e5f6a7b8c9d0e1f", "phs_f1e0d9c8b7a6f5e4d3c2b1a0"


def group_flag(name: str, *, tenants: list[str] | None = None, percentage: int = 100) -> dict[str, Any]:
    """Define a flag that is on for these tenants, or for a part of all, as PostHog writes one."""
    properties: list[dict[str, Any]] = []
    if tenants is not None:
        of_group = {"type": "group", "group_type_index": 0, "operator": "exact"}
        properties = [{"key": "$group_key", "value": tenants, **of_group}]
    condition = {"properties": properties, "rollout_percentage": percentage, "variant": None}
    filters: dict[str, Any] = {
        "groups": [condition],
        "payloads": {},
        "multivariate": None,
        "aggregation_group_type_index": 0,
    }
    flag = {"id": 1, "key": name, "name": name, "active": True, "deleted": False, "filters": filters}
    return flag | {"ensure_experience_continuity": False}


class PostHogServer:
    """One project; it keeps what it is sent, and may be slow (``gate``) or broken (``status``)."""

    def __init__(self) -> None:
        """Have heard nothing, and know no flag."""
        self.events: list[dict[str, Any]] = []
        self.flags: list[dict[str, Any]] = []
        self.sent: list[str] = []
        self.asked: list[str] = []
        self.unchanged = 0
        self.status: int | None = None
        self.gate: asyncio.Event | None = None

    async def take(self, request: web.Request) -> web.Response:
        """``POST /batch/``."""
        body = await request.json()
        self.sent.append(f"{dict(request.headers)} {json.dumps(body)}")
        if body["api_key"] != KEY:
            return web.json_response({"detail": "no such project"}, status=401)
        self.events += body["batch"]
        return web.json_response({"status": 1})

    async def define(self, request: web.Request) -> web.Response:
        """``GET /flags/definitions``: of who has the right key; 304 where nothing has changed."""
        if request.headers["Authorization"] != f"Bearer {FLAGS_KEY}" or request.query["token"] != KEY:
            return web.json_response({"detail": "not allowed"}, status=401)
        told = {"flags": self.flags, "group_type_mapping": {"0": "tenant"}, "cohorts": {}}
        tag = f'"{hashlib.sha256(json.dumps(told).encode()).hexdigest()}"'
        if request.headers.get("If-None-Match") == tag:
            self.unchanged += 1
            return web.Response(status=304, headers={"ETag": tag})
        return web.json_response(told, headers={"ETag": tag})

    async def decide(self, _: web.Request) -> web.Response:
        """``POST /flags/`` and ``/decide/``: flags as PostHog itself evaluates them, here all of them off."""
        return web.json_response({"flags": {}, "featureFlags": {}, "errorsWhileComputingFlags": False})

    @web.middleware
    async def _moods(self, request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401 - aiohttp's kind
        self.asked.append(request.path)
        if self.gate is not None:
            await self.gate.wait()
        if self.status is not None:
            return web.json_response({"detail": "not now"}, status=self.status)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def heard(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many events, and give them."""

        async def look() -> bool:
            return len(self.events) >= count

        await until(look, f"{count} events at PostHog; there are {len(self.events)}")
        assert len(self.events) == count
        return self.events

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve; gives the host, as settings name it."""
        app = web.Application(middlewares=[self._moods])
        app.router.add_post("/batch/", self.take)
        app.router.add_get("/flags/definitions", self.define)
        app.router.add_get("/api/feature_flag/local_evaluation", self.define)
        app.router.add_post("/flags/", self.decide)
        app.router.add_post("/decide/", self.decide)
        async with TestServer(app) as server:
            try:
                yield str(server.make_url("/")).rstrip("/")
            finally:
                if self.gate is not None:
                    self.gate.set()
