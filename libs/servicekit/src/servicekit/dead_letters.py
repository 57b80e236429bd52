"""Putting records aside: whole, with the reason and where they stood, and no more of them than a limit allows.

A few dead letters are faults of a few records. Many in a row, or many among the last, are a fault of ours (a release
that can't read what the last one wrote, a broken handler), and each record that follows would only join them: then the
consumer stops, and stands where it is until an operator has looked (see ``docs/how-to/operate.md``).
"""

from collections import OrderedDict, deque
from dataclasses import dataclass

import structlog
from prometheus_client import Counter

from production_contracts.dead_letters import Origin, put_aside_headers
from production_contracts.envelope import KafkaRecord
from production_contracts.topics import DEAD_LETTER_SUFFIX
from servicekit.clock import now
from servicekit.kafka import ConsumerStoppedError, Producer, Record
from servicekit.settings import DeadLetterSettings

WINDOW = 1_000
"""The ratio is that of the last so many records of a partition."""
REMEMBERED = 10_000
"""So many letters are remembered, so that a batch which comes again does not put them aside again."""

DEAD_LETTERS = Counter("consumer_dead_letters_total", "Records put aside because they can't be handled", ["topic"])

log = structlog.get_logger(__name__)

Place = tuple[str, int]
"""A topic and a partition of it."""


class TooManyDeadLettersError(ConsumerStoppedError):
    """More records can't be handled than a few: nothing is put aside any more, the consumer stops."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """How many records of a partition may be put aside: so many in a row, and this part of the last 1,000."""

    in_a_row: int = 50
    ratio: float = 0.1

    @classmethod
    def of(cls, settings: DeadLetterSettings) -> "Limit":
        """Take it from a service's settings."""
        return cls(in_a_row=settings.dead_letters_in_a_row, ratio=settings.dead_letters_ratio)

    def exceeded(self, offsets: "deque[int]") -> str | None:
        """Say what is exceeded by dead letters at these offsets, in order; None: nothing is."""
        last = offsets[-1]
        if len(offsets) > self.in_a_row and last - offsets[-self.in_a_row - 1] == self.in_a_row:
            return f"more than {self.in_a_row} in a row"
        if sum(offset > last - WINDOW for offset in offsets) > self.ratio * WINDOW:
            return f"more than {self.ratio:.0%} of the last {WINDOW:,} records"
        return None


class DeadLetters:
    """Puts what can't be handled on the dead-letter topic of its topic, within a limit for each partition."""

    def __init__(self, producer: Producer, service: str, limit: Limit | None = None) -> None:
        """Write through ``producer`` for a ``service``; without a ``limit``, the default one holds."""
        self._producer = producer
        self._service = service
        self._limit = limit or Limit()
        self._offsets: dict[Place, deque[int]] = {}
        self._done: OrderedDict[tuple[str, int, int], None] = OrderedDict()

    async def put(self, record: Record, reason: str) -> None:
        """Put a record aside, and wait until Kafka has it; once, however often it is handed over.

        Raises:
            TooManyDeadLettersError: nothing was put aside; the consumer is to stop in front of the batch in hand.
            KafkaUnavailableError: nothing was put aside; hand the record over again.
            KafkaError: as above, though it may have been.
        """
        identity = (record.topic, record.partition, record.offset)
        if identity in self._done:
            return
        self._hold(record, reason)
        origin = Origin(topic=record.topic, partition=record.partition, offset=record.offset)
        await self._producer.send_and_wait(
            KafkaRecord(
                topic=record.topic + DEAD_LETTER_SUFFIX,
                key=record.key or b"",
                value=record.value or b"",
                headers=put_aside_headers(
                    list(record.headers), origin, reason=reason, service=self._service, now=now()
                ),
            )
        )
        self._remember(identity)
        DEAD_LETTERS.labels(topic=record.topic).inc()
        log.error("dead_letter", **origin.model_dump(), reason=reason[:200])

    def _hold(self, record: Record, reason: str) -> None:
        """Hold that this record, with those before it, is within the limit."""
        before = self._offsets.get((record.topic, record.partition), deque())
        exceeded = self._limit.exceeded(deque([*before, record.offset], maxlen=WINDOW))
        if exceeded is not None:
            place = f"{record.topic}/{record.partition}/{record.offset}"
            message = f"{exceeded} of a partition can't be handled; the last is {place}: {reason[:200]}"
            raise TooManyDeadLettersError(message)

    def _remember(self, identity: tuple[str, int, int]) -> None:
        topic, partition, offset = identity
        self._offsets.setdefault((topic, partition), deque(maxlen=WINDOW)).append(offset)
        self._done[identity] = None
        if len(self._done) > REMEMBERED:
            self._done.popitem(last=False)
