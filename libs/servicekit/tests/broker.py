"""What the tests on Kafka stand on: topics of one's own on the shared broker, and waiting for a condition."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from production_contracts.envelope import Headers, KafkaRecord
from production_contracts.topics import DEAD_LETTER_SUFFIX
from servicekit.kafka import Consumers, Producer, Record

DEADLINE_S = 60.0


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str) -> None:
    """Return once a condition holds; an AssertionError where it does not in time."""
    deadline = asyncio.get_running_loop().time() + DEADLINE_S
    while True:
        holds = condition()
        if holds if isinstance(holds, bool) else await holds:
            return
        assert asyncio.get_running_loop().time() < deadline, f"in vain: {what}"
        await asyncio.sleep(0.01)


@dataclass
class Broker:
    """A Kafka that others use too."""

    bootstrap: str
    producer: Producer
    _started: list[Consumers] = field(default_factory=list)

    async def topic(self, partitions: int = 1, **settings: str) -> str:
        """Make a topic, and the one of its dead letters; `settings` with underscores for dots."""
        name = f"test-{uuid4().hex}"
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            names = (name, name + DEAD_LETTER_SUFFIX)
            configs = {setting.replace("_", "."): value for setting, value in settings.items()}
            made = [NewTopic(one, partitions, replication_factor=1, topic_configs=configs) for one in names]
            await admin.create_topics(made)
        finally:
            await admin.close()
        return name

    async def send(
        self, topic: str, *values: bytes, partition: int = 0, key: bytes = b"k", headers: Headers | None = None
    ) -> None:
        """Send values, one after the other."""
        for value in values:
            await self.producer.send_and_wait(
                KafkaRecord(topic=topic, key=key, value=value, headers=headers or [], partition=partition)
            )

    async def read(self, topic: str, count: int) -> list[Record]:
        """Read the first records of a topic, partition by partition."""
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            async with asyncio.timeout(DEADLINE_S):
                return [await consumer.getone() for _ in range(count)]
        finally:
            await consumer.stop()

    async def ends(self, topic: str) -> list[int]:
        """Tell how many records each partition of a topic holds."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap)
        await consumer.start()
        try:
            partitions = sorted(await self.producer.partitions(topic))
            asked = [TopicPartition(topic, partition) for partition in partitions]
            found = await consumer.end_offsets(asked)
            return [found[partition] for partition in asked]
        finally:
            await consumer.stop()

    async def committed(self, group: str, topic: str) -> int:
        """Tell up to where a group has committed the first partition of a topic."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, group_id=group, enable_auto_commit=False)
        await consumer.start()
        try:
            return await consumer.committed(TopicPartition(topic, 0)) or 0
        finally:
            await consumer.stop()

    def consumers(self) -> Consumers:
        """Make consumers; they are stopped at the end of the test."""
        made = Consumers(self.bootstrap, f"test-{len(self._started)}", 1)
        self._started.append(made)
        return made

    async def stop(self) -> None:
        """Stop what was made."""
        await asyncio.gather(*(consumers.stop() for consumers in self._started))


class Taken:
    """A handler: fails as often as it is told to, and stands still while it is told to."""

    def __init__(self) -> None:
        """Let everything pass."""
        self.records: list[Record] = []
        self.batches: list[list[bytes | None]] = []
        self.handled: list[bytes | None] = []
        self.failures = 0
        self.go = asyncio.Event()
        self.go.set()

    @property
    def values(self) -> list[bytes | None]:
        """What has arrived."""
        return [value for batch in self.batches for value in batch]

    async def __call__(self, records: Sequence[Record]) -> None:
        """Take a batch."""
        self.records.extend(records)
        self.batches.append([record.value for record in records])
        await self.go.wait()
        if self.failures:
            self.failures -= 1
            message = "an outage"
            raise ConnectionError(message)
        self.handled.extend(record.value for record in records)
