"""Nights to book: as many as one needs, none overlapping another."""

from datetime import UTC, datetime, timedelta

FIRST = datetime(2027, 5, 8, 20, tzinfo=UTC)
LENGTH = timedelta(hours=3, minutes=30)


def night(number: int = 0, *, length: timedelta = LENGTH) -> dict[str, str]:
    """Give the `start_time` and `end_time` of the numbered night, as they come back from the gateway."""
    start = FIRST + number * timedelta(days=1)
    return {"start_time": stamp(start), "end_time": stamp(start + length)}


def stamp(moment: datetime) -> str:
    """Write a time as the gateway does: UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
