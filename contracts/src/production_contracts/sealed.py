"""Sensitive fields: marked here, sealed by the gateway, copied as ciphertext by everything behind it."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

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


def sensitive_fields(model: type[BaseModel]) -> dict[str, type]:
    """Name what is marked `Sensitive` in a model and the objects in it, by path, with the type of each value.

    ``{"notes": str, "fee.amount": int}``; objects in lists are not looked into.
    """
    return dict(_marked(model))


def withheld(model: type[BaseModel]) -> frozenset[str]:
    """Name the fields of a model to leave out for whoever may see nothing sensitive: an object goes as a whole."""
    return frozenset(path.partition(".")[0] for path in sensitive_fields(model))


def _marked(model: type[BaseModel]) -> Iterator[tuple[str, type]]:
    for name, field in model.model_fields.items():
        for kind in _kinds(field.annotation):
            if any(isinstance(mark, Sensitive) for mark in field.metadata):
                yield name, kind
            elif issubclass(kind, BaseModel):
                yield from ((f"{name}.{path}", inner) for path, inner in _marked(kind))


def _kinds(annotation: Any) -> Iterator[type]:  # noqa: ANN401 - whatever stands beside a field's name
    """Give the types that a field may have, besides null."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif origin in {Union, UnionType}:
        for part in get_args(annotation):
            yield from _kinds(part)
    elif isinstance(annotation, type) and annotation is not NoneType and origin is None:
        yield annotation
