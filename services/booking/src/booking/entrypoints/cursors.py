"""Cursors: where a list goes on, in a form that is nobody's business but ours."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from booking.adapters.bookings import Filters
from booking.adapters.history import Place
from production_contracts.times import format_timestamp, parse_timestamp
from servicekit.owner_api import LARGEST_POSITION
from servicekit.problems import ProblemError, invalid_request

LARGEST_VERSION: Final = 2**31 - 1


def write(start: datetime, booking_id: UUID) -> str:
    """Write where a list of the present goes on after a booking."""
    return _encode([format_timestamp(start), str(booking_id)])


def read(cursor: str) -> tuple[datetime, UUID]:
    """Read what `write` wrote.

    Raises:
        ProblemError: `invalid-request`: it is none.
    """
    try:
        start, booking_id = _decode(cursor)
        return parse_timestamp(start), UUID(booking_id)
    except (ValueError, TypeError, AttributeError, binascii.Error):
        raise _none_of_ours() from None


@dataclass(frozen=True, kw_only=True, slots=True)
class PastList:
    """A list of bookings as they were: what was asked, which a cursor of it is bound to."""

    as_of: datetime
    filters: Filters

    def write(self, position: int, place: Place) -> str:
        """Write where the list goes on; all its pages are read up to one position, that of the first."""
        return _encode([place.starts, str(place.booking_id), place.version, position, self._digest()])

    def read(self, cursor: str) -> tuple[int, Place]:
        """Read what `write` wrote: the position, and where to go on.

        Raises:
            ProblemError: `invalid-request`: it is none, or of another list.
        """
        try:
            starts, booking_id, version, position, digest = _decode(cursor)
            place = Place(
                starts=format_timestamp(parse_timestamp(starts)),
                booking_id=UUID(booking_id),
                version=_number(version, LARGEST_VERSION),
            )
            position = _number(position, LARGEST_POSITION)
        except (ValueError, TypeError, AttributeError, binascii.Error):
            raise _none_of_ours() from None
        if digest != self._digest():
            raise _none_of_ours()
        return position, place

    def _digest(self) -> str:
        asked = self.filters
        times = [None if time is None else format_timestamp(time) for time in (self.as_of, asked.since, asked.until)]
        written = orjson.dumps([*times, asked.artist_id, asked.status])
        return hashlib.blake2b(written, digest_size=8).hexdigest()


def _encode(parts: Sequence[str | int]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def _decode(cursor: str) -> Any:  # noqa: ANN401 - whatever a client sent
    return orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))


def _number(value: Any, largest: int) -> int:  # noqa: ANN401 - whatever a client sent
    if type(value) is not int or not 0 <= value <= largest:
        message = "not a number that we wrote"
        raise ValueError(message)
    return value


def _none_of_ours() -> ProblemError:
    detail = "not a cursor of this list: take next_cursor of the page before, and ask the same"
    return invalid_request([{"pointer": "#/query/cursor", "detail": detail}])
