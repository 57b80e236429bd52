"""Sealing with AES-256-GCM, bound to tenant, holder (a booking, a person) and field.

The nonce is synthetic: the first 96 bits of HMAC-SHA256, under a key of its own, over what the value is bound to and
the text. So the same notes of the same booking seal to the same ciphertext, and a patch that changes nothing is seen
to change nothing, while two different texts meet in a nonce with a chance of 2^-96. What equality tells is no more
than that: that one field of one booking holds again what it held before.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import BeforeValidator

from production_contracts.sealed import Sealed

NONCE_BYTES = 12
KEY_BYTES = 32


class SealBrokenError(Exception):
    """A sealed value can't be opened: its key is unknown here, or it is not what was sealed."""


def read_key(value: object) -> object:
    """Read a key as settings state it; raises ValueError where it is none."""
    if not isinstance(value, str):
        return value
    try:
        key = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        message = f"a key is {KEY_BYTES} random bytes in base64, such as `openssl rand -base64 {KEY_BYTES}` prints"
        raise ValueError(message)
    return key


Key = Annotated[bytes, BeforeValidator(read_key)]


class _Key:
    def __init__(self, master: bytes) -> None:
        self.cipher = AESGCM(_subkey(master, "encrypt"))
        self.nonce_key = _subkey(master, "nonce")


def _subkey(master: bytes, purpose: str) -> bytes:
    """Derive the key for a purpose (HKDF-Expand, RFC 5869, one block of SHA-256)."""
    return hmac.digest(master, f"production/seal/{purpose}/v1\x01".encode(), "sha256")


class AesVault:
    """Seals with the first of its keys and opens with any."""

    def __init__(self, keys: Mapping[str, bytes], *, legacy: "AesVault | None" = None) -> None:
        """Hold the keys (32 bytes each) by their kid; what none of them has sealed, ``legacy`` may open."""
        self._keys = {kid: _Key(master) for kid, master in keys.items()}
        self._active = next(iter(self._keys), None)
        self._legacy = legacy

    @property
    def kids(self) -> frozenset[str]:
        """The keys that it opens with."""
        return frozenset(self._keys) | (frozenset() if self._legacy is None else self._legacy.kids)

    def seal(self, tenant_id: UUID, holder: UUID, field: str, text: str) -> Sealed:
        """Seal a field's text, bound to tenant, holder and field; the same again gives the same.

        Raises:
            LookupError: there is no key to seal with.
        """
        if self._active is None:
            message = "no key to seal with"
            raise LookupError(message)
        key = self._keys[self._active]
        bound, plain = _bound(tenant_id, holder, field), text.encode()
        nonce = hmac.digest(key.nonce_key, bound + plain, "sha256")[:NONCE_BYTES]
        sealed = nonce + key.cipher.encrypt(nonce, plain, bound)
        return Sealed(kid=self._active, ct=_encoded(sealed))

    def open(self, tenant_id: UUID, holder: UUID, field: str, sealed: Sealed) -> str:
        """Open what was sealed for exactly these.

        Raises:
            SealBrokenError: as it says.
        """
        key = self._keys.get(sealed.kid)
        if key is None:
            if self._legacy is not None:
                return self._legacy.open(tenant_id, holder, field, sealed)
            message = f"no key {sealed.kid!r} here"
            raise SealBrokenError(message)
        try:
            raw = _decoded(sealed.ct)
            plain = key.cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _bound(tenant_id, holder, field))
            return plain.decode()
        except (InvalidTag, binascii.Error, ValueError) as error:
            message = f"not what was sealed with key {sealed.kid!r} for this tenant, holder and field"
            raise SealBrokenError(message) from error


def _encoded(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def _decoded(ct: str) -> bytes:
    """Read what was written by `_encoded` and no other form of it; Python would pass over what is no base64."""
    raw = base64.urlsafe_b64decode(ct + "=" * (-len(ct) % 4))
    if _encoded(raw) != ct:
        message = "not base64url in its one form"
        raise ValueError(message)
    return raw


def _bound(tenant_id: UUID, holder: UUID, field: str) -> bytes:
    """Write what a value is bound to; two ids of fixed length and a terminated name, so that it reads one way only."""
    return tenant_id.bytes + holder.bytes + field.encode() + b"\x00"
