"""Health: ``/healthz`` says that this process works, ``/readyz`` that what it needs is there too."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Collection
from typing import Final

import orjson
import structlog
from prometheus_client import Gauge
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from production_contracts import problems
from servicekit.logs import reason
from servicekit.problems import problem_response

Check = Callable[[], bool | Awaitable[bool]]
"""Tells whether something needed is there; an exception or a wait past the deadline counts as no."""

PASSED: Final = Gauge(
    "health_check_passed",
    "1 where a check passes, 0 where it fails; readiness needs those required",
    ["check", "required"],
)

_log = structlog.get_logger(__name__)
_NO_STORE: Final = {"Cache-Control": "no-store"}


class Health:
    """The named checks of a service and the two routes that answer for it."""

    def __init__(self, *, deadline_seconds: float = 2.0) -> None:
        """Begin without checks; each has ``deadline_seconds`` to answer."""
        self._checks: dict[str, Check] = {}
        self._required: set[str] = set()
        self._deadline = deadline_seconds

    def add(self, name: str, check: Check, *, required: bool = True) -> None:
        """Add a check. Readiness depends on it if it is ``required``; otherwise its failure is shown and no more."""
        self._checks[name] = check
        if required:
            self._required.add(name)

    async def failing(self, excluded: Collection[str] = ()) -> list[str]:
        """Name the checks that fail now, required or not; those that are ``excluded`` are not made."""
        asked = {name: check for name, check in self._checks.items() if name not in excluded}
        outcomes = await asyncio.gather(*(self._ask(name, check) for name, check in asked.items()))
        for name, passed in zip(asked, outcomes, strict=True):
            PASSED.labels(check=name, required="yes" if name in self._required else "no").set(passed)
        return [name for name, passed in zip(asked, outcomes, strict=True) if not passed]

    async def _ask(self, name: str, check: Check) -> bool:
        try:
            answer = check()
            if inspect.isawaitable(answer):
                return bool(await asyncio.wait_for(answer, self._deadline))
        except Exception as error:  # noqa: BLE001 - a check that fails in any way is a check that fails
            _log.warning("readiness check failed", check=name, error=reason(error))
            return False
        return bool(answer)

    @property
    def routes(self) -> list[Route]:
        """``GET /healthz`` (200 while the event loop ticks, whatever is down elsewhere) and ``GET /readyz``.

        ``/readyz?exclude=kafka&exclude=redis`` leaves checks out, as the API server of Kubernetes does: for whoever
        routes to instances of which each would fail them at the same time.
        """
        return [
            Route("/healthz", self._healthz, methods=["GET"], include_in_schema=False),
            Route("/readyz", self._readyz, methods=["GET"], include_in_schema=False),
        ]

    async def _healthz(self, _request: Request) -> Response:
        return Response(b'{"status":"ok"}', headers=_NO_STORE, media_type="application/json")

    async def _readyz(self, request: Request) -> Response:
        excluded = request.query_params.getlist("exclude")
        found = await self.failing(excluded)
        failing = [name for name in found if name in self._required]
        degraded = [name for name in found if name not in self._required]
        if failing:
            detail = "Not ready: " + ", ".join(failing) + "."
            return problem_response(problems.UNAVAILABLE, detail, headers=_NO_STORE, failing=failing, degraded=degraded)
        checks = [name for name in self._checks if name not in excluded]
        body = orjson.dumps({"status": "ready", "checks": checks, "degraded": degraded})
        return Response(body, headers=_NO_STORE, media_type="application/json")
