"""Keys for single purposes out of one master key (HKDF-Expand, RFC 5869, one block of SHA-256)."""

import hmac


def subkey(master: bytes, purpose: str) -> bytes:
    """Derive the 32 byte key for a purpose; a key for one purpose tells nothing about that for another."""
    return hmac.digest(master, b"production/" + purpose.encode() + b"\x01", "sha256")
