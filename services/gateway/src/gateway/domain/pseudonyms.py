"""Pseudonyms: by which a person is told from another, and not found out."""

import hmac
from typing import Final
from uuid import UUID

from gateway.domain.subkeys import subkey

_DIGITS: Final = 32
"""Hexadecimal, so 128 bits: no two people meet in one."""


class Pseudonyms:
    """Gives people pseudonyms that only the holder of the key can give: nobody else finds the person, or two of one."""

    def __init__(self, master: bytes) -> None:
        """Key the pseudonyms by ``master``; under another key everybody has another."""
        self._key = subkey(master, "pseudonym/v1")

    def of(self, tenant_id: UUID, issuer: str, sub: str) -> str:
        """Give a user's pseudonym: the same within a tenant for as long as the key is, another in another tenant."""
        named = "\n".join((str(tenant_id), issuer, sub)).encode()
        return hmac.digest(self._key, named, "sha256").hex()[:_DIGITS]
