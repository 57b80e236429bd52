"""The owning services over HTTP: kept connections, and a deadline on every read."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from gateway.adapters.connections import BrokenAnswerError, Connections
from gateway.application.ports import OwnerAnswer, OwnerAwayError
from servicekit import tracing
from servicekit.tls import client_context

READS_A_CONNECTION = 4
"""So many reads of a service may be under way for each connection to it, most of them waiting for one."""
CONNECT_SECONDS: Final = 2.0
KEPT_HEADERS = ("content-type", "position", "retry-after", "www-authenticate")
_PLAIN: Final = "/:,"
"""What stands in a query as it is, besides letters and digits (RFC 3986, section 3.4)."""


@dataclass(frozen=True, kw_only=True)
class _Owner:
    """A service: where it is, below which path, and the connections to it."""

    origin: str
    prefix: str
    connections: Connections


class HttpOwners:
    """Reads from the services at the given base URLs."""

    def __init__(
        self, urls: Mapping[str, str], *, timeout_seconds: float, connections: int, ca_file: Path | None = None
    ) -> None:
        """Reach each service by name at its URL; by HTTPS with the CA of ``ca_file``, or the system's."""
        self._urls = dict(urls)
        self._timeout = timeout_seconds
        self._connections = connections
        self._ca_file = ca_file
        self._reads: Counter[str] = Counter()
        self._owners: dict[str, _Owner] = {}

    async def start(self) -> None:
        """Open the client; connections are made as they are needed."""
        tls = client_context(self._ca_file)
        for service, url in self._urls.items():
            parts = urlsplit(url)
            is_tls = parts.scheme == "https"
            self._owners[service] = _Owner(
                origin=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
                prefix=parts.path.rstrip("/"),
                connections=Connections(
                    parts.hostname or "",
                    parts.port or (443 if is_tls else 80),
                    most=self._connections,
                    connect_seconds=min(CONNECT_SECONDS, self._timeout),
                    tls=tls if is_tls else None,
                ),
            )

    async def stop(self) -> None:
        """Close the client."""
        for owner in self._owners.values():
            owner.connections.close()
        self._owners.clear()

    async def get(self, service: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> OwnerAnswer:
        """Read from a service; see `ports.Owners`."""
        owner = self._owners.get(service)
        if owner is None:
            message = "the client is not open"
            raise OwnerAwayError(message)
        target = owner.prefix + path
        if query:
            target = f"{target}?{urlencode(query, safe=_PLAIN, quote_via=quote)}"
        try:
            with self._reading(service):
                return await self._get(owner, target, headers)
        except (BrokenAnswerError, TimeoutError, OSError) as error:
            message = f"{type(error).__name__}: {error}"
            raise OwnerAwayError(message) from error

    @contextmanager
    def _reading(self, service: str) -> Iterator[None]:
        """Hold a place among the reads of a service: one that hangs takes no more of the gateway than these."""
        if self._reads[service] >= READS_A_CONNECTION * self._connections:
            message = f"{self._reads[service]} reads of {service} are under way already"
            raise OwnerAwayError(message)
        self._reads[service] += 1
        try:
            yield
        finally:
            self._reads[service] -= 1

    async def _get(self, owner: _Owner, target: str, headers: Mapping[str, str]) -> OwnerAnswer:
        with tracing.calling("GET", {"http.method": "GET", "http.url": owner.origin}) as carried:
            async with asyncio.timeout(self._timeout):
                answer = await owner.connections.get(target, {**headers, **carried})
        kept = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
        return OwnerAnswer(status=answer.status, headers=kept, body=answer.body)

    async def answers(self, service: str) -> bool:
        """Tell whether a service is there."""
        try:
            return (await self.get(service, "/healthz", {}, {})).status == HTTPStatus.OK
        except OwnerAwayError:
            return False
