"""What stands on the dead-letter topics, and what operators have decided on it."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import UnknownTopicOrPartitionError
from pydantic import ValidationError

from production_contracts.dead_letters import (
    PREFIX,
    REASON,
    SERVICE,
    TIME,
    DeadLetterDecision,
    Origin,
    original_headers,
)
from production_contracts.envelope import Headers, UnreadableError
from production_contracts.topics import DEAD_LETTER_AUDIT, DEAD_LETTER_SUFFIX
from servicekit.kafka import REQUEST_TIMEOUT_MS

DEADLINE_S = 60.0
_POLL_MS = 500

Connection = Mapping[str, Any]
"""Where Kafka is and who asks, as aiokafka's clients take it."""


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A dead letter: the record as it was, why it was put aside, when and by whom (several services read a topic)."""

    origin: Origin
    key: bytes
    value: bytes
    headers: Headers
    reason: str
    put_aside_at: str
    services: set[str] = field(default_factory=set)
    times: int = 1

    @property
    def order(self) -> tuple[str, int, int]:
        """Where it stands among others: those of one key are in this order."""
        return self.origin.topic, self.origin.partition, self.origin.offset

    @property
    def tenant(self) -> str:
        """The tenant, as the key names it."""
        return self.key.decode(errors="replace")

    def header(self, name: str) -> str | None:
        """Give a header of the record as text; of a repeated one the last counts."""
        found = [value for given, value in self.headers if given == name]
        return found[-1].decode(errors="replace") if found else None


class LetterBook:
    """The dead letters of some topics, without those that are decided, and all decisions by origin."""

    def __init__(self) -> None:
        """Begin empty; `read` fills it."""
        self.decisions: dict[Origin, DeadLetterDecision] = {}
        self._open: dict[Origin, Letter] = {}

    @property
    def open(self) -> list[Letter]:
        """Those undecided, in order."""
        return sorted(self._open.values(), key=lambda letter: letter.order)

    def before(self, letter: Letter) -> list[Letter]:
        """Those undecided that stood before a letter under its key, in order."""
        topic, partition, offset = letter.order
        return [
            one
            for one in self.open
            if one.key == letter.key and one.order[:2] == (topic, partition) and one.order[2] < offset
        ]

    @classmethod
    async def read(cls, connection: Connection, topics: Collection[str]) -> "LetterBook":
        """Read the dead letters of topics as they stand now.

        Raises:
            TimeoutError: Kafka stopped answering.
            KafkaError: Kafka said no.
        """
        book = cls()
        letters = [topic + DEAD_LETTER_SUFFIX for topic in topics]
        async with _consumer(connection, [DEAD_LETTER_AUDIT.name, *letters]) as consumer:
            async for record in _all(consumer, DEAD_LETTER_AUDIT.name):
                book._note(record)
            for topic in letters:
                async for record in _all(consumer, topic):
                    book._add(record)
        return book

    def _note(self, record: ConsumerRecord) -> None:
        try:
            decision = DeadLetterDecision.model_validate_json(record.value or b"")
        except ValidationError:
            return  # not written by this tool: it decides nothing
        self.decisions.setdefault(decision.origin, decision)

    def _add(self, record: ConsumerRecord) -> None:
        headers = dict(record.headers)
        try:
            origin = Origin.read(headers)
        except UnreadableError:  # somebody else's: shown under its own place, and goes nowhere when sent again
            origin = Origin(topic=record.topic, partition=record.partition, offset=record.offset)
        if origin in self.decisions:
            return
        service = headers.get(SERVICE, b"").decode(errors="replace")
        known = self._open.get(origin)
        services = ({service} if service else set()) | (known.services if known else set())
        self._open[origin] = Letter(
            origin=origin,
            key=record.key or b"",
            value=record.value or b"",
            headers=original_headers(list(record.headers)),
            reason=headers.get(REASON, f"no headers {PREFIX}*".encode()).decode(errors="replace"),
            put_aside_at=headers.get(TIME, b"").decode(errors="replace"),
            services=services,
            times=known.times + 1 if known else 1,
        )


@asynccontextmanager
async def _consumer(connection: Connection, topics: Collection[str]) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        *topics,
        **connection,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        request_timeout_ms=REQUEST_TIMEOUT_MS,
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def _all(consumer: AIOKafkaConsumer, topic: str) -> AsyncIterator[ConsumerRecord]:
    """Read a topic from its first record to where it ends now; a minute without a record is the deadline."""
    async with asyncio.timeout(DEADLINE_S) as deadline:
        partitions = [partition for partition in consumer.assignment() if partition.topic == topic]
        if not partitions:
            raise UnknownTopicOrPartitionError(topic)
        begin, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        for partition in partitions:
            consumer.seek(partition, begin[partition])
        # By position, not by the last record: what a transaction leaves behind takes an offset too.
        while ends := {p: end for p, end in ends.items() if await consumer.position(p) < end}:
            for records in (await consumer.getmany(*ends, timeout_ms=_POLL_MS)).values():
                deadline.reschedule(asyncio.get_running_loop().time() + DEADLINE_S)
                for record in records:
                    yield record
