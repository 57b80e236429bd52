"""Kafka as we use it: producers that lose nothing, consumers that commit after the work, raw records in between.

FastStream runs the consumers. Its parser and decoder are replaced, because its own fail a whole batch on one header
that is not UTF-8, and offsets are committed here, after the handler returned: at least once. What a handler raises is
taken for an outage: the consumer waits, goes back to the start of the batch and hands it over again; only a
`ConsumerStoppedError` makes it stand still.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import RecordMetadata
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka import TopicPartition as SubscribedPartition
from faststream.kafka.message import KafkaAckableMessage
from prometheus_client import Counter, Gauge, Histogram

from production_contracts.envelope import KafkaRecord
from production_contracts.topics import LARGEST_DEAD_LETTER
from servicekit import tracing
from servicekit.access import KafkaAccess


class Record(Protocol):
    """A record as a consumer receives it (aiokafka's ``ConsumerRecord``); ``timestamp`` is in milliseconds."""

    @property
    def topic(self) -> str: ...  # noqa: D102 - Kafka's own terms, here and below
    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102


Handle = Callable[[Sequence[Record]], Awaitable[None]]
Idle = Callable[[dict[int, int]], Awaitable[None]]
Poll = Callable[..., Awaitable[dict[TopicPartition, list[Any]]]]

REQUEST_TIMEOUT_MS = 10_000
DELIVERY_TIMEOUT_S = 15.0
COMMIT_TIMEOUT_S = 10.0
STALLED_AFTER_S = 60.0
PATIENCE_MS = 500
"""How long a poll waits for records; it ends with the first that arrives, so it costs no latency and hardly any CPU."""
_LAG_PERIOD_S = 1.0
_LAG_PATIENCE_S = 1.0
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0

BATCH_SIZE = Histogram(
    "consumer_batch_records", "Records in a batch", ["consumer"], buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500)
)
RETRIED_BATCHES = Counter(
    "consumer_batches_retried_total", "Batches that were taken again after an outage", ["consumer"]
)
PRODUCERS_REPLACED = Counter(
    "producer_replaced_total", "Producers that were replaced because Kafka had not taken a batch of theirs"
)
LAG = Gauge(
    "consumer_lag_records",
    "Records past those handed over, of the partitions that this instance reads",
    ["consumer", "topic"],
)
STOPPED = Gauge("consumer_stopped", "1 while the consumer stands still because of too many dead letters", ["consumer"])

log = structlog.get_logger(__name__)


class KafkaUnavailableError(Exception):
    """Kafka is not there: nothing was sent."""


class ConsumerStoppedError(Exception):
    """To go on would do harm: the consumer stands still, in front of the batch in hand, until it is started again."""


_partitioner = DefaultPartitioner()


@lru_cache(maxsize=65_536)
def _partition_number(key: bytes, partitions: int) -> int:
    return int(_partitioner(key, list(range(partitions)), ()))


def partition_of(key: bytes, partitions: Sequence[int], _available: object = ()) -> int:
    """Choose the partition of a key among all of a topic, in order, as every client of Kafka does (murmur2).

    The library works it out in Python, byte by byte: here it is remembered.
    """
    return partitions[_partition_number(key, len(partitions))]


class Producer:
    """An idempotent producer with ``acks=all`` that connects in the background, however long Kafka is away.

    A batch that fails for good leaves a gap in the sequence numbers of its partition, and Kafka takes nothing more
    there (aio-libs/aiokafka#1017: "until we restart pods"). So each failure makes a new producer, which counts anew.
    """

    def __init__(self, kafka: KafkaAccess | str, client_id: str) -> None:
        """Make a producer; nothing is connected yet."""
        self._options: dict[str, Any] = {
            **KafkaAccess.of(kafka).options(),
            "client_id": client_id,
            "enable_idempotence": True,
            "acks": "all",
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
            "max_batch_size": 512 * 1024,
            "max_request_size": LARGEST_DEAD_LETTER,
            "partitioner": partition_of,
        }
        self._producer: AIOKafkaProducer | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> bool:
        """Whether records can be sent."""
        return self._producer is not None

    async def reaches_kafka(self) -> bool:
        """Ask Kafka for its metadata: whether it answers now."""
        return self._producer is not None and bool(await self._producer.client.force_metadata_update())

    async def start(self) -> None:
        """Start to connect, and return at once."""
        self._connecting = asyncio.create_task(self._connect(), name="producer-connect")

    async def stop(self) -> None:
        """Send what is buffered, within a deadline, and disconnect."""
        if self._connecting is not None:
            self._connecting.cancel()
            with suppress(asyncio.CancelledError):
                await self._connecting
        producer, self._producer = self._producer, None
        if producer is not None:
            self._retire(producer)
        if self._retiring:
            await asyncio.wait(self._retiring)

    def _retire(self, producer: AIOKafkaProducer) -> None:
        """Let a producer send what it holds, within a deadline, and go."""

        async def stop() -> None:
            try:
                await asyncio.wait_for(producer.stop(), DELIVERY_TIMEOUT_S)
            except (TimeoutError, KafkaError):  # it would try for ever, and a second `stop` does nothing
                await producer._sender.close()  # noqa: SLF001
                await producer.client.close()

        task = asyncio.create_task(stop(), name="producer-stop")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    def _watch(self, producer: AIOKafkaProducer, sent: "asyncio.Future[RecordMetadata]") -> None:
        """Replace the producer if this fails, once."""

        def look(done: "asyncio.Future[RecordMetadata]") -> None:
            error = None if done.cancelled() else done.exception()
            if error is None or producer is not self._producer:
                return
            if self._connecting is not None and self._connecting.done():
                PRODUCERS_REPLACED.inc()
                log.warning("producer_replaced", error=repr(error))
                self._connecting = asyncio.create_task(self._connect(), name="producer-connect")

        sent.add_done_callback(look)

    async def _connect(self) -> None:
        wait, lost = _FIRST_WAIT_S, self._producer
        while self._producer is lost:
            producer = AIOKafkaProducer(**self._options)
            try:
                await producer.start()
            except (KafkaError, OSError) as error:
                log.warning("kafka_unavailable", error=str(error), retry_in_s=wait)
                with suppress(KafkaError, OSError):
                    await producer.stop()
                await asyncio.sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT_S)
            else:
                self._producer = producer
        if lost is not None:
            self._retire(lost)

    def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            message = "Kafka is not connected"
            raise KafkaUnavailableError(message)
        return self._producer

    async def send(self, record: KafkaRecord) -> "asyncio.Future[RecordMetadata]":
        """Hand a record to the producer's buffer; the future is done when Kafka has acknowledged it.

        Raises:
            KafkaUnavailableError: there was no connection yet, or no room in time; nothing was sent.
        """
        producer = self._connected()
        sending = tracing.Sending(record)
        try:
            async with asyncio.timeout(DELIVERY_TIMEOUT_S):  # `wait_for` would make a task of each record
                sent: asyncio.Future[RecordMetadata] = await producer.send(
                    record.topic,
                    key=record.key,
                    value=record.value,
                    headers=sending.headers,
                    partition=record.partition,
                )
        except (KafkaError, TimeoutError) as error:
            sending.end(error)
            message = f"the record was not taken: {error!r}"
            raise KafkaUnavailableError(message) from error
        self._watch(producer, sent)
        sending.end_with(sent)
        return sent

    async def send_and_wait(self, record: KafkaRecord) -> RecordMetadata:
        """Send a record and wait until Kafka has acknowledged it.

        Raises:
            KafkaUnavailableError: nothing was sent.
            KafkaError: it may have been sent.
            TimeoutError: it may have been sent.
        """
        return await asyncio.wait_for(await self.send(record), DELIVERY_TIMEOUT_S)

    async def partitions(self, topic: str) -> list[int]:
        """Name the partitions of a topic, in order.

        Raises:
            KafkaUnavailableError: they can't be learnt now.
        """
        try:
            return sorted(await asyncio.wait_for(self._connected().partitions_for(topic), DELIVERY_TIMEOUT_S))
        except (KafkaError, TimeoutError) as error:
            message = f"the partitions of {topic} are unknown: {error!r}"
            raise KafkaUnavailableError(message) from error

    async def send_together(self, records: Sequence[KafkaRecord], partition: int) -> int:
        """Send records of one topic to one partition as one Kafka batch, all or none, and wait for the acknowledgement.

        Returns:
            How many of the first were sent: as many as one batch holds, at least one.

        Raises:
            KafkaUnavailableError: nothing was sent, or the first alone is larger than a batch may be.
            KafkaError: they may have been sent.
            TimeoutError: they may have been sent.
        """
        producer = self._connected()
        batch = producer.create_batch()
        taken: list[tracing.Sending] = []
        for record in records:
            one = tracing.Sending(record)
            if batch.append(key=record.key, value=record.value, timestamp=None, headers=one.headers) is None:
                break
            taken.append(one)
        if not taken:
            message = f"a record of {len(records[0].value)} bytes does not fit a batch"
            raise KafkaUnavailableError(message)
        async with asyncio.timeout(DELIVERY_TIMEOUT_S):
            sent = await producer.send_batch(batch, records[0].topic, partition=partition)
        self._watch(producer, sent)
        for one in taken:
            one.end_with(sent)
        await asyncio.wait_for(sent, DELIVERY_TIMEOUT_S)
        return len(taken)


class _Consumption:
    """One subscriber and the batch that it has in hand."""

    def __init__(self, name: str, topics: Sequence[str], handle: Handle, *, commits: bool, gather_ms: int = 0) -> None:
        self.name = name
        self._gather_ms = gather_ms
        self._is_busy = False
        """Whether there has been no wait for records since the batch before."""
        self._topics = topics
        self.since: float | None = None
        """When the batch in hand, or the first of the failures in a row before it, was begun."""
        self.stopping = asyncio.Event()
        self._handle = handle
        self._commits = commits
        self._wait = _FIRST_WAIT_S
        self._lag_due = 0.0
        self._committing: asyncio.Task[None] | None = None
        self.stopped: str | None = None
        """Why it stands still, where it does."""
        self.idle: Idle | None = None
        """Is told, after a poll that brought nothing, up to where everything is handled: markers take offsets too."""
        self.subscriber: Any = None
        STOPPED.labels(consumer=name).set(0)

    @property
    def consumer(self) -> AIOKafkaConsumer | None:
        """The consumer, once it has started: before that it knows neither its coordinator nor a position."""
        return self.subscriber.consumer if self.subscriber is not None and self.subscriber.running else None

    @property
    def _connected(self) -> AIOKafkaConsumer | None:
        """The consumer, also while it stops: the batch in hand is still committed."""
        return self.subscriber.consumer if self.subscriber is not None else None

    def be_patient(self) -> None:
        """Let polls wait for records: FastStream sleeps its poll timeout once more after an empty poll.

        A timeout that is short enough for latency costs a tenth of a core a consumer when idle, so the one that is
        given to FastStream is 1 ms, and the consumer itself waits.
        """
        consumer = self._connected
        if consumer is None:
            return
        poll = consumer.getmany

        async def wait_for_records(
            *partitions: TopicPartition,
            timeout_ms: int = 0,
            max_records: int | None = None,
        ) -> dict[TopicPartition, list[Any]]:
            del timeout_ms
            if self.stopped is not None:
                consumer.pause(*consumer.assignment())
            found = await self._gather(poll, partitions, max_records)
            await self._tell_lag(consumer)
            if self.stopped is not None:
                for partition, records in found.items():  # of partitions that were assigned meanwhile
                    self.seek(partition, records[0].offset)
                return {}
            if not found and self.idle is not None:
                await self._tell_idle(consumer, self.idle)
            return found

        consumer.getmany = wait_for_records

    async def _gather(
        self, poll: Poll, partitions: Sequence[TopicPartition], max_records: int | None
    ) -> dict[TopicPartition, list[Any]]:
        """Wait for records; what came while a batch was in hand is taken whole, so that the next one holds it all.

        The library has fetched the first of it meanwhile, and fetches the others once that is taken.
        """
        if self._is_busy:
            found = await poll(*partitions, timeout_ms=0, max_records=max_records)
            room = None if max_records is None else max_records - sum(map(len, found.values()))
            if found and self._gather_ms and room != 0:
                with suppress(KafkaError):  # what is found is in our hands; the next poll says it again
                    more = await poll(*partitions, timeout_ms=self._gather_ms, max_records=room)
                    for partition, records in more.items():
                        found.setdefault(partition, []).extend(records)
            if found:
                return found
        self._is_busy = False
        return await poll(*partitions, timeout_ms=PATIENCE_MS, max_records=max_records)

    async def _tell_idle(self, consumer: AIOKafkaConsumer, idle: Idle) -> None:
        handled: dict[int, int] = {}
        with suppress(KafkaError, IllegalStateError, TimeoutError):
            async with asyncio.timeout(_LAG_PATIENCE_S):
                for partition in consumer.assignment():
                    handled[partition.partition] = await consumer.position(partition)
        await idle(handled)

    async def _tell_lag(self, consumer: AIOKafkaConsumer) -> None:
        """Say how far behind we are, by what the last fetches said of the topics' ends: nobody is asked."""
        if time.monotonic() < self._lag_due:
            return
        self._lag_due = time.monotonic() + _LAG_PERIOD_S
        ends = {partition: consumer.highwater(partition) for partition in consumer.assignment()}
        lag = dict.fromkeys(self._topics, 0)
        with suppress(KafkaError, IllegalStateError, TimeoutError):  # a partition was taken away, or is looked for anew
            async with asyncio.timeout(_LAG_PATIENCE_S):
                for partition, end in ends.items():
                    if end is not None:
                        lag[partition.topic] += max(0, end - await consumer.position(partition))
            for topic, records in lag.items():
                LAG.labels(consumer=self.name, topic=topic).set(records)

    async def parse(self, records: tuple[Record, ...]) -> KafkaAckableMessage:
        return KafkaAckableMessage(body=b"", raw_message=records, headers={}, consumer=self._connected)

    async def decode(self, message: KafkaAckableMessage) -> tuple[Record, ...]:
        return message.raw_message

    async def take(self, records: tuple[Record, ...]) -> None:
        self.since = self.since or time.monotonic()
        self._is_busy = True
        try:
            BATCH_SIZE.labels(consumer=self.name).observe(len(records))
            await self._handle_traced(records)
        except ConsumerStoppedError as error:
            self.stopped = str(error)
            STOPPED.labels(consumer=self.name).set(1)
            log.critical("consumer_stopped", consumer=self.name, reason=self.stopped)
            self._rewind(records)
        except Exception as error:
            RETRIED_BATCHES.labels(consumer=self.name).inc()
            log.warning("batch_retried", consumer=self.name, error=repr(error), wait_s=self._wait, exc_info=error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), self._wait)
            self._wait = min(self._wait * 2, _LONGEST_WAIT_S)
            self._rewind(records)
        else:
            self._wait = _FIRST_WAIT_S
            if self._commits:
                await self._commit_behind(records)
            self.since = None

    async def _handle_traced(self, records: tuple[Record, ...]) -> None:
        attributes: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": records[0].topic,
            "messaging.consumer.group.name": self.name,
            "messaging.batch.message_count": len(records),
        }
        with tracing.batch(
            f"process {self.name}", (tracing.traceparent_of(record.headers) for record in records), attributes
        ):
            await self._handle(records)

    def _rewind(self, records: tuple[Record, ...]) -> None:
        first: dict[TopicPartition, int] = {}
        for record in records:
            first.setdefault(TopicPartition(record.topic, record.partition), record.offset)
        for partition, offset in first.items():
            self.seek(partition, offset)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go on from an offset; a partition that was taken away meanwhile is another consumer's affair."""
        if self._connected is not None:
            with suppress(IllegalStateError):
                self._connected.seek(partition, offset)

    async def _commit_behind(self, records: tuple[Record, ...]) -> None:
        """Commit while the next batch is handled: what comes again after a crash is known, by one batch or by two."""
        await self.committed()
        self._committing = asyncio.create_task(self._commit(records), name="commit")
        if self.stopping.is_set():
            await self.committed()

    async def committed(self) -> None:
        """Wait until the last batch is committed, or could not be."""
        if self._committing is not None:
            await self._committing

    async def _commit(self, records: tuple[Record, ...]) -> None:
        after = {TopicPartition(record.topic, record.partition): record.offset + 1 for record in records}
        if self._connected is None:
            return
        mine = {partition: offset for partition, offset in after.items() if partition in self._connected.assignment()}
        try:
            if mine:
                await asyncio.wait_for(self._connected.commit(mine), COMMIT_TIMEOUT_S)
        except (KafkaError, IllegalStateError, TimeoutError) as error:
            log.warning("commit_failed", consumer=self.name, error=repr(error))  # they come again, and are known


class Consumers:
    """The consumers of a service, on one FastStream broker; they connect in the background."""

    def __init__(self, kafka: KafkaAccess | str, client_id: str, partitions: int) -> None:
        """Make the broker; ``partitions`` is how many every topic has."""
        access = KafkaAccess.of(kafka)
        self.broker = KafkaBroker(
            access.bootstrap,
            security=access.security(),
            client_id=client_id,
            consumer_only=True,
            allow_auto_create_topics=False,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            graceful_timeout=30.0,
            apply_types=False,
            serializer=None,  # or pydantic is asked to validate records, and refuses to build a model of them
            logger=None,
        )
        self._partitions = partitions
        self._consumptions: list[_Consumption] = []
        self._starting: asyncio.Task[None] | None = None
        self._started = False

    def batches(
        self, topics: Sequence[str], group: str, handle: Handle, *, max_records: int = 500, gather_ms: int = 0
    ) -> None:
        """Hand the records of topics to ``handle`` in batches, shared with the group, from the earliest on.

        A batch is committed after ``handle`` returned; what it raises is an outage: after a wait the batch comes again.
        Where a batch costs much whatever it holds, ``gather_ms`` is how long the next may wait to hold all that came.
        """
        consumption = _Consumption(group, topics, handle, commits=True, gather_ms=gather_ms)
        self._subscribe(
            consumption,
            *topics,
            group_id=group,
            max_records=max_records,
            auto_offset_reset="earliest",
            isolation_level="read_committed",  # a dead letter that is sent again counts once that is committed
        )

    def assigned(
        self, topic: str, partitions: Sequence[int], handle: Handle, *, start: str, max_records: int = 500
    ) -> _Consumption:
        """Hand the records of named partitions to ``handle``, in no group: ``start`` is "earliest" or "latest".

        The result can `seek`, and holds the ``consumer``. Records of transactions under way are read too: what is read
        in this way may be repeated anyhow, and must not wait for an operator.
        """
        consumption = _Consumption(topic, [topic], handle, commits=False)
        self._subscribe(
            consumption,
            partitions=[SubscribedPartition(topic, partition) for partition in partitions],
            max_records=max_records,
            auto_offset_reset=start,
        )
        return consumption

    def _subscribe(self, consumption: _Consumption, *topics: str, **options: Any) -> None:  # noqa: ANN401
        consumption.subscriber = self.broker.subscriber(
            *topics,
            batch=True,
            batch_timeout_ms=1,
            ack_policy=AckPolicy.MANUAL,
            parser=consumption.parse,
            decoder=consumption.decode,
            session_timeout_ms=10_000,
            fetch_max_wait_ms=500,
            **options,
        )
        consumption.subscriber(consumption.take)
        self._consumptions.append(consumption)

    async def start(self) -> None:
        """Start to connect, and return at once."""
        self._starting = asyncio.create_task(self._connect(), name="consumers-connect")

    async def _connect(self) -> None:
        wait = _FIRST_WAIT_S
        while not self._started:
            try:
                await self.broker.start()
                for consumption in self._consumptions:
                    consumption.be_patient()
                self._started = True
            except Exception as error:  # noqa: BLE001 - an end of this task that nobody sees would be worse
                log.warning("consumers_not_connected", error=repr(error), retry_in_s=wait)
                await self.broker.stop()
                await asyncio.sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT_S)

    async def stop(self) -> None:
        """Finish the batches in hand, commit them, and leave the groups."""
        if self._starting is not None:
            self._starting.cancel()
            with suppress(asyncio.CancelledError):
                await self._starting
        for consumption in self._consumptions:
            consumption.stopping.set()
        await asyncio.gather(*(consumption.committed() for consumption in self._consumptions))
        await self.broker.stop()

    @property
    def stopped(self) -> list[str]:
        """Name the consumers that stand still until the service is started again."""
        return [consumption.name for consumption in self._consumptions if consumption.stopped is not None]

    def complaints(self) -> list[str]:
        """Say what keeps the consumers from making progress; an empty list: nothing does."""
        if not self._started:
            return ["not connected to Kafka"]
        found = []
        for consumption in self._consumptions:
            consumer, since = consumption.consumer, consumption.since
            if consumption.stopped is not None:
                found.append(f"{consumption.name} is stopped: {consumption.stopped}")
            elif consumer is None or not any(not task.done() for task in consumption.subscriber.tasks):
                found.append(f"{consumption.name} does not run")
            elif since is not None and time.monotonic() - since > STALLED_AFTER_S:
                found.append(f"{consumption.name} has had the same batch in hand for over {STALLED_AFTER_S:.0f} s")
        return found
