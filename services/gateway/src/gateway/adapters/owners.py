"""The owning services over HTTP: pooled connections, and a deadline on every read."""

from collections.abc import Mapping
from http import HTTPStatus

import aiohttp
from yarl import URL

from gateway.application.ports import OwnerAnswer, OwnerAwayError
from servicekit import tracing

KEPT_HEADERS = frozenset({"content-type", "position", "retry-after", "www-authenticate"})


class HttpOwners:
    """Reads from the services at the given base URLs."""

    def __init__(self, urls: Mapping[str, str], *, timeout_seconds: float, connections: int) -> None:
        """Reach each service by name at its URL."""
        self._urls = {service: URL(url) for service, url in urls.items()}
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=min(2.0, timeout_seconds))
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the client; connections are made as they are needed."""
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=self._connections, keepalive_timeout=60)
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
            async with self._session.get(
                url, headers={**headers, "Accept-Encoding": "identity"}, allow_redirects=False
            ) as response:
                body = await response.read()
                kept = {name.lower(): value for name, value in response.headers.items() if name.lower() in KEPT_HEADERS}
                return OwnerAnswer(status=response.status, headers=kept, body=body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            message = f"{type(error).__name__}: {error}"
            raise OwnerAwayError(message) from error

    async def answers(self, service: str) -> bool:
        """Tell whether a service is there."""
        try:
            return (await self.get(service, "/healthz", {}, {})).status == HTTPStatus.OK
        except OwnerAwayError:
            return False
