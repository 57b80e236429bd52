"""The two bases of every record: what we are asked (strict) and what we say to each other (growing)."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Request(BaseModel):
    """What a client sends us: unknown fields are refused, nothing is mended."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=False)


class Record(BaseModel):
    """What services and clients read from us: frozen, and deaf to fields that a newer writer added."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def without_default(schema: dict[str, Any]) -> None:
    """Leave the default out of a field's schema: absent, the field is not set, and its default means nothing."""
    del schema["default"]
