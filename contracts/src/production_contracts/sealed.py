"""Sensitive fields: marked here, sealed by the gateway, copied as ciphertext by everything behind it."""

from dataclasses import dataclass

from pydantic import BaseModel

from production_contracts.records import Record


@dataclass(frozen=True, kw_only=True)
class Sensitive:
    """Marks a field of a REST model: it travels as `Sealed` behind the gateway and never reaches a socket."""


SENSITIVE = Sensitive()


class Sealed(Record):
    """A sealed value: which key, and the ciphertext (base64url of nonce and AES-256-GCM output)."""

    kid: str
    ct: str


def sensitive_fields(model: type[BaseModel]) -> frozenset[str]:
    """Name the fields of a model that are marked `Sensitive`."""
    return frozenset(
        name for name, field in model.model_fields.items() if any(isinstance(m, Sensitive) for m in field.metadata)
    )
