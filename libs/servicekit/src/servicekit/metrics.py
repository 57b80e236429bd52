"""Metrics for Prometheus: the ``/metrics`` route, and how long requests take.

Everything registers with prometheus_client's default registry; nobody labels by tenant or user.
"""

import time
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Histogram, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from servicekit.health import Health

REQUESTS: Final = Counter("http_requests_total", "Requests answered", ("method", "route", "status"))
DURATIONS: Final = Histogram(
    "http_request_duration_seconds",
    "Time from a request's arrival to the end of its response",
    ("method", "route"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)
UNMATCHED: Final = "unmatched"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def route(health: Health) -> Route:
    """Make the route ``GET /metrics``; whenever it is asked the checks of ``health`` are made, so that they hold."""

    async def metrics(_request: Request) -> Response:
        await health.failing()
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return Route("/metrics", metrics, methods=["GET"], include_in_schema=False)


class RequestMetrics:
    """ASGI middleware that counts requests and times them, by the route's template and never by its path."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an app."""
        self._app = app
        self._plain: dict[object, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request and measure it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            template = self._template(scope)
            method = scope["method"] if scope["method"] in _METHODS else "other"
            REQUESTS.labels(method, template, str(status)).inc()
            DURATIONS.labels(method, template).observe(time.perf_counter() - started)

    def _template(self, scope: Scope) -> str:
        """Name the template of the route that was taken.

        FastAPI's router says in the scope which of its own routes it took, and of a plain Starlette route, such as the
        gateway's are, only the endpoint.
        """
        if (route := scope.get("route")) is not None:
            return str(getattr(route, "path", UNMATCHED))
        endpoint = scope.get("endpoint")
        if endpoint is None:
            return UNMATCHED
        if not self._plain:
            self._plain = {one.endpoint: one.path for one in scope["app"].routes if isinstance(one, Route)}
        return self._plain.get(endpoint, UNMATCHED)
