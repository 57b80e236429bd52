"""The front: what holds for every request before it is looked at, and for every response, problems included."""

from collections.abc import Iterable
from typing import Final

import structlog
from prometheus_client import Counter, Gauge
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from production_contracts import problems
from servicekit.problems import problem_response

LARGEST_HEAD: Final = 16 * 1024
CACHE_CONTROL: Final = (b"cache-control", b"private, no-cache")
ACCEPTABLE: Final = frozenset({"*/*", "application/*", "application/json", "application/problem+json"})
RETRY_AFTER: Final = {"Retry-After": "1"}
_ADDED: Final = "gateway.headers"

IN_HAND: Final = Gauge("gateway_requests_in_hand", "Requests under `/v1` that are not answered yet")
SHED: Final = Counter("gateway_requests_shed", "Requests refused unread, as too many were in hand")

_log = structlog.get_logger(__name__)


def add_headers(request: Request, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Let the response to a request, whatever it will be, carry these headers."""
    request.scope[_ADDED].extend(headers)


class Front:
    """ASGI middleware: bounds requests in hand and heads, minds Accept and Cache-Control under ``/v1``.

    What does not fit is refused before a byte of it is looked at, so that a refusal costs next to nothing and what was
    let in is answered as fast under many times the load. Health, metrics and documents stand outside ``/v1`` and are
    never refused. It answers for our own faults too, and stands inside CORS, so that a browser can read them.
    """

    def __init__(self, app: ASGIApp, *, places: int) -> None:
        """Stand before an app, and let in at most ``places`` requests at once."""
        self._app = app
        self._places = places
        self._in_hand = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif not scope["path"].startswith("/v1/"):
            await self._answer(scope, receive, send, is_api=False)
        elif self._in_hand >= self._places:
            SHED.inc()
            detail = "Too many requests are in hand here already; nothing was done."
            headers = RETRY_AFTER | {"Cache-Control": CACHE_CONTROL[1].decode()}
            await problem_response(problems.UNAVAILABLE, detail, headers=headers)(scope, receive, send)
        else:
            self._count(1)
            try:
                await self._answer(scope, receive, send, is_api=True)
            finally:
                self._count(-1)

    def _count(self, more: int) -> None:
        self._in_hand += more
        IN_HAND.set(self._in_hand)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, *, is_api: bool) -> None:
        added: list[tuple[bytes, bytes]] = [CACHE_CONTROL] if is_api else []
        scope[_ADDED] = added
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], *added]
            await send(message)

        refusal = _refuse(scope, is_api=is_api)
        if refusal is not None:
            await refusal(scope, receive, answer)
            return
        try:
            await self._app(scope, receive, answer)
        except Exception:
            _log.exception("request failed unexpectedly")
            if started:
                raise
            failure = problem_response(problems.INTERNAL, "Something went wrong on our side; it has been logged.")
            await failure(scope, receive, answer)


def _refuse(scope: Scope, *, is_api: bool) -> Response | None:
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    size += sum(len(name) + len(value) + 4 for name, value in headers)
    if size > LARGEST_HEAD:
        detail = f"Request line and headers are larger than {LARGEST_HEAD} bytes."
        return problem_response(problems.HEADERS_TOO_LARGE, detail, headers={"Connection": "close"})
    if is_api:
        accepted = [value for name, value in headers if name == b"accept"]
        if accepted and not accepts_json(b",".join(accepted).decode("latin-1")):
            return problem_response(problems.NOT_ACCEPTABLE, "Answers here are application/json.")
    return None


def accepts_json(accept: str) -> bool:
    """Tell whether an ``Accept`` header lets JSON through (RFC 9110, section 12.5.1).

    The most specific range counts.
    """
    if accept in ACCEPTABLE or not accept.strip():
        return True
    best: dict[str, float] = {}
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        best[name] = max(best.get(name, 0.0), _quality(parameters))
    for name in ("application/json", "application/*", "*/*"):
        if name in best:
            return best[name] > 0
    return best.get(problems.MEDIA_TYPE, 0.0) > 0


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
