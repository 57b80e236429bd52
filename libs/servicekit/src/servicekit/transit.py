"""A master key in HashiCorp Vault's Transit engine (and what speaks its protocol, such as OpenBao): it never leaves it.

``POST /v1/<mount>/encrypt/<key>`` and ``.../decrypt/<key>`` with base64 and, as ``associated_data``, what the wrapped
key is bound to (https://developer.hashicorp.com/vault/api-docs/secret/transit; ``associated_data`` needs Vault 1.9 and
a key of an AEAD type, of which ``aes256-gcm96`` is the default). So that an engine which leaves ``associated_data``
aside is no hole, a hash of the binding is encrypted before the key, and compared after decryption.

What we need there: a token whose policy lets it ``update`` these two paths and nothing else.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import aiohttp
import structlog
from yarl import URL

from servicekit.masters import MasterAwayError, NotUnwrappedError
from servicekit.tls import client_context

DEADLINE_SECONDS: Final = 5.0
CONNECTIONS: Final = 16
"""Requests at once at most; the others wait for their turn."""

log = structlog.get_logger(__name__)


class TransitMaster:
    """A key of a Transit engine as a master key; a `masters.KeyWrapper`."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        token: str | None = None,
        token_file: Path | None = None,
        mount: str = "transit",
        namespace: str | None = None,
        ca_file: Path | None = None,
    ) -> None:
        """Use the named ``key`` of the engine mounted at ``mount``; by HTTPS, ``ca_file`` says whom to trust.

        ``token_file`` is read anew at each request: something beside us (Vault's agent) renews what it holds.
        """
        self.name = f"{mount}/{key}"
        self._url = URL(url) / "v1" / mount
        self._key = key
        self._token = token
        self._token_file = token_file
        self._namespace = namespace
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession | None = None
        self._places = asyncio.Semaphore(CONNECTIONS)

    async def start(self) -> None:
        """Open the client; connections are made as they are needed."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=client_context(self._ca_file)),
            timeout=aiohttp.ClientTimeout(total=DEADLINE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def stop(self) -> None:
        """Close the client."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def wrap(self, secret: bytes, bound: bytes) -> str:
        """Wrap a key; see `masters.KeyWrapper`."""
        status, data = await self._ask(
            "encrypt", {"plaintext": _text(_digest(bound) + secret), "associated_data": _text(bound)}
        )
        wrapped = data.get("ciphertext")
        if status != HTTPStatus.OK or not isinstance(wrapped, str):
            why = f"encrypt: status {status}"
            raise self._away(why)
        return wrapped

    async def unwrap(self, wrapped: str, bound: bytes) -> bytes:
        """Unwrap a key; see `masters.KeyWrapper`."""
        status, data = await self._ask("decrypt", {"ciphertext": wrapped, "associated_data": _text(bound)})
        if status == HTTPStatus.BAD_REQUEST:  # what it says where a ciphertext or its associated data are not right
            message = f"{self.name!r} does not open it"
            raise NotUnwrappedError(message)
        if status != HTTPStatus.OK:
            why = f"decrypt: status {status}"
            raise self._away(why)
        try:
            plain = base64.b64decode(data["plaintext"], validate=True)
        except (KeyError, TypeError, binascii.Error, ValueError):
            why = "decrypt: an answer that is none"
            raise self._away(why) from None
        binding = _digest(bound)
        if not hmac.compare_digest(plain[: len(binding)], binding):
            message = f"not what was wrapped by {self.name!r} for this holder"
            raise NotUnwrappedError(message)
        return plain[len(binding) :]

    async def _ask(self, what: str, body: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        if self._session is None:
            why = "the client is not open"
            raise self._away(why)
        try:
            headers = self._headers()
            async with (
                self._places,
                self._session.post(
                    self._url / what / self._key, json=body, headers=headers, allow_redirects=False
                ) as response,
            ):
                answer = await response.json(content_type=None)
                data = answer.get("data") if isinstance(answer, dict) else None
                return response.status, data if isinstance(data, dict) else {}
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            why = f"{what}: {type(error).__name__}"
            raise self._away(why) from error

    def _headers(self) -> dict[str, str]:
        token = self._token if self._token_file is None else self._token_file.read_text().strip()
        namespace = {} if self._namespace is None else {"X-Vault-Namespace": self._namespace}
        return {"X-Vault-Token": token or "", "X-Vault-Request": "true", **namespace}

    def _away(self, why: str) -> MasterAwayError:
        log.warning("master_key_away", master=self.name, reason=why)
        return MasterAwayError(f"{self.name}: {why}")


def _digest(bound: bytes) -> bytes:
    return hashlib.sha256(bound).digest()


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
