"""Dead letters: the headers that say why and where from, and the lines of ``deadletters.audit.v1``.

A dead letter is known by where its record stood: its topic, partition and offset. The same record may have been put
aside more than once (by each service that reads the topic, or again after an outage): that is one letter still.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, Self

from pydantic import Field

from production_contracts.envelope import Headers, KafkaRecord, UnreadableError, cloud_headers
from production_contracts.records import Record
from production_contracts.times import Timestamp, format_timestamp
from production_contracts.topics import DEAD_LETTER_AUDIT

AUDIT_TYPE: Final = "production.deadletter.decided.v1"
REASON: Final = "dlq_reason"
TOPIC: Final = "dlq_topic"
PARTITION: Final = "dlq_partition"
OFFSET: Final = "dlq_offset"
TIME: Final = "dlq_time"
SERVICE: Final = "dlq_service"
PREFIX: Final = "dlq_"
LONGEST_REASON: Final = 1000


class Origin(Record):
    """Where a record stood when it was put aside."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        """Write it as operators do: ``topic/partition/offset``."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `__str__` writes.

        Raises:
            ValueError: it is not that.
        """
        topic, partition, offset = text.split("/")
        return cls(topic=topic, partition=int(partition), offset=int(offset))

    @classmethod
    def read(cls, headers: Mapping[str, bytes]) -> Self:
        """Read it from the headers of a dead letter.

        Raises:
            UnreadableError: they are not those of a dead letter.
        """
        try:
            return cls(topic=headers[TOPIC].decode(), partition=int(headers[PARTITION]), offset=int(headers[OFFSET]))
        except (KeyError, ValueError) as error:
            message = f"no dead letter of ours: {error!r}"
            raise UnreadableError(message) from None


class DeadLetterDecision(Record):
    """The value of a record on ``deadletters.audit.v1``: what an operator decided on a dead letter, once for all."""

    origin: Origin
    action: Literal["redriven", "discarded"]
    operator: str = Field(description="Who, as named on the command line")
    service: str = Field(description="With whose tool")
    at: Timestamp
    reason: str = Field(description="Why it had been put aside")
    command_id: str | None = Field(default=None, description="The command it was, if it was one")
    mended: str | None = Field(default=None, description="SHA-256 of the value sent in place of the one put aside")


def put_aside_headers(headers: Headers, origin: Origin, *, reason: str, service: str, now: datetime) -> Headers:
    """Write the headers of a dead letter: the record's, and why, where from, when and by whom it was put aside."""
    own = {
        REASON: reason[:LONGEST_REASON],
        TOPIC: origin.topic,
        PARTITION: str(origin.partition),
        OFFSET: str(origin.offset),
        TIME: format_timestamp(now),
        SERVICE: service,
    }
    return [*original_headers(headers), *((name, value.encode()) for name, value in own.items())]


def original_headers(headers: Headers) -> Headers:
    """Give the headers that a record had before it was put aside."""
    return [(name, value) for name, value in headers if not name.startswith(PREFIX)]


def audit_record(decision: DeadLetterDecision, key: bytes) -> KafkaRecord:
    """Write a decision as a record, under the key of the dead letter."""
    attributes = {
        "id": str(decision.origin),
        "source": f"/production/{decision.service}",
        "type": AUDIT_TYPE,
        "subject": str(decision.origin),
        "time": format_timestamp(decision.at),
    }
    return KafkaRecord(
        topic=DEAD_LETTER_AUDIT.name,
        key=key,
        value=decision.model_dump_json().encode(),
        headers=cloud_headers(attributes),
    )
