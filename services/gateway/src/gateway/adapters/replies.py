"""Outcomes come back on one partition of ``gateway.replies.v1``, this replica's own.

The partition is read from ``latest``, assigned and not subscribed: a reply is of use to who waits for it now; a caller
who misses it asks for the command. Two replicas on one partition do no harm: each ignores what it does not wait for.
"""

import asyncio
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from uuid import UUID

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from opentelemetry.trace import SpanKind
from prometheus_client import Gauge
from pydantic import ValidationError

from gateway.application.ports import CrowdedError
from production_contracts.envelope import tenant_key
from production_contracts.outcomes import Reply
from production_contracts.topics import GATEWAY_REPLIES
from servicekit import tracing
from servicekit.dead_letters import DeadLetters
from servicekit.kafka import Consumers, Record

ATTACH_POLL_SECONDS = 0.05

WAITING = Gauge("gateway_waiting_commands", "Writes that wait for their outcome")

_log = structlog.get_logger(__name__)


def partition_of(instance: str, partitions: int) -> int:
    """Choose the partition of a replica, the same after a restart."""
    return zlib.crc32(instance.encode()) % partitions


class KafkaReplies:
    """Hands replies to those who wait for them."""

    def __init__(self, consumers: Consumers, dead_letters: DeadLetters, partition: int, *, capacity: int) -> None:
        """Read ``partition`` through ``consumers``, for at most ``capacity`` waiting at once."""
        self._partition = partition
        self._capacity = capacity
        self._dead_letters = dead_letters
        self._waiting: dict[tuple[bytes, bytes], asyncio.Future[Reply]] = {}
        self._attached = False
        self._attaching: asyncio.Task[None] | None = None
        self._reading = consumers.assigned(GATEWAY_REPLIES.name, [partition], self.handle, start="latest")

    @property
    def partition(self) -> int:
        """The partition that is read."""
        return self._partition

    @property
    def attached(self) -> bool:
        """Whether the place to read from is settled, so that a reply sent from now on is seen."""
        return self._attached

    @property
    def waiting(self) -> int:
        """How many replies are looked out for."""
        return len(self._waiting)

    async def start(self) -> None:
        """Begin to settle the place to read from, and return at once."""
        self._attaching = asyncio.create_task(self._attach(), name="replies-attach")

    async def stop(self) -> None:
        """Stop settling it."""
        if self._attaching is not None:
            self._attaching.cancel()
            with suppress(asyncio.CancelledError):
                await self._attaching

    @contextmanager
    def expecting(self, tenant_id: UUID, command_id: UUID) -> Iterator["asyncio.Future[Reply]"]:
        """Look out for a reply; see `ports.ReplyLine`."""
        if len(self._waiting) >= self._capacity:
            raise CrowdedError
        key = (tenant_key(tenant_id), str(command_id).encode())
        outcome: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[key] = outcome
        WAITING.set(len(self._waiting))
        try:
            yield outcome
        finally:
            del self._waiting[key]
            WAITING.set(len(self._waiting))

    async def handle(self, records: Sequence[Record]) -> None:
        """Take replies from Kafka; one that can't be read goes to the dead letters."""
        for record in records:
            command_id = next((value for name, value in record.headers if name == "ce_id"), b"")
            outcome = self._waiting.get((record.key or b"", command_id))
            if outcome is None or outcome.done():
                continue
            received = ("receive outcome", tracing.traceparent_of(record.headers))
            with tracing.each(SpanKind.CONSUMER, [received]):
                try:
                    outcome.set_result(Reply.model_validate_json(record.value or b""))
                except ValidationError:
                    await self._dead_letters.put(record, "not a reply")

    async def _attach(self) -> None:
        """Wait until Kafka has said where ``latest`` is: before that, a reply could fall in front of it."""
        own = TopicPartition(GATEWAY_REPLIES.name, self._partition)
        while not self._attached:
            consumer = self._reading.consumer
            try:
                if consumer is not None and own in consumer.assignment():
                    async with asyncio.timeout(5):
                        await consumer.position(own)
                    self._attached = True
                    _log.info("replies attached", partition=self._partition)
            except (KafkaError, IllegalStateError, TimeoutError) as error:
                _log.warning("replies not attached yet", reason=repr(error))
            if not self._attached:
                await asyncio.sleep(ATTACH_POLL_SECONDS)
