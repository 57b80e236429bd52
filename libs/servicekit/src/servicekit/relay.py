"""The relay: what is in the event store goes to Kafka, in order, without an outbox table.

The events past ``streams.published`` are the outbox. One relay at a time works, by a lease; two at once would only
repeat positions, which readers drop. All events of a round that go to one partition travel as one Kafka batch, which is
written whole or not at all, and the next round starts after its acknowledgement: no event can overtake another.

What Kafka has acknowledged is known here at once, and marked in the database for many rounds together: a mark is a
commit, and takes the locks that decisions take. Whoever publishes after a crash repeats what was not marked.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy.exc import SQLAlchemyError

from production_contracts.envelope import KafkaRecord, event_record, tenant_key
from production_contracts.events import Stream
from production_contracts.topics import EVENTS_OF
from servicekit import journal, tracing
from servicekit.database import Database
from servicekit.journal import Behind
from servicekit.kafka import Producer, partition_of

LEASE_SECONDS = 10.0
POLL_SECONDS = 0.05
STANDBY_SECONDS = 1.0
MARK_SECONDS = 0.1
"""How long it may take until what Kafka has acknowledged is marked as published."""
TENANTS_A_ROUND = 200
EVENTS_A_TENANT = 200
_TENANTS_A_LOOK = 2_000
"""The age of what is unpublished is looked up among so many tenants."""
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0

PUBLISHED = Counter("events_published_total", "Events acknowledged by Kafka", ["stream"])
LEADING = Gauge("relay_leading", "1 while this instance is the relay of its service", ["stream"])
UNPUBLISHED = Gauge("events_unpublished", "Events in the store that Kafka has not acknowledged yet", ["stream"])
UNPUBLISHED_AGE = Gauge("events_unpublished_age_seconds", "How long the oldest of them has waited", ["stream"])

log = structlog.get_logger(__name__)

_Sent = tuple[int, dict[UUID, int]]
"""How many events Kafka has acknowledged, and how far their tenants are published by them."""


class Relay:
    """Publishes one stream's events while it holds the lease."""

    def __init__(
        self, database: Database, producer: Producer, stream: Stream, holder: str, *, marks_at_once: bool = False
    ) -> None:
        """Publish from ``database`` through ``producer``; ``holder`` names this instance.

        With ``marks_at_once`` what Kafka has acknowledged is marked at once: where somebody waits for it.
        """
        self._database = database
        self._producer = producer
        self._stream = stream
        self._topic = EVENTS_OF[stream].name
        self._holder = holder
        self._wake = asyncio.Event()
        self._advanced = asyncio.Condition()
        self._renew_at = 0.0
        self._last = UUID(int=0)
        self._acknowledged: dict[UUID, int] = {}
        """How far Kafka has acknowledged tenants of which that is not marked yet."""
        self._mark_at = float("inf")
        self._marks_at_once = marks_at_once
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start to work in the background."""
        self._task = asyncio.create_task(self._run(), name=f"relay-{self._stream}")

    async def stop(self) -> None:
        """Stop, and give the lease back."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            with suppress(SQLAlchemyError, OSError, TimeoutError):
                await self._mark()
                async with self._database.statement() as connection:
                    await journal.release_lease(connection, self._lease, self._holder)

    @property
    def running(self) -> bool:
        """Whether the relay works, or waits for its turn."""
        return self._task is not None and not self._task.done()

    @property
    def _lease(self) -> str:
        return f"relay-{self._stream}"

    def wake(self) -> None:
        """Say that events were committed."""
        self._wake.set()

    async def wait_published(self, positions: dict[UUID, int]) -> None:
        """Wait until each tenant is published up to its position, whoever the relay is."""
        waiting = dict(positions)
        while waiting:
            async with self._database.statement() as connection:
                waiting = _without(waiting, await journal.published_positions(connection, waiting))
            if waiting:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS), self._advanced:
                        await self._advanced.wait()

    async def _run(self) -> None:
        wait = _FIRST_WAIT_S
        while True:
            try:
                if not await self._lead():
                    await asyncio.sleep(STANDBY_SECONDS)
                elif not await self._publish_round():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)
                if self._clock() >= self._mark_at:
                    await self._mark()
                wait = _FIRST_WAIT_S
            except Exception as error:  # noqa: BLE001 - whatever it is: nothing is lost, and nobody else would publish
                self._acknowledged.clear()  # it is sent again: perhaps this is not the history that it belongs to
                log.warning("relay_paused", stream=self._stream, error=repr(error), retry_in_s=wait)
                await asyncio.sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT_S)

    async def _lead(self) -> bool:
        if self._clock() < self._renew_at:
            return True
        async with self._database.statement() as connection:
            leading = await journal.take_lease(connection, self._lease, self._holder, LEASE_SECONDS)
            UNPUBLISHED.labels(stream=self._stream).set(await journal.backlog(connection))
            behind = await journal.unpublished(connection, _TENANTS_A_LOOK)
        UNPUBLISHED_AGE.labels(stream=self._stream).set(await self._age(self._unsent(behind)))
        LEADING.labels(stream=self._stream).set(leading)
        self._renew_at = self._clock() + LEASE_SECONDS / 3 if leading else 0.0
        return leading

    @staticmethod
    def _clock() -> float:
        return asyncio.get_running_loop().time()

    def _unsent(self, behind: Sequence[Behind]) -> list[tuple[UUID, int]]:
        """Name the tenants with events that Kafka has not acknowledged, each with how far it has."""
        sent = [(one, max(one.published, self._acknowledged.get(one.tenant_id, 0))) for one in behind]
        return [(one.tenant_id, position) for one, position in sent if position < one.position]

    async def _age(self, behind: list[tuple[UUID, int]]) -> float:
        if not behind:
            return 0.0
        async with self._database.transaction([tenant for tenant, _ in behind]) as connection:
            return await journal.unpublished_age(connection, behind)

    async def _publish_round(self) -> bool:
        """Publish a round; False when there was nothing to publish."""
        self._wake.clear()
        async with self._database.statement() as connection:
            found = await journal.unpublished(connection, TENANTS_A_ROUND, self._last)
        behind = self._unsent(found)
        if not behind:
            if len(found) == TENANTS_A_ROUND:  # what is not marked yet may hide what is not sent yet
                await self._mark()
                return True
            return False
        self._last = found[-1].tenant_id  # a round that fails is not the next one's too: others get their turn
        async with self._database.transaction([tenant for tenant, _ in behind]) as connection:
            events = await journal.unpublished_events(connection, self._stream, behind, EVENTS_A_TENANT)
        partitions = await self._producer.partitions(self._topic)
        lanes: dict[int, list[tuple[UUID, int, KafkaRecord]]] = defaultdict(list)
        for one in events:
            lane = partition_of(tenant_key(one.tenant_id), partitions)
            record = event_record(one.event, one.tenant_id, self._topic, one.traceparent)
            lanes[lane].append((one.tenant_id, one.event["position"], record))
        with tracing.batch(f"relay {self._topic}", (one.traceparent for one in events), {}):
            sending = {asyncio.create_task(self._publish_lane(lane, waiting)) for lane, waiting in lanes.items()}
            try:
                failed = await self._acknowledge(sending)
            finally:
                for task in sending:
                    task.cancel()
        if failed is not None:
            raise failed
        return True

    async def _publish_lane(self, lane: int, waiting: list[tuple[UUID, int, KafkaRecord]]) -> _Sent:
        """Send what waits for a partition; gives how many events, and how far that publishes their tenants."""
        sent = await self._producer.send_together([record for _, _, record in waiting], lane)
        return sent, {tenant: position for tenant, position, _ in waiting[:sent]}

    async def _acknowledge(self, sending: set[asyncio.Task[_Sent]]) -> BaseException | None:
        """Take acknowledgements as they come: no partition waits for one that is slow, or fails.

        Gives the error of one that does.
        """
        failed: BaseException | None = None
        while sending:
            done, sending = await asyncio.wait(sending, timeout=MARK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            for lane in done:
                if (error := lane.exception()) is not None:
                    failed = error
                    continue
                sent, positions = lane.result()
                self._acknowledged |= positions
                PUBLISHED.labels(stream=self._stream).inc(sent)
            if self._acknowledged:
                self._mark_at = min(self._mark_at, self._clock() + (0.0 if self._marks_at_once else MARK_SECONDS))
            if self._clock() >= self._mark_at:
                await self._mark()
        if failed is not None:
            await self._mark()
        return failed

    async def _mark(self) -> None:
        """Mark as published what Kafka has acknowledged."""
        marked = dict(self._acknowledged)
        if marked:
            async with self._database.statement() as connection:
                await journal.mark_published(connection, marked)
            self._acknowledged = _without(self._acknowledged, marked)
            async with self._advanced:
                self._advanced.notify_all()
        self._mark_at = float("inf")


def _without(wanted: Mapping[UUID, int], reached: Mapping[UUID, int]) -> dict[UUID, int]:
    """Leave out the tenants that have reached the position that is wanted."""
    return {tenant: position for tenant, position in wanted.items() if reached.get(tenant, 0) < position}
