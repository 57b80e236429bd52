"""Data keys and the master keys that wrap them.

A *data key* is 32 random bytes that seal the fields of one holder of records: a tenant, or a person. It is kept
wrapped: encrypted under a *master key*, bound to whose it is and to its name, so that a wrapped key moved to another
row opens nothing. Masters stand side by side: the first wraps, each unwraps what it has wrapped, so that one takes the
place of another while everything runs. A master is bytes that we were told (`LocalMaster`), or a key that never leaves
a key management service (`servicekit.transit`); whatever speaks `KeyWrapper` will do.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol, Self
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import Field

from production_contracts.records import Record

KEY_BYTES: Final = 32
KID_BYTES: Final = 12
"""96 random bits name a data key: two never share a name."""
_NONCE_BYTES: Final = 12


class MasterAwayError(Exception):
    """A master key can't be asked for the moment."""


class NotUnwrappedError(Exception):
    """A wrapped key does not open: its master is none of ours, or it is not what was wrapped for this holder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataKey:
    """A data key in clear: whose it is, its name, and its 32 bytes; it never leaves the process."""

    tenant_id: UUID
    kid: str
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls, tenant_id: UUID) -> "DataKey":
        """Make one, at random."""
        kid = base64.urlsafe_b64encode(secrets.token_bytes(KID_BYTES)).decode()
        return cls(tenant_id=tenant_id, kid=kid, secret=secrets.token_bytes(KEY_BYTES))


class WrappedKey(Record):
    """A data key as it is kept: under which master, wrapped; ``current`` is the one that seals."""

    tenant_id: UUID
    kid: str = Field(min_length=1, max_length=64)
    master: str = Field(min_length=1, max_length=200)
    wrapped: str = Field(min_length=1, max_length=2_000, repr=False)
    current: bool = True
    created_at: datetime | None = None


class KeyWrapper(Protocol):
    """A master key."""

    @property
    def name(self) -> str:
        """Its name, the same wherever it is used, and never given to another key."""
        ...

    async def wrap(self, secret: bytes, bound: bytes) -> str:
        """Wrap a key, bound to what it is for.

        Raises:
            MasterAwayError: as it says.
        """
        ...

    async def unwrap(self, wrapped: str, bound: bytes) -> bytes:
        """Unwrap what was wrapped for exactly this.

        Raises:
            MasterAwayError: as it says.
            NotUnwrappedError: as it says.
        """
        ...

    async def start(self) -> None:
        """Begin; it does not wait for an outage to end."""
        ...

    async def stop(self) -> None:
        """Let go of connections."""
        ...


class LocalMaster:
    """A master key of 32 bytes, in memory: AES-256-GCM with a random nonce (2^32 wraps, NIST SP 800-38D)."""

    def __init__(self, name: str, key: bytes) -> None:
        """Use ``key`` under this name."""
        self.name = name
        self._cipher = AESGCM(hmac.digest(key, b"production/data-key/wrap/v1\x01", "sha256"))

    async def wrap(self, secret: bytes, bound: bytes) -> str:
        """Wrap a key; see `KeyWrapper`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, secret, bound)).decode()

    async def unwrap(self, wrapped: str, bound: bytes) -> bytes:
        """Unwrap a key; see `KeyWrapper`."""
        try:
            raw = base64.b64decode(wrapped, validate=True)
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], bound)
        except (InvalidTag, binascii.Error, ValueError) as error:
            message = f"not what was wrapped by {self.name!r} for this holder"
            raise NotUnwrappedError(message) from error

    async def start(self) -> None:
        """Do nothing: it is in memory."""

    async def stop(self) -> None:
        """Do nothing, as above."""


class Masters:
    """The master keys in use: the first wraps, each unwraps its own; an async context manager."""

    def __init__(self, masters: Sequence[KeyWrapper]) -> None:
        """Hold these, of which no two may share a name."""
        self._masters: Mapping[str, KeyWrapper] = {master.name: master for master in masters}
        if len(self._masters) != len(masters) or not masters:
            message = "there must be a master key, and no two of one name"
            raise ValueError(message)
        self._first = masters[0]
        self._started = AsyncExitStack()

    @property
    def first(self) -> str:
        """The name of the one that wraps."""
        return self._first.name

    async def wrap(self, key: DataKey) -> WrappedKey:
        """Wrap a data key under the first master.

        Raises:
            MasterAwayError: as it says.
        """
        wrapped = await self._first.wrap(key.secret, _bound(key.tenant_id, key.kid))
        return WrappedKey(tenant_id=key.tenant_id, kid=key.kid, master=self._first.name, wrapped=wrapped)

    async def unwrap(self, key: WrappedKey) -> DataKey:
        """Unwrap a data key.

        Raises:
            MasterAwayError: as it says.
            NotUnwrappedError: as it says.
        """
        master = self._masters.get(key.master)
        if master is None:
            message = f"there is no master {key.master!r} here"
            raise NotUnwrappedError(message)
        secret = await master.unwrap(key.wrapped, _bound(key.tenant_id, key.kid))
        if len(secret) != KEY_BYTES:
            message = f"what {key.master!r} has wrapped is no data key"
            raise NotUnwrappedError(message)
        return DataKey(tenant_id=key.tenant_id, kid=key.kid, secret=secret)

    async def start(self) -> None:
        """Start each."""
        for master in self._masters.values():
            self._started.push_async_callback(master.stop)
            await master.start()

    async def stop(self) -> None:
        """Stop each."""
        await self._started.aclose()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()


def _bound(tenant_id: UUID, kid: str) -> bytes:
    """Write what a wrapped key is bound to: an id of fixed length, then the name to the end: it reads one way only."""
    return b"production/data-key/v1\x00" + tenant_id.bytes + kid.encode()
