"""Text that every part can carry: no NUL (PostgreSQL has no place for it) and lengths in Unicode code points."""

import re
from functools import cache
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, StringConstraints, WithJsonSchema

_RFC_9562 = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")


def _refuse_other_forms(value: Any) -> Any:  # noqa: ANN401 - the validator of whatever a client sent
    if isinstance(value, UUID) or (isinstance(value, str) and _RFC_9562.match(value)):
        return value
    message = "an id is a UUID with hyphens, such as 018f0000-0000-7000-8000-000000000000"
    raise ValueError(message)


Id = Annotated[UUID, BeforeValidator(_refuse_other_forms)]
"""An id that a client names, in the form of RFC 9562, section 4; pydantic alone would mend other forms."""


def _refuse_nul(text: str) -> str:
    if "\x00" in text:
        message = "NUL characters are not accepted"
        raise ValueError(message)
    return text


def _refuse_blank(text: str) -> str:
    if not text.strip():
        message = "this text must not be blank"
        raise ValueError(message)
    return text


@cache
def _zones() -> frozenset[str]:
    """Read the names once: looking through the database takes hundreds of files, on the caller's event loop."""
    return frozenset(available_timezones())


def _refuse_unknown_zone(name: str) -> str:
    if name not in _zones():
        message = "not a time zone of the IANA database, such as Europe/Berlin"
        raise ValueError(message)
    return name


_ADDRESS = r"^[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,255}$"
"""Two parts around one ``@``, each as long as RFC 5321, section 4.5.3.1, lets it be."""
_NUMBER = r"^\+?\(?([0-9][ ()./-]*){3,20}$"
_IS_ADDRESS = re.compile(_ADDRESS.replace("$", r"\Z"))
_IS_NUMBER = re.compile(_NUMBER.replace("$", r"\Z"))


def _refuse_other_addresses(text: str) -> str:
    if not _IS_ADDRESS.match(text):
        message = "an address is local@domain without spaces, such as ana@example.org"
        raise ValueError(message)
    return text


def _refuse_other_numbers(text: str) -> str:
    if not _IS_NUMBER.match(text):
        message = "a number is 3 to 20 digits, with + before and spaces or ()./- between them, such as +49 30 12345678"
        raise ValueError(message)
    return text


_Clean = AfterValidator(_refuse_nul)

Title = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=200), _Clean, AfterValidator(_refuse_blank)
]
Venue = Annotated[str, StringConstraints(strict=True, max_length=200), _Clean]
Notes = Annotated[str, StringConstraints(strict=True, max_length=10_000), _Clean]
Reason = Annotated[str, StringConstraints(strict=True, max_length=1_000), _Clean]
ArtistName = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=200), _Clean, AfterValidator(_refuse_blank)
]
TimeZone = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=64),
    _Clean,
    AfterValidator(_refuse_unknown_zone),
]
ContactName = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=200), _Clean, AfterValidator(_refuse_blank)
]
EmailAddress = Annotated[
    str,
    StringConstraints(strict=True, max_length=320),
    AfterValidator(_refuse_other_addresses),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": 320,
            "pattern": _ADDRESS,
            "description": "local@domain, without spaces",
            "examples": ["ana@example.org"],
        }
    ),
]
"""An address to write to, kept as given. Only its shape is looked at: whether it can be reached, no pattern tells."""

PhoneNumber = Annotated[
    str,
    StringConstraints(strict=True, max_length=40),
    AfterValidator(_refuse_other_numbers),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": 40,
            "pattern": _NUMBER,
            "description": "3 to 20 digits, + before and spaces or ()./- between them",
            "examples": ["+49 30 12345678"],
        }
    ),
]
"""A number to call, kept as people write it, best as E.164: 3 to 20 digits, as prefixes come on top of its 15."""
