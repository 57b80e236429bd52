"""Sealing with AES-256-GCM, bound to tenant, booking and field.

The nonce is synthetic: the first 96 bits of HMAC-SHA256, under a key of its own, over what the value is bound to and
the text. So the same notes of the same booking seal to the same ciphertext, and a patch that changes nothing is seen
to change nothing, while two different texts meet in a nonce with a chance of 2^-96. What equality tells is no more
than that: that one field of one booking holds again what it held before.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.application.ports import SealBrokenError
from gateway.domain.subkeys import subkey
from production_contracts.sealed import Sealed

NONCE_BYTES = 12


class _Key:
    def __init__(self, master: bytes) -> None:
        self.cipher = AESGCM(subkey(master, "seal/encrypt/v1"))
        self.nonce_key = subkey(master, "seal/nonce/v1")


class AesVault:
    """Seals with the first of its keys and opens with any."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """Hold the keys (32 bytes each) by their kid."""
        self._keys = {kid: _Key(master) for kid, master in keys.items()}
        self._active = next(iter(self._keys))

    def seal(self, tenant_id: UUID, holder: UUID, field: str, text: str) -> Sealed:
        """Seal a field's text; see `ports.Vault`."""
        key = self._keys[self._active]
        bound, plain = _bound(tenant_id, holder, field), text.encode()
        nonce = hmac.digest(key.nonce_key, bound + plain, "sha256")[:NONCE_BYTES]
        sealed = nonce + key.cipher.encrypt(nonce, plain, bound)
        return Sealed(kid=self._active, ct=base64.urlsafe_b64encode(sealed).rstrip(b"=").decode())

    def open(self, tenant_id: UUID, holder: UUID, field: str, sealed: Sealed) -> str:
        """Open a sealed field; see `ports.Vault`."""
        key = self._keys.get(sealed.kid)
        if key is None:
            message = f"no key {sealed.kid!r} here"
            raise SealBrokenError(message)
        try:
            raw = base64.urlsafe_b64decode(sealed.ct + "=" * (-len(sealed.ct) % 4))
            plain = key.cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _bound(tenant_id, holder, field))
            return plain.decode()
        except (InvalidTag, binascii.Error, ValueError) as error:
            message = f"not what was sealed with key {sealed.kid!r} for this tenant, booking and field"
            raise SealBrokenError(message) from error


def _bound(tenant_id: UUID, holder: UUID, field: str) -> bytes:
    """Write what a value is bound to; two ids of fixed length and a terminated name, so that it reads one way only."""
    return tenant_id.bytes + holder.bytes + field.encode() + b"\x00"
