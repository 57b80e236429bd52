"""The clock: the one place where a service asks what time it is."""

from datetime import UTC, datetime

from production_contracts.times import truncate_to_milliseconds


def now() -> datetime:
    """Tell the time, in UTC, to the millisecond."""
    return truncate_to_milliseconds(datetime.now(UTC))
