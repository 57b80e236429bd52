"""Text that every part can carry: no NUL (PostgreSQL has no place for it) and lengths in Unicode code points."""

from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, StringConstraints


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
