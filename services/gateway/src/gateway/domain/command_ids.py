"""Command ids as clients see them: recognisable, without a look-up, as issued by us for this tenant and service.

``<service>-<base64url of the UUID's 16 bytes and 14 bytes of HMAC-SHA256 over tenant, service and UUID>``
"""

import base64
import binascii
import hmac
from uuid import UUID

from gateway.domain.subkeys import subkey

MAC_BYTES = 14
_TEXT_LENGTH = (16 + MAC_BYTES) * 4 // 3


class CommandIds:
    """Writes and reads command ids under one key."""

    def __init__(self, master: bytes) -> None:
        """Key the ids by ``master``."""
        self._key = subkey(master, "command-id/v1")

    def write(self, command_id: UUID, tenant_id: UUID, service: str) -> str:
        """Write a command's id for its tenant."""
        raw = command_id.bytes + self._mac(command_id, tenant_id, service)
        return f"{service}-{base64.urlsafe_b64encode(raw).decode()}"

    def read(self, text: str, tenant_id: UUID) -> tuple[UUID, str] | None:
        """Give the command and the service it went to; None: we did not issue this id to this tenant."""
        service, _, encoded = text.partition("-")
        if len(encoded) != _TEXT_LENGTH or not text.isascii():
            return None
        try:
            raw = base64.b64decode(encoded, altchars=b"-_", validate=True)
        except binascii.Error:
            return None
        command_id = UUID(bytes=raw[:16])
        if not hmac.compare_digest(raw[16:], self._mac(command_id, tenant_id, service)):
            return None
        return command_id, service

    def _mac(self, command_id: UUID, tenant_id: UUID, service: str) -> bytes:
        named = tenant_id.bytes + command_id.bytes + service.encode()
        return hmac.digest(self._key, named, "sha256")[:MAC_BYTES]
