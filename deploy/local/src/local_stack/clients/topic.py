"""Somebody who reads a topic of events with a plain Kafka consumer."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition

from local_stack.clients.waiting import PATIENCE_SECONDS
from servicekit.access import KafkaAccess

_POLL_MS = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A record of an events topic."""

    key: str
    headers: Mapping[str, str]
    value: bytes
    event: Any

    @property
    def position(self) -> int:
        """Where it stands in its tenant's stream."""
        return int(self.headers["ce_position"])


class Topic:
    """Reads a topic without a group; an async context manager."""

    def __init__(self, kafka: KafkaAccess | str, name: str) -> None:
        """Read the topic `name`."""
        self.name = name
        self._consumer = AIOKafkaConsumer(
            name,
            group_id=None,
            **KafkaAccess.of(kafka).options(),
            enable_auto_commit=False,
            request_timeout_ms=int(PATIENCE_SECONDS * 1000),
        )
        self._begin: dict[TopicPartition, int] = {}

    async def from_here(self) -> None:
        """Let `read` begin at what is written from now on; otherwise it begins at the beginning."""
        self._begin = await self._consumer.end_offsets(self._consumer.assignment())

    async def records(self) -> list[Published]:
        """Read every event up to the present end, repeats included."""
        return [_published(record) for record in await self.raw()]

    async def raw(self) -> list[Any]:
        """Read every record up to the present end as it is, as aiokafka gives it."""
        partitions = self._consumer.assignment()
        begin = self._begin or await self._consumer.beginning_offsets(partitions)
        end = await self._consumer.end_offsets(partitions)
        for partition in partitions:
            self._consumer.seek(partition, begin[partition])
        waiting = {partition for partition in partitions if begin[partition] < end[partition]}
        found: list[Any] = []
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while waiting:
            if asyncio.get_running_loop().time() > deadline:
                message = f"{PATIENCE_SECONDS:g} s were not enough to read {self.name}"
                raise TimeoutError(message)
            for records in (await self._consumer.getmany(*waiting, timeout_ms=_POLL_MS)).values():
                found += records
            # By position, not by the last record: markers and deleted records take offsets too.
            waiting = {partition for partition in waiting if await self._consumer.position(partition) < end[partition]}
        return found

    async def of_tenant(self, tenant_id: str | UUID) -> list[Published]:
        """Read a tenant's events up to the present end, in order, without those at positions already seen."""
        seen = 0
        found: list[Published] = []
        for record in await self.records():
            if record.key == str(tenant_id) and record.position > seen:
                seen = record.position
                found.append(record)
        return found

    async def __aenter__(self) -> Self:
        """Connect."""
        try:
            await self._consumer.start()
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Go."""
        await self._consumer.stop()


def _published(record: Any) -> Published:  # noqa: ANN401 - aiokafka ships no types
    headers = {name: value.decode() for name, value in record.headers}
    return Published(key=record.key.decode(), headers=headers, value=record.value, event=json.loads(record.value))
