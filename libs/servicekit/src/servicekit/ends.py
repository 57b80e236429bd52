"""How far a topic reaches."""

import asyncio
from collections.abc import Collection

from aiokafka import AIOKafkaConsumer, TopicPartition

from servicekit.access import KafkaAccess
from servicekit.kafka import REQUEST_TIMEOUT_MS


class TopicEnds:
    """Tells the end offsets of partitions, over a connection of its own.

    Asked over the connection of a consumer that follows the topic, the question waits behind that consumer's long poll
    for records: half a second where nothing happens.
    """

    def __init__(self, kafka: KafkaAccess | str, client_id: str) -> None:
        """Connect when first asked."""
        self._access = KafkaAccess.of(kafka)
        self._client_id = client_id
        self._consumer: AIOKafkaConsumer | None = None
        self._connecting = asyncio.Lock()

    async def start(self) -> None:
        """Begin; the connection is made when it is first needed."""

    async def stop(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def of(self, topic: str, partitions: Collection[int]) -> dict[int, int]:
        """Tell the offset that the next record of each partition will get.

        Raises:
            KafkaError: it can't be said now.
        """
        consumer = await self._connected()
        asked = [TopicPartition(topic, partition) for partition in partitions]
        return {of.partition: end for of, end in (await consumer.end_offsets(asked)).items()}

    async def _connected(self) -> AIOKafkaConsumer:
        async with self._connecting:
            if self._consumer is None:
                consumer = AIOKafkaConsumer(
                    **self._access.options(),
                    client_id=self._client_id,
                    enable_auto_commit=False,
                    request_timeout_ms=REQUEST_TIMEOUT_MS,
                )
                try:
                    await consumer.start()
                except BaseException:
                    await consumer.stop()
                    raise
                self._consumer = consumer
            return self._consumer
