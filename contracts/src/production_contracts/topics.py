"""The Kafka topics, declared once; one job creates them and nothing else does.

The key of every record is the tenant id as text, so that all of a tenant is in order. Partitions are never changed
after a topic was created: keys would move.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

FOR_EVER: Final = -1
PARTITIONS_LOCAL: Final = 12
PARTITIONS_PRODUCTION: Final = 48
DEAD_LETTER_SUFFIX: Final = ".dlq"
LARGEST_RECORD: Final = 1024 * 1024
LARGEST_MESSAGE: Final = 512 * 1024
"""Value and headers of a message of ours, in bytes: twice the largest body of a request. What is larger is not read."""
LARGEST_DEAD_LETTER: Final = LARGEST_RECORD + 64 * 1024
"""Room for the headers that say why and where from."""


@dataclass(frozen=True, kw_only=True)
class Topic:
    """A topic: for how long it keeps a record (milliseconds; -1: for ever), and how large one may be (bytes)."""

    name: str
    retention_ms: int
    largest_record_bytes: int = LARGEST_RECORD

    @property
    def dead_letters(self) -> str:
        """Name of the topic that takes what could not be handled."""
        return self.name + DEAD_LETTER_SUFFIX


def _days(days: int) -> int:
    return int(timedelta(days=days).total_seconds() * 1000)


BOOKING_COMMANDS: Final = Topic(name="booking.commands.v1", retention_ms=_days(7))
BOOKING_EVENTS: Final = Topic(name="booking.events.v1", retention_ms=FOR_EVER)
TENANCY_COMMANDS: Final = Topic(name="tenancy.commands.v1", retention_ms=_days(7))
TENANCY_EVENTS: Final = Topic(name="tenancy.events.v1", retention_ms=FOR_EVER)
GATEWAY_REPLIES: Final = Topic(name="gateway.replies.v1", retention_ms=60 * 60 * 1000)

TOPICS: Final = (BOOKING_COMMANDS, BOOKING_EVENTS, TENANCY_COMMANDS, TENANCY_EVENTS, GATEWAY_REPLIES)
DEAD_LETTER_TOPICS: Final = tuple(
    Topic(name=topic.dead_letters, retention_ms=FOR_EVER, largest_record_bytes=LARGEST_DEAD_LETTER) for topic in TOPICS
)
DEAD_LETTER_AUDIT: Final = Topic(name="deadletters.audit.v1", retention_ms=FOR_EVER)
"""What operators decided on dead letters: a letter with a line here is done."""
ALL_TOPICS: Final = (*TOPICS, *DEAD_LETTER_TOPICS, DEAD_LETTER_AUDIT)

COMMANDS_OF: Final = {"booking": BOOKING_COMMANDS, "tenancy": TENANCY_COMMANDS}
EVENTS_OF: Final = {"booking": BOOKING_EVENTS, "tenancy": TENANCY_EVENTS}
