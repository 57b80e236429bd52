"""An issuer's public keys (RFC 7517), fetched when needed and kept through its outages."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, Final

import aiohttp
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm

from production_contracts import problems
from servicekit.problems import ProblemError

LARGEST_JWKS: Final = 1 << 20
SMALLEST_KEY_BITS: Final = 2048
MISS_COOL_DOWN_SECONDS: Final = 10.0
RETRY_COOL_DOWN_SECONDS: Final = 2.0

_log = structlog.get_logger(__name__)


class IssuerKeys:
    """The RSA keys of one issuer.

    They are fetched with the first look-up, again when older than ``fresh_seconds``, and once when an unknown key id
    turns up (then not for `MISS_COOL_DOWN_SECONDS`, so that made-up ids do not hammer the issuer). What was fetched
    is kept while the issuer is down. Callers that need a fetch at the same time share it.
    """

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        *,
        fresh_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the keys at ``url``."""
        self._url = url
        self._session = session
        self._fresh_seconds = fresh_seconds
        self._clock = clock
        self._lock = asyncio.Lock()
        self._keys: dict[str, RSAPublicKey] | None = None
        self._fetched_at = float("-inf")
        self._failed_at = float("-inf")
        self._is_away = False
        self._missed_at = float("-inf")

    async def find(self, key_id: str) -> RSAPublicKey | None:
        """Give the key of this id; None where the issuer has no such key.

        Raises:
            ProblemError: `unavailable`: whether there is such a key can't be known now, as the issuer does not answer.
        """
        if self._is_stale():
            async with self._lock:
                if self._is_stale():
                    await self._fetch()
        key = (self._keys or {}).get(key_id)
        if key is None:
            key = await self._find_missing(key_id)
        return key

    async def _find_missing(self, key_id: str) -> RSAPublicKey | None:
        fetched_at = self._fetched_at
        async with self._lock:
            now = self._clock()
            may_ask = now - self._missed_at >= MISS_COOL_DOWN_SECONDS and self._may_retry()
            if self._keys is not None and self._fetched_at == fetched_at and may_ask:
                self._missed_at = now
                await self._fetch()
        key = (self._keys or {}).get(key_id)
        if key is None and self._is_away:
            message = "The token can't be checked for the moment: its issuer does not answer."
            raise ProblemError(problems.UNAVAILABLE, message, headers={"Retry-After": "2"})
        return key

    def _is_stale(self) -> bool:
        return self._clock() - self._fetched_at >= self._fresh_seconds and self._may_retry()

    def _may_retry(self) -> bool:
        return self._clock() - self._failed_at >= RETRY_COOL_DOWN_SECONDS

    async def _fetch(self) -> None:
        try:
            async with self._session.get(self._url, allow_redirects=False) as response:
                response.raise_for_status()
                body = await response.content.read(LARGEST_JWKS + 1)
                while len(body) <= LARGEST_JWKS and (more := await response.content.read(LARGEST_JWKS)):
                    body += more
            self._keys = _read_keys(body)
            self._fetched_at = self._clock()
            self._is_away = False
        except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError) as error:
            self._failed_at = self._clock()
            self._is_away = True
            _log.warning("an issuer's keys could not be fetched", url=self._url, error=str(error) or repr(error))


def _read_keys(body: bytes) -> dict[str, RSAPublicKey]:
    """Read the RSA signing keys of a JWKS; other kinds are left out, as are keys too short to trust.

    Raises:
        ValueError: it is not a JWKS, or has no such key.
    """
    document = json.loads(body) if len(body) <= LARGEST_JWKS else None
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        message = "not a JWKS"
        raise ValueError(message)  # noqa: TRY004 - what was read is wrong, not what was passed
    keys = {entry["kid"]: key for entry in listed if (key := _read_key(entry)) is not None}
    if not keys:
        message = "a JWKS without an RSA key to verify with"
        raise ValueError(message)
    return keys


def _read_key(entry: Any) -> RSAPublicKey | None:  # noqa: ANN401 - whatever the issuer published
    if not isinstance(entry, dict) or entry.get("kty") != "RSA" or not isinstance(entry.get("kid"), str):
        return None
    if entry.get("use", "sig") != "sig" or entry.get("alg", "RS256") != "RS256":
        return None
    try:
        key = RSAAlgorithm.from_jwk(json.dumps({name: entry[name] for name in ("kty", "n", "e")}))
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    return key if isinstance(key, RSAPublicKey) and key.key_size >= SMALLEST_KEY_BITS else None
