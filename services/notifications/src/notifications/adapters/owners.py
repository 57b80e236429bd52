"""The services that own the streams, asked over HTTP with the token of whoever wants to know."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from notifications.application.messages import live_event
from notifications.domain.positions import LiveEvent
from notifications.domain.resumption import Head
from production_contracts import problems
from production_contracts.events import STREAMS
from servicekit import tracing
from servicekit.problems import ProblemError
from servicekit.tls import client_context

PAGE: Final = 500
CONNECTIONS: Final = 100
_DEADLINE: Final = aiohttp.ClientTimeout(total=5, connect=2)
_UNAVAILABLE: Final = "The history of events can't be read for the moment; try again."
_PASSED_ON: Final = {problem.status: problem for problem in (problems.UNAUTHENTICATED, problems.FORBIDDEN)}


class HttpOwners:
    """`Owners` over HTTP: ``GET /v1/head`` and ``GET /v1/events`` of each owner, on pooled connections."""

    def __init__(self, urls: Mapping[str, str], *, ca_file: Path | None = None) -> None:
        """Ask the owners at ``urls``, by stream; by HTTPS with the CA of ``ca_file``, or the system's."""
        self._urls = {stream: url.rstrip("/") for stream, url in urls.items()}
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the HTTP client."""
        self._session = aiohttp.ClientSession(
            timeout=_DEADLINE,
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=client_context(self._ca_file)),
            trace_configs=tracing.of_client(),
        )

    async def stop(self) -> None:
        """Close the HTTP client."""
        if self._session is not None:
            await self._session.close()

    async def heads(self, token: str) -> dict[str, Head]:
        """Ask all owners at once; see `Owners.heads`."""
        heads = await asyncio.gather(*(self._head(stream, token) for stream in STREAMS))
        return dict(zip(STREAMS, heads, strict=True))

    async def _head(self, stream: str, token: str) -> Head:
        found = await self._get(f"{self._urls[stream]}/v1/head", {}, token)
        try:
            return Head(position=int(found["position"]), epoch=str(found["epoch"]))
        except (KeyError, TypeError, ValueError):
            raise ProblemError(problems.UNAVAILABLE, _UNAVAILABLE) from None

    async def after(self, stream: str, position: int, token: str) -> list[LiveEvent]:
        """Ask the stream's owner for a page; see `Owners.after`."""
        query = {"stream": stream, "after": str(position), "limit": str(PAGE)}
        found = await self._get(f"{self._urls[stream]}/v1/events", query, token)
        try:
            return [live_event(event) for event in found["items"]]
        except (KeyError, TypeError, AttributeError):
            raise ProblemError(problems.UNAVAILABLE, _UNAVAILABLE) from None

    async def _get(self, url: str, query: dict[str, str], token: str) -> Any:  # noqa: ANN401 - a JSON value
        if self._session is None:
            raise ProblemError(problems.UNAVAILABLE, _UNAVAILABLE)
        try:
            async with self._session.get(
                url, params=query, headers={"Authorization": f"Bearer {token}"}, allow_redirects=False
            ) as response:
                body = await response.read()
                if response.status == HTTPStatus.OK:
                    return orjson.loads(body)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            raise ProblemError(problems.UNAVAILABLE, _UNAVAILABLE) from None
        kind = _PASSED_ON.get(response.status)
        if kind is None:
            raise ProblemError(problems.UNAVAILABLE, _UNAVAILABLE)
        raise ProblemError(kind, kind.title + ".")
