"""Replies: who waits at a gateway is told the outcome of its command."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from aiokafka.errors import KafkaError
from sqlalchemy.exc import SQLAlchemyError

from production_contracts.commands import Command
from production_contracts.envelope import KafkaRecord, reply_record
from production_contracts.events import Stream
from production_contracts.outcomes import Outcome, Reply
from production_contracts.topics import GATEWAY_REPLIES
from servicekit.clock import now
from servicekit.kafka import KafkaUnavailableError, Producer
from servicekit.relay import Relay

PUBLICATION_DEADLINE_S = 60.0
MOST_AWAITED = 4096
"""Replies under way, or that wait for their events to be published; who would be one more asks for the command."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """A command with its outcome, committed."""

    command: Command
    status: int
    body: dict[str, Any]
    position: int


class Replies:
    """Sends replies, at most once each: a caller who misses one asks for the command."""

    def __init__(self, producer: Producer, relay: Relay, stream: Stream, *, after_publication: bool) -> None:
        """Reply through ``producer``; with ``after_publication`` once Kafka has acknowledged the command's events."""
        self._producer = producer
        self._relay = relay
        self._stream = stream
        self._after_publication = after_publication
        self._waiting: set[asyncio.Task[None]] = set()
        self._awaited = 0

    async def send(self, settled: Sequence[Settled]) -> None:
        """Send, in the background, the replies that somebody waits for."""
        awaited = [one for one in settled if one.command.reply_partition is not None]
        if not awaited:
            return
        if self._awaited + len(awaited) > MOST_AWAITED:
            log.warning("replies_given_up", count=len(awaited), error="too many are under way")
            return
        self._awaited += len(awaited)
        task = asyncio.create_task(self._send(awaited))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def stop(self) -> None:
        """Wait, within a deadline, for the replies under way."""
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=5.0)

    async def _send(self, awaited: Sequence[Settled]) -> None:
        try:
            if self._after_publication:
                await self._published(awaited)
            partitions = await self._producer.partitions(GATEWAY_REPLIES.name)
            lanes: dict[int, list[Settled]] = defaultdict(list)
            for one in awaited:
                if one.command.reply_partition in partitions:
                    lanes[one.command.reply_partition].append(one)
                else:
                    log.warning("reply_unaddressed", command_id=str(one.command.id))  # nobody listens there
            await asyncio.gather(*(self._send_lane(lane, replies) for lane, replies in lanes.items()))
        except (KafkaUnavailableError, TimeoutError, SQLAlchemyError, OSError) as error:
            log.warning("replies_given_up", count=len(awaited), error=repr(error))
        finally:
            self._awaited -= len(awaited)

    async def _published(self, awaited: Sequence[Settled]) -> None:
        positions: dict[UUID, int] = {}
        for one in awaited:
            tenant = one.command.tenant_id
            positions[tenant] = max(positions.get(tenant, 0), one.position)
        async with asyncio.timeout(PUBLICATION_DEADLINE_S):
            await self._relay.wait_published(positions)

    async def _send_lane(self, lane: int, replies: Sequence[Settled]) -> None:
        """Send the replies of one gateway together."""
        records = [self._record(one) for one in replies]
        try:
            while records:
                records = records[await self._producer.send_together(records, lane) :]
        except (KafkaUnavailableError, KafkaError, TimeoutError) as error:
            log.warning("replies_not_sent", count=len(records), error=repr(error))

    def _record(self, one: Settled) -> KafkaRecord:
        reply = Reply(
            command_id=one.command.id, outcome=Outcome(status=one.status, body=one.body), position=one.position
        )
        return reply_record(
            reply,
            tenant_id=one.command.tenant_id,
            partition=one.command.reply_partition or 0,
            source=self._stream,
            topic=GATEWAY_REPLIES.name,
            now=now(),
            traceparent=one.command.traceparent,
        )
