"""The relay: per tenant, what is on the topic is what is in the store, in that order, whatever happens in between."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from libs.servicekit.tests.broker import Broker, until
from libs.servicekit.tests.store import happen, stored

from local_stack.databases import Database as FreshDatabase
from production_contracts.envelope import KafkaRecord, read_event, tenant_key
from production_contracts.topics import BOOKING_EVENTS, PARTITIONS_LOCAL
from servicekit import journal, relay
from servicekit.database import Database
from servicekit.kafka import KafkaUnavailableError, Producer
from servicekit.relay import Relay
from servicekit.topics import create_topics


@pytest.fixture
async def database(fresh_database: Callable[..., FreshDatabase]) -> AsyncIterator[Database]:
    with fresh_database("booking") as fresh:
        opened = Database(fresh.url, pool_size=8)
        yield opened
        await opened.stop()


@pytest.fixture
async def events_broker(broker: Broker) -> Broker:
    """The broker with the real topics; others write to them too, under tenants of theirs."""
    await create_topics(broker.bootstrap, partitions=PARTITIONS_LOCAL, replication=1)
    return broker


@pytest.fixture
def quick_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that run out soon."""
    monkeypatch.setattr(relay, "LEASE_SECONDS", 0.5)
    monkeypatch.setattr(relay, "STANDBY_SECONDS", 0.02)


async def published(broker: Broker, tenants: Sequence[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    """Read the whole topic and keep what is of these tenants, in order."""
    found: dict[UUID, list[dict[str, Any]]] = {tenant: [] for tenant in tenants}
    keys = {tenant_key(tenant) for tenant in tenants}
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(BOOKING_EVENTS.name, n) for n in range(PARTITIONS_LOCAL)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        for partition, end in (await consumer.end_offsets(partitions)).items():
            while await consumer.position(partition) < end:
                for record in (await consumer.getmany(partition, timeout_ms=1000)).get(partition, []):
                    if record.key in keys and (event := read_event(record.key, record.value, record.headers)):
                        found[event.tenant_id].append(event.event)
    finally:
        await consumer.stop()
    return found


def without_repetitions(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a reader keeps who drops positions that it has seen."""
    kept: list[dict[str, Any]] = []
    for event in events:
        if not kept or event["position"] > kept[-1]["position"]:
            kept.append(event)
    return kept


@asynccontextmanager
async def running(database: Database, producer: Any, holder: str = "one") -> AsyncIterator[Relay]:  # noqa: ANN401
    made = Relay(database, producer, "booking", holder)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def all_published(database: Database) -> bool:
    async with database.transaction() as connection:
        return await journal.backlog(connection) == 0


async def test_what_is_on_the_topic_is_what_is_in_the_store(database: Database, events_broker: Broker) -> None:
    tenants = [uuid4() for _ in range(20)]
    for tenant in tenants:
        await happen(database, tenant, 3, title="Nächte ☾")
    async with running(database, events_broker.producer) as working:
        await until(lambda: all_published(database), "what was there before is published")
        for _ in range(3):
            await asyncio.gather(*(happen(database, tenant, 2) for tenant in tenants))
            working.wake()
        await until(lambda: all_published(database), "what comes is published")
    on_topic = await published(events_broker, tenants)
    for tenant in tenants:
        assert on_topic[tenant] == await stored(database, tenant)
        assert [event["position"] for event in on_topic[tenant]] == list(range(1, 10))


async def test_events_are_published_though_nobody_wakes_the_relay(database: Database, events_broker: Broker) -> None:
    tenant = uuid4()
    async with running(database, events_broker.producer):
        await until(lambda: all_published(database), "it works")
        await happen(database, tenant)
        await until(lambda: all_published(database), "it polls")
    assert len((await published(events_broker, [tenant]))[tenant]) == 1


async def test_more_than_a_round_and_a_batch_holds_is_published_in_order(
    database: Database, events_broker: Broker
) -> None:
    tenant, other = uuid4(), uuid4()
    await happen(database, tenant, 450, title="x" * 2000)
    await happen(database, other, 3)
    async with running(database, events_broker.producer):
        await until(lambda: all_published(database), "all is published")
    on_topic = await published(events_broker, [tenant, other])
    assert on_topic[tenant] == await stored(database, tenant)
    assert on_topic[other] == await stored(database, other)


async def arrived(broker: Broker, tenants: Sequence[UUID], count: int) -> bool:
    return all(len(events) >= count for events in (await published(broker, tenants)).values())


async def test_what_kafka_has_acknowledged_is_not_sent_again_though_it_is_not_marked_yet(
    database: Database, events_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "MARK_SECONDS", 1_000.0)
    tenants = [uuid4() for _ in range(3)]
    async with running(database, events_broker.producer) as working:
        for position in (2, 4, 6):
            await asyncio.gather(*(happen(database, tenant, 2) for tenant in tenants))
            working.wake()
            await until(partial(arrived, events_broker, tenants, position), "they are on Kafka")
        async with database.transaction() as connection:
            assert await journal.backlog(connection) == 18
    assert await all_published(database), "it is marked at the end"
    on_topic = await published(events_broker, tenants)
    for tenant in tenants:
        assert on_topic[tenant] == await stored(database, tenant)


async def test_where_somebody_waits_for_it_it_is_marked_at_once(
    database: Database, events_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "MARK_SECONDS", 1_000.0)
    tenant = uuid4()
    working = Relay(database, events_broker.producer, "booking", "one", marks_at_once=True)
    await working.start()
    try:
        await happen(database, tenant, 2)
        await working.wait_published({tenant: 2})
        assert await all_published(database)
    finally:
        await working.stop()


async def test_more_tenants_than_a_round_holds_that_are_not_marked_hide_nobody(
    database: Database, events_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "MARK_SECONDS", 1_000.0)
    monkeypatch.setattr(relay, "TENANTS_A_ROUND", 2)
    tenants = [uuid4() for _ in range(7)]
    async with running(database, events_broker.producer) as working:
        for tenant in tenants:
            await happen(database, tenant)
            working.wake()
        await until(partial(arrived, events_broker, tenants, 1), "all are on Kafka")
    on_topic = await published(events_broker, tenants)
    assert all(len(events) == 1 for events in on_topic.values())


async def test_whoever_follows_one_that_vanished_repeats_what_was_not_marked_and_leaves_nothing_out(
    database: Database, events_broker: Broker, monkeypatch: pytest.MonkeyPatch, quick_leases: None
) -> None:
    monkeypatch.setattr(relay, "MARK_SECONDS", 1_000.0)
    tenant = uuid4()
    vanishing = Relay(database, events_broker.producer, "booking", "one")
    await vanishing.start()
    await happen(database, tenant, 3)
    await until(partial(arrived, events_broker, [tenant], 3), "they are on Kafka")
    assert vanishing._task is not None
    vanishing._task.cancel()
    await happen(database, tenant, 2)
    async with running(database, events_broker.producer, "two"):
        await until(partial(arrived, events_broker, [tenant], 8), "all of them are sent by the second")
    (on_topic,) = (await published(events_broker, [tenant])).values()
    assert [event["position"] for event in on_topic] == [1, 2, 3, 1, 2, 3, 4, 5]
    assert without_repetitions(on_topic) == await stored(database, tenant)


class Moody:
    """A producer that fails in turn: before sending, after sending, not at all."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer
        self.calls = 0

    async def partitions(self, topic: str) -> list[int]:
        return await self.producer.partitions(topic)

    async def send_together(self, records: Sequence[KafkaRecord], partition: int) -> int:
        self.calls += 1
        mood = self.calls % 3
        if mood == 1:
            message = "away"
            raise KafkaUnavailableError(message)
        sent = await self.producer.send_together(records, partition)
        if mood == 2:
            raise TimeoutError
        return sent


async def test_after_failures_the_topic_is_the_store_without_positions_seen_already(
    database: Database, events_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_FIRST_WAIT_S", 0.01)
    tenants, moody = [uuid4() for _ in range(3)], Moody(events_broker.producer)
    async with running(database, moody) as working:
        for _ in range(4):
            await asyncio.gather(*(happen(database, tenant, 2) for tenant in tenants))
            working.wake()
            await until(lambda: all_published(database), "it comes through in the end")
        assert working.running
    on_topic = await published(events_broker, tenants)
    assert any(without_repetitions(events) != events for events in on_topic.values())
    for tenant in tenants:
        assert without_repetitions(on_topic[tenant]) == await stored(database, tenant)


class Never:
    """A producer through which nothing goes."""

    def __init__(self) -> None:
        self.asked = 0

    async def partitions(self, _topic: str) -> list[int]:
        self.asked += 1
        message = "away"
        raise KafkaUnavailableError(message)


async def leads(database: Database, holder: str) -> bool:
    async with database.transaction() as connection:
        lease = await connection.exec_driver_sql("select holder from leases where until > now()")
        return [row.holder for row in lease] == [holder]


async def test_only_one_of_two_relays_works_and_the_other_takes_over_when_it_stops(
    database: Database, events_broker: Broker, quick_leases: None
) -> None:
    tenant, idle = uuid4(), Never()
    async with running(database, events_broker.producer, "one"):
        await until(lambda: leads(database, "one"), "the first leads")
        async with running(database, idle, "two"):
            await happen(database, tenant, 5)
            await until(lambda: all_published(database), "the first publishes")
            assert idle.asked == 0
    async with running(database, events_broker.producer, "three"):
        await until(lambda: leads(database, "three"), "the lease was given back")
        await happen(database, tenant, 5)
        await until(lambda: all_published(database), "the successor publishes")
    assert (await published(events_broker, [tenant]))[tenant] == await stored(database, tenant)


async def test_another_takes_over_when_the_lease_of_one_who_vanished_runs_out(
    database: Database, events_broker: Broker, quick_leases: None
) -> None:
    tenant = uuid4()
    vanishing = Relay(database, events_broker.producer, "booking", "one")
    await vanishing.start()
    await until(lambda: leads(database, "one"), "the first leads")
    assert vanishing._task is not None
    vanishing._task.cancel()
    async with running(database, events_broker.producer, "two"):
        await happen(database, tenant)
        await until(lambda: all_published(database), "the second takes over")
        assert await leads(database, "two")
    assert (await published(events_broker, [tenant]))[tenant] == await stored(database, tenant)


async def test_who_waits_for_publication_is_let_go_when_it_has_happened(
    database: Database, events_broker: Broker
) -> None:
    tenant = uuid4()
    await happen(database, tenant, 2)
    waiting = Relay(database, events_broker.producer, "booking", "who does not run")
    patient = asyncio.create_task(waiting.wait_published({tenant: 2}))
    await asyncio.wait([patient], timeout=0.2)
    assert not patient.done()
    async with running(database, events_broker.producer):
        await patient
    await waiting.wait_published({tenant: 1})
    await waiting.wait_published({})


async def test_an_event_travels_as_json_that_every_language_reads(database: Database, events_broker: Broker) -> None:
    tenant = uuid4()
    await happen(database, tenant, title='Ænima "☾" \\ \u2028')
    async with running(database, events_broker.producer):
        await until(lambda: all_published(database), "it is published")
    ((event,),) = (await published(events_broker, [tenant])).values()
    assert event["data"]["title"] == 'Ænima "☾" \\ \u2028'
    assert json.loads(json.dumps(event)) == (await stored(database, tenant))[0]
