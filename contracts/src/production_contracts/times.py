"""Points in time: RFC 3339 in, UTC with milliseconds and ``Z`` out.

Source: RFC 3339, section 5.6. Finer fractions than milliseconds, numbers, and a space for the ``T`` are refused.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
LONGEST = timedelta(days=366)

PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,3})?(Z|[+-][0-2][0-9]:[0-5][0-9])$"
_RFC_3339 = re.compile(PATTERN.replace("$", r"\Z"))


def parse_timestamp(value: Any) -> datetime:  # noqa: ANN401 - the validator of whatever a client sent
    """Read a time of the years 1900 to 2200, to the millisecond, with an offset; the result is in UTC.

    Raises:
        ValueError: it is not such a time; the message says what one looks like.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None or value.microsecond % 1000:
            message = "a time needs an offset and at most milliseconds"
            raise ValueError(message)
        moment = _in_utc(value)
    elif isinstance(value, str) and _RFC_3339.match(value):
        try:
            moment = _in_utc(datetime.fromisoformat(value))
        except ValueError:
            message = "there is no such time"
            raise ValueError(message) from None
    else:
        message = "a time is RFC 3339 with an offset and at most milliseconds, such as 2027-05-08T20:00:00.000Z"
        raise ValueError(message)
    if not EARLIEST <= moment <= LATEST:
        message = "a time lies in the years 1900 to 2200"
        raise ValueError(message)
    return moment


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        message = "there is no such time"  # in UTC it lies outside of the years 1 to 9999
        raise ValueError(message) from None


def format_timestamp(moment: datetime) -> str:
    """Write a time in UTC with milliseconds and ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"  # faster than strftime


def truncate_to_milliseconds(moment: datetime) -> datetime:
    """Drop what is finer than the contract carries."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


Timestamp = Annotated[
    datetime,
    BeforeValidator(parse_timestamp),
    PlainSerializer(format_timestamp, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "pattern": PATTERN,
            "description": "RFC 3339 with an offset, to the millisecond, years 1900 to 2200",
            "examples": ["2027-05-08T20:00:00.000Z"],
        },
    ),
]
"""A point in time, aware, in UTC, to the millisecond."""


def check_range(start_time: datetime, end_time: datetime) -> None:
    """Hold that a half-open range ``[start, end)`` is not empty and at most 366 days long.

    Raises:
        ValueError: it is empty, reversed or too long.
    """
    if start_time >= end_time:
        message = "start_time must lie before end_time"
        raise ValueError(message)
    if end_time - start_time > LONGEST:
        message = "a range is at most 366 days long"
        raise ValueError(message)
