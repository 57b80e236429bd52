"""The owning services over HTTP: pooled connections, and a deadline on every read."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import aiohttp
from yarl import URL

from gateway.application.ports import OwnerAnswer, OwnerAwayError
from servicekit import tracing
from servicekit.tls import client_context

READS_A_CONNECTION = 4
"""So many reads of a service may be under way for each connection to it, most of them waiting for one."""
KEPT_HEADERS = frozenset({"content-type", "position", "retry-after", "www-authenticate"})


class HttpOwners:
    """Reads from the services at the given base URLs."""

    def __init__(
        self, urls: Mapping[str, str], *, timeout_seconds: float, connections: int, ca_file: Path | None = None
    ) -> None:
        """Reach each service by name at its URL; by HTTPS with the CA of ``ca_file``, or the system's."""
        self._urls = {service: URL(url) for service, url in urls.items()}
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=min(2.0, timeout_seconds))
        self._connections = connections
        self._ca_file = ca_file
        self._reads: Counter[str] = Counter()
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the client; connections are made as they are needed."""
        connector = aiohttp.TCPConnector(
            limit=0, limit_per_host=self._connections, keepalive_timeout=60, ssl=client_context(self._ca_file)
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trace_configs=tracing.of_client(),
        )

    async def stop(self) -> None:
        """Close the client."""
        if self._session is not None:
            await self._session.close()

    async def get(self, service: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> OwnerAnswer:
        """Read from a service; see `ports.Owners`."""
        if self._session is None:
            message = "the client is not open"
            raise OwnerAwayError(message)
        url = self._urls[service].joinpath(path.lstrip("/"), encoded=True).with_query(query)
        try:
            with self._reading(service):
                return await self._get(self._session, url, headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
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

    async def _get(self, session: aiohttp.ClientSession, url: URL, headers: Mapping[str, str]) -> OwnerAnswer:
        asked = {**headers, "Accept-Encoding": "identity"}
        async with session.get(url, headers=asked, allow_redirects=False) as response:
            body = await response.read()
            kept = {name.lower(): value for name, value in response.headers.items() if name.lower() in KEPT_HEADERS}
            return OwnerAnswer(status=response.status, headers=kept, body=body)

    async def answers(self, service: str) -> bool:
        """Tell whether a service is there."""
        try:
            return (await self.get(service, "/healthz", {}, {})).status == HTTPStatus.OK
        except OwnerAwayError:
            return False
