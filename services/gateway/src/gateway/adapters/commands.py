"""Commands leave on Kafka."""

from asyncio import Future
from typing import Any

from gateway.application.ports import NotSentError
from production_contracts.envelope import KafkaRecord
from servicekit.kafka import KafkaUnavailableError, Producer


class KafkaCommands:
    """The command line on an idempotent producer."""

    def __init__(self, producer: Producer) -> None:
        """Send through ``producer``, which somebody else starts and stops."""
        self._producer = producer

    async def send(self, record: KafkaRecord) -> "Future[Any]":
        """Hand a record to the producer; see `ports.CommandLine`."""
        try:
            return await self._producer.send(record)
        except KafkaUnavailableError as error:
            raise NotSentError(str(error)) from error
