"""The secrets of one local stack: made once, kept with its data, and good for nothing else."""

import base64
import hashlib
import hmac
import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self


def _password() -> str:
    return secrets.token_urlsafe(18)


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _webhook_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Passwords of the database roles, keys (32 random bytes in base64), and the secret of webhooks.

    ``seal_key`` is of before each tenant had keys of its own: a stack that has one opens with it what it sealed then.
    """

    postgres: str = field(default_factory=_password)
    booking_owner: str = field(default_factory=_password)
    booking_service: str = field(default_factory=_password)
    tenancy_owner: str = field(default_factory=_password)
    tenancy_service: str = field(default_factory=_password)
    kafka_key: str = field(default_factory=_key)
    redis_key: str = field(default_factory=_key)
    command_id_key: str = field(default_factory=_key)
    master_key: str = field(default_factory=_key)
    keys_secret: str = field(default_factory=_key)
    seal_key: str = ""
    webhook_secret: str = field(default_factory=_webhook_secret)

    @classmethod
    def kept_in(cls, file: Path) -> Self:
        """Read the secrets, or make and keep them; only the owner may read the file."""
        known = json.loads(file.read_text()) if file.exists() else {}
        credentials = cls(**known)
        if asdict(credentials) != known:
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as kept:
                json.dump(asdict(credentials), kept, indent=2)
        return credentials

    def of_role(self, role: str) -> str:
        """Give the password of a database role."""
        password = getattr(self, role)
        return str(password)

    def of_principal(self, principal: str) -> str:
        """Give the password of a principal of Kafka: made from one key, so that a new principal has one too."""
        return hmac.digest(self.kafka_key.encode(), principal.encode(), hashlib.sha256).hex()

    def of_redis_user(self, user: str) -> str:
        """Give the password of a user of Redis, made the same way."""
        return hmac.digest(self.redis_key.encode(), user.encode(), hashlib.sha256).hex()
