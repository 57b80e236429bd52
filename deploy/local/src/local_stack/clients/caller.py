"""Somebody who calls the gateway."""

import json
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from local_stack.clients.waiting import PATIENCE_SECONDS, until

LARGEST_PAGE = 200
LARGEST_EVENT_PAGE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back; names of headers in any case."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:  # noqa: ANN401 - JSON
        """The body as JSON."""
        return json.loads(self.raw)

    @property
    def slug(self) -> str:
        """Which problem it is; empty where it is none."""
        if self.headers.get("Content-Type", "") != "application/problem+json":
            return ""
        return str(self.body["type"]).removeprefix("/problems/")

    def __str__(self) -> str:
        """Status and the beginning of the body, for a message."""
        return f"{self.status} {self.raw[:500].decode(errors='replace')}"


class UnexpectedAnswerError(Exception):
    """The answer has another status than the caller can go on with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """A user of a tenant at the gateway, by a token."""

    session: aiohttp.ClientSession
    url: str
    token: str

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,  # noqa: ANN401 - JSON, or bytes as they are, at once or in pieces
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request with the token; `headers` come on top and may replace it."""
        sent = {"Authorization": f"Bearer {self.token}"} | dict(headers or {})
        content: dict[str, Any] = {"data": body} if isinstance(body, bytes | AsyncIterable) else {"json": body}
        async with self.session.request(
            method, self.url + path, params=query, headers=sent, **({} if body is None else content)
        ) as response:
            return Answer(status=response.status, headers=response.headers, raw=await response.read())

    async def get(
        self, path: str, query: Mapping[str, str | int] | None = None, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Read."""
        stated = {name: str(value) for name, value in (query or {}).items()}
        return await self.call("GET", path, query=stated, headers=headers)

    async def post(
        self,
        path: str,
        body: Any = None,  # noqa: ANN401 - JSON, or bytes as they are, at once or in pieces
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Command."""
        return await self.call("POST", path, body, headers=headers)

    async def patch(
        self,
        path: str,
        body: Any,  # noqa: ANN401 - JSON, or bytes as they are, at once or in pieces
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Change."""
        return await self.call("PATCH", path, body, headers=headers)

    async def delete(
        self, path: str, query: Mapping[str, str] | None = None, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Delete."""
        return await self.call("DELETE", path, query=query, headers=headers)

    async def make(self, path: str, **body: Any) -> Any:  # noqa: ANN401 - JSON
        """Post what must be created, and give it.

        Raises:
            UnexpectedAnswerError: it was not.
        """
        return expect(await self.post(path, body), 201).body

    async def pages(self, path: str, query: Mapping[str, str | int] | None = None) -> AsyncIterator[list[Any]]:
        """Read a list page by page, to its end."""
        asked = {"limit": LARGEST_PAGE, **(query or {})}
        while True:
            page = expect(await self.get(path, asked), 200).body
            yield page["items"]
            if page["next_cursor"] is None:
                return
            asked["cursor"] = page["next_cursor"]

    async def every(self, path: str, query: Mapping[str, str | int] | None = None) -> list[Any]:
        """Read a list to its end."""
        return [item async for page in self.pages(path, query) for item in page]

    async def events(self, stream: str = "booking", *, after: int = 0, limit: int = LARGEST_EVENT_PAGE) -> list[Any]:
        """Read a stream of events past a position to its head."""
        events: list[Any] = []
        while True:
            asked: dict[str, str | int] = {"stream": stream, "after": after, "limit": limit}
            page = expect(await self.get("/v1/events", asked), 200).body
            if not page["items"]:
                return events
            events += page["items"]
            after = page["position"]

    async def decided(self, location: str, *, seconds: float = PATIENCE_SECONDS) -> Any:  # noqa: ANN401 - JSON
        """Ask what became of a command until it is decided, and give its status.

        Raises:
            TimeoutError: it was not decided in time.
        """

        async def look() -> Any:  # noqa: ANN401 - JSON
            try:
                answer = await self.get(location)
            except (TimeoutError, aiohttp.ClientError):
                return None
            if answer.status >= 500:  # noqa: PLR2004 - whoever knows is away for the moment
                return None
            status = expect(answer, 200).body
            return None if status["status"] == "pending" else status

        return await until(look, f"{location} is decided", seconds=seconds)


def expect(answer: Answer, *statuses: int) -> Answer:
    """Give the answer if it has one of these statuses.

    Raises:
        UnexpectedAnswerError: it has not.
    """
    if answer.status not in statuses:
        message = f"{' or '.join(map(str, statuses))} was expected: {answer}"
        raise UnexpectedAnswerError(message)
    return answer


def http_session() -> aiohttp.ClientSession:
    """Open connections to nowhere yet: as many at once as callers ask for, each with a deadline."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    )
