"""What a request asks, in 64 characters: the same request has the same fingerprint, and it tells nothing else."""

import hmac
import json
from typing import Any

from gateway.domain.subkeys import subkey


def canonical_json(value: Any) -> bytes:  # noqa: ANN401 - any JSON of strings, integers, booleans, null, lists, objects
    """Write JSON in its one canonical form (RFC 8785).

    Holds for what our requests are made of: of numbers only integers below 2^53, and names of members in ASCII.
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


class Fingerprints:
    """Takes fingerprints under one key, so that a body can't be guessed from one."""

    def __init__(self, master: bytes) -> None:
        """Key the fingerprints by ``master``."""
        self._key = subkey(master, "fingerprint/v1")

    def take(self, method: str, path: str, body: Any, if_match: str | None) -> str:  # noqa: ANN401 - any JSON
        """Take the fingerprint of a request."""
        asked = canonical_json([method, path, body, if_match])
        return hmac.digest(self._key, asked, "sha256").hex()
