"""The one job that creates topics, on a Kafka that has none."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from libs.servicekit.tests.broker import Broker, Taken, until

from local_stack.engines import Engines
from production_contracts.topics import ALL_TOPICS, BOOKING_COMMANDS, BOOKING_EVENTS, GATEWAY_REPLIES
from servicekit.kafka import KafkaUnavailableError, Producer
from servicekit.topics import TopicsDifferError, create_topics

NAMES = {topic.name for topic in ALL_TOPICS}


@pytest.fixture(scope="module")
def bootstrap(own_engines: Engines) -> str:
    return own_engines.kafka_bootstrap


async def partitions(bootstrap: str) -> dict[str, int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        described = await admin.describe_topics()
        return {topic["topic"]: len(topic["partitions"]) for topic in described if topic["topic"] in NAMES}
    finally:
        await admin.close()


async def retention(bootstrap: str, name: str) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        ((*_, configs),) = answer.resources
        return next(str(value) for key, value, *_ in configs if key == "retention.ms")
    finally:
        await admin.close()


async def test_every_topic_is_made_once_with_its_partitions_and_retention(bootstrap: str) -> None:
    assert await partitions(bootstrap) == {}
    assert set(await create_topics(bootstrap, partitions=3, replication=1)) == NAMES
    assert await partitions(bootstrap) == dict.fromkeys(NAMES, 3)
    assert await retention(bootstrap, BOOKING_EVENTS.name) == "-1"
    assert await retention(bootstrap, BOOKING_COMMANDS.name) == str(7 * 24 * 3600 * 1000)
    assert await retention(bootstrap, GATEWAY_REPLIES.name) == str(3600 * 1000)
    assert await create_topics(bootstrap, partitions=3, replication=1) == []


async def test_a_topic_that_was_lost_is_made_again_and_the_others_are_left_alone(bootstrap: str) -> None:
    await create_topics(bootstrap, partitions=3, replication=1)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.delete_topics([GATEWAY_REPLIES.name])
    await admin.close()

    async def gone() -> bool:
        return GATEWAY_REPLIES.name not in await partitions(bootstrap)

    await until(gone, "it is deleted")
    assert await create_topics(bootstrap, partitions=3, replication=1) == [GATEWAY_REPLIES.name]


async def test_two_jobs_at_once_do_not_trip_over_each_other(bootstrap: str) -> None:
    made = await asyncio.gather(*(create_topics(bootstrap, partitions=3, replication=1) for _ in range(3)))
    assert all(set(names) <= NAMES for names in made)
    assert await partitions(bootstrap) == dict.fromkeys(NAMES, 3)


async def test_other_partitions_than_there_are_are_refused_and_nothing_is_changed(bootstrap: str) -> None:
    await create_topics(bootstrap, partitions=3, replication=1)
    with pytest.raises(TopicsDifferError, match="12 partitions"):
        await create_topics(bootstrap, partitions=12, replication=1)
    assert await partitions(bootstrap) == dict.fromkeys(NAMES, 3)


async def test_producer_and_consumers_started_before_kafka_are_there_when_it_is(own_engines: Engines) -> None:
    bootstrap = own_engines.kafka_bootstrap
    await create_topics(bootstrap, partitions=3, replication=1)
    await asyncio.to_thread(own_engines.kafka.stop)
    producer, taken = Producer(bootstrap, "early"), Taken()
    broker = Broker(bootstrap, producer)
    consumers = broker.consumers()
    consumers.batches([BOOKING_COMMANDS.name], "early", taken)
    consumers.assigned(BOOKING_EVENTS.name, [0, 1, 2], taken, start="earliest")
    await producer.start()
    await consumers.start()
    assert not producer.ready
    await asyncio.to_thread(own_engines.kafka.start)
    await until(lambda: producer.ready, "the producer connects")
    await until(lambda: consumers.complaints() == [], "the consumers connect")
    await broker.send(BOOKING_COMMANDS.name, b"1")
    await broker.send(BOOKING_EVENTS.name, b"2")
    await until(lambda: set(taken.values) == {b"1", b"2"}, "records arrive")
    await consumers.stop()
    await producer.stop()


async def test_producer_and_consumers_outlive_an_outage(own_engines: Engines) -> None:
    bootstrap = own_engines.kafka_bootstrap
    await create_topics(bootstrap, partitions=3, replication=1)
    producer, taken = Producer(bootstrap, "steady"), Taken()
    broker = Broker(bootstrap, producer)
    consumers = broker.consumers()
    consumers.batches([BOOKING_COMMANDS.name], "steady", taken)
    await producer.start()
    await consumers.start()
    await until(lambda: producer.ready, "the producer connects")
    await broker.send(BOOKING_COMMANDS.name, b"before")
    await until(lambda: b"before" in taken.handled, "it works")
    await asyncio.to_thread(own_engines.kafka.stop)
    await asyncio.to_thread(own_engines.kafka.start)

    async def sent() -> bool:
        try:
            await broker.send(BOOKING_COMMANDS.name, b"after")
        except (KafkaUnavailableError, TimeoutError):
            return False
        return True

    await until(sent, "the producer goes on")
    await until(lambda: b"after" in taken.handled, "the consumers go on")
    await consumers.stop()
    await producer.stop()
