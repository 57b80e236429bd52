"""Events from Kafka: the one consumer of the group keeps them as recent and tells every instance that has sockets."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol
from uuid import UUID

from opentelemetry.trace import SpanKind

from notifications.application.messages import live_event
from notifications.application.ports import Recent
from notifications.domain.positions import LARGEST, LiveEvent
from production_contracts.envelope import UnreadableError, read_event
from production_contracts.topics import BOOKING_EVENTS, TENANCY_EVENTS
from servicekit import tracing
from servicekit.kafka import Record

TOPICS: Final = (BOOKING_EVENTS.name, TENANCY_EVENTS.name)
GROUP: Final = "notifications"


class DeadLetters(Protocol):
    """Takes records that can't be handled."""

    async def put(self, record: Record, reason: str) -> None:
        """Put a record aside; raises where it could not."""


class EventRecords:
    """Handles batches of event records."""

    def __init__(self, recent: Recent, dead_letters: DeadLetters) -> None:
        """Publish to ``recent``; what is no event goes to ``dead_letters``."""
        self._recent = recent
        self._dead_letters = dead_letters

    async def handle(self, records: Sequence[Record]) -> None:
        """Publish the events of a batch, then put aside what is none; a type that is not known yet is left to others.

        Raises:
            RecentUnavailableError: Redis is away; the batch is to come again, nothing was put aside.
            Exception: what the dead letters raise; the batch is to come again.
        """
        received: list[tuple[UUID, LiveEvent]] = []
        unreadable: list[tuple[Record, str]] = []
        for record in records:
            try:
                one = _read(record)
            except UnreadableError as error:
                unreadable.append((record, str(error)))
                continue
            except Exception as error:  # noqa: BLE001 - reading asks nobody: whatever is raised, the record is the reason
                unreadable.append((record, f"{type(error).__name__}: {error}"))
                continue
            if one is not None:
                received.append(one)
        if received:
            await self._publish(received)
        for record, reason in unreadable:
            await self._dead_letters.put(record, reason)

    async def _publish(self, received: Sequence[tuple[UUID, LiveEvent]]) -> None:
        batch: dict[tuple[UUID, str], list[LiveEvent]] = {}
        named = [(f"publish {event.stream}", event.traceparent) for _, event in received]
        with tracing.each(SpanKind.CONSUMER, named) as traceparents:
            for (tenant_id, event), traceparent in zip(received, traceparents, strict=True):
                told = replace(event, traceparent=traceparent)
                batch.setdefault((tenant_id, event.stream), []).append(told)
            await self._recent.publish(batch)


def _read(record: Record) -> tuple[UUID, LiveEvent] | None:
    received = read_event(record.key, record.value, record.headers)
    if received is None:
        return None
    if not 1 <= received.position <= LARGEST:
        message = "the position is out of range"
        raise UnreadableError(message)
    event = live_event(received.event)
    return received.tenant_id, replace(event, traceparent=tracing.traceparent_of(record.headers))
