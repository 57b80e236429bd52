"""The front: what holds for every request before it is looked at, and for every response, problems included."""

from collections.abc import Iterable
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from production_contracts import problems
from servicekit.problems import problem_response

LARGEST_HEAD: Final = 16 * 1024
CACHE_CONTROL: Final = (b"cache-control", b"private, no-cache")
ACCEPTABLE: Final = frozenset({"*/*", "application/*", "application/json", "application/problem+json"})
_ADDED: Final = "gateway.headers"

_log = structlog.get_logger(__name__)


def add_headers(request: Request, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Let the response to a request, whatever it will be, carry these headers."""
    request.scope[_ADDED].extend(headers)


class Front:
    """ASGI middleware: bounds the head, minds Accept and Cache-Control under ``/v1``, and answers for our own faults.

    It stands inside CORS, so that a browser can read an internal error too.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Stand before an app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_api = scope["path"].startswith("/v1/")
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
