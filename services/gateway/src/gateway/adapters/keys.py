"""Wrapped keys over HTTP: read from and offered to tenancy, with a secret of ours; see `servicekit.key_api`."""

from collections.abc import Collection, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final, TypeVar
from uuid import UUID

import aiohttp
from pydantic import BaseModel, ValidationError
from yarl import URL

from servicekit import key_api, tracing
from servicekit.keyring import Kept, KeysAwayError
from servicekit.masters import WrappedKey
from servicekit.tls import client_context

DEADLINE_SECONDS: Final = 5.0
CONNECTIONS: Final = 16

M = TypeVar("M", bound=BaseModel)


class HttpShelf:
    """Where keys are kept: tenancy; a `servicekit.keyring.Shelf`."""

    def __init__(self, url: str, secret: str, *, ca_file: Path | None = None) -> None:
        """Ask tenancy at its base URL; by HTTPS with the CA of ``ca_file``, or the system's."""
        self._url = URL(url)
        self._headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the client; connections are made as they are needed."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=60, ssl=client_context(self._ca_file)),
            timeout=aiohttp.ClientTimeout(total=DEADLINE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=tracing.of_client(),
        )

    async def stop(self) -> None:
        """Close the client."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def read(self, tenants: Collection[UUID]) -> Sequence[Kept]:
        """Read what is kept for each of these."""
        found = await self._ask(key_api.READ, key_api.ReadKeys(tenants=list(tenants)), key_api.KeysRead)
        return found.items

    async def offer(self, key: WrappedKey) -> Kept:
        """Offer a tenant's first key."""
        return await self._ask(key_api.OFFER, key_api.OfferKey(key=key), Kept)

    async def _ask(self, path: str, asked: BaseModel, model: type[M]) -> M:
        if self._session is None:
            message = "the client is not open"
            raise KeysAwayError(message)
        url = self._url.joinpath(path.lstrip("/"))
        try:
            async with self._session.post(
                url, data=asked.model_dump_json(), headers=self._headers, allow_redirects=False
            ) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            message = f"tenancy: {type(error).__name__}"
            raise KeysAwayError(message) from error
        if response.status != HTTPStatus.OK:
            message = f"tenancy: status {response.status}"
            raise KeysAwayError(message)
        try:
            return model.model_validate_json(body)
        except ValidationError:
            message = "tenancy: an answer that is none"
            raise KeysAwayError(message) from None
