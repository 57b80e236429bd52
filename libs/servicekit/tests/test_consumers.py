"""Consumers on a real broker: committed after the work, again after an outage, stopped when the work is done."""

import asyncio
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from libs.servicekit.tests.broker import Broker, Taken, until


@pytest.fixture
def group() -> str:
    return f"group-{uuid4().hex}"


async def test_a_batch_is_committed_after_it_was_handled_and_not_before(broker: Broker, group: str) -> None:
    topic, taken = await broker.topic(), Taken()
    taken.go.clear()
    await broker.send(topic, b"1", b"2", b"3")
    consumers = broker.consumers()
    consumers.batches([topic], group, taken)
    await consumers.start()
    await until(lambda: bool(taken.batches), "a batch arrives")
    assert await broker.committed(group, topic) == 0
    taken.go.set()

    async def all_committed() -> bool:
        return await broker.committed(group, topic) == 3

    await until(all_committed, "the batch is committed")
    assert taken.values == [b"1", b"2", b"3"]


async def test_a_new_group_begins_with_the_first_record_and_goes_on_where_it_was(broker: Broker, group: str) -> None:
    topic, first, second = await broker.topic(), Taken(), Taken()
    await broker.send(topic, b"1", b"2")
    consumers = broker.consumers()
    consumers.batches([topic], group, first)
    await consumers.start()
    await until(lambda: first.values == [b"1", b"2"], "what was there before arrives")
    await consumers.stop()
    await broker.send(topic, b"3")
    successor = broker.consumers()
    successor.batches([topic], group, second)
    await successor.start()
    await until(lambda: bool(second.values), "the successor goes on")
    assert second.values == [b"3"]


async def test_what_the_handler_raises_brings_the_same_records_again_in_order(broker: Broker, group: str) -> None:
    topic, taken = await broker.topic(partitions=2), Taken()
    taken.failures = 2
    sent = {partition: [f"{partition}-{n}".encode() for n in range(4)] for partition in (0, 1)}
    for partition, values in sent.items():
        await broker.send(topic, *values, partition=partition)
    consumers = broker.consumers()
    consumers.batches([topic], group, taken, max_records=3)
    await consumers.start()
    await until(lambda: len(taken.handled) == 8, "all of it is handled")
    assert len(taken.values) > 8
    for partition, values in sent.items():
        assert [value for value in taken.handled if value in values] == values, f"once and in order: {partition}"


async def test_what_came_while_a_batch_was_in_hand_is_the_next_one_whole(broker: Broker, group: str) -> None:
    topic, taken = await broker.topic(partitions=2), Taken()
    taken.go.clear()
    consumers = broker.consumers()
    consumers.batches([topic], group, taken, gather_ms=10_000)
    await consumers.start()
    await broker.send(topic, b"first")
    await until(lambda: taken.batches == [[b"first"]], "a batch is in hand")
    sent = [f"{n}".encode() for n in range(40)]
    for number, value in enumerate(sent):
        await broker.send(topic, value, partition=number % 2)
    taken.go.set()
    await until(lambda: len(taken.handled) == 41, "all of it is handled")
    assert [sorted(batch, key=lambda value: int(value or b"")) for batch in taken.batches[1:]] == [sent]


async def test_what_was_gathered_comes_again_in_order_after_an_outage(broker: Broker, group: str) -> None:
    topic, taken = await broker.topic(), Taken()
    taken.failures = 3
    consumers = broker.consumers()
    consumers.batches([topic], group, taken, gather_ms=50, max_records=7)
    await consumers.start()
    sent = [f"{n}".encode() for n in range(30)]
    await broker.send(topic, *sent)
    await until(lambda: len(taken.handled) == 30, "all of it is handled")
    assert taken.handled == sent
    assert max(map(len, taken.batches)) <= 7


async def test_a_header_that_is_not_utf_8_reaches_the_handler_with_its_neighbours(broker: Broker, group: str) -> None:
    topic, taken = await broker.topic(), Taken()
    await broker.send(topic, b"before")
    await broker.send(topic, b"broken", headers=[("ce_id", b"\xff\xfe"), ("content-type", b"\xff")])
    await broker.send(topic, b"{ not json", b"after")
    consumers = broker.consumers()
    consumers.batches([topic], group, taken)
    await consumers.start()
    await until(lambda: len(taken.values) == 4, "all arrive")
    assert taken.values == [b"before", b"broken", b"{ not json", b"after"]
    assert list(taken.records[1].headers) == [("ce_id", b"\xff\xfe"), ("content-type", b"\xff")]
    assert [record.offset for record in taken.records] == [0, 1, 2, 3]


async def test_stopping_waits_for_the_batch_in_hand_and_commits_it(broker: Broker, group: str) -> None:
    topic, taken = await broker.topic(), Taken()
    taken.go.clear()
    await broker.send(topic, b"1", b"2")
    consumers = broker.consumers()
    consumers.batches([topic], group, taken)
    await consumers.start()
    await until(lambda: bool(taken.batches), "a batch arrives")
    stopping = asyncio.create_task(consumers.stop())
    await asyncio.wait([stopping], timeout=0.2)
    assert not stopping.done()
    taken.go.set()
    await stopping
    assert taken.handled == taken.values
    assert await broker.committed(group, topic) == len(taken.values)


async def test_stopping_in_an_outage_does_not_wait_for_its_end_and_commits_nothing(broker: Broker, group: str) -> None:
    topic, taken = await broker.topic(), Taken()
    taken.failures = 1_000_000
    await broker.send(topic, b"1")
    consumers = broker.consumers()
    consumers.batches([topic], group, taken)
    await consumers.start()
    await until(lambda: len(taken.batches) > 1, "it is tried again")
    await consumers.stop()
    assert await broker.committed(group, topic) == 0


async def test_two_instances_of_a_group_share_the_partitions_and_miss_nothing(broker: Broker, group: str) -> None:
    topic, takers = await broker.topic(partitions=4), [Taken(), Taken()]
    for taken in takers:
        consumers = broker.consumers()
        consumers.batches([topic], group, taken)
        await consumers.start()
        await until(lambda these=consumers: not these.complaints(), "it runs")  # type: ignore[misc]
    sent = [f"{n}".encode() for n in range(40)]
    for n, value in enumerate(sent):
        await broker.send(topic, value, partition=n % 4)
    await until(lambda: {*takers[0].handled, *takers[1].handled} == set(sent), "all arrive at one or the other")


async def test_an_assigned_partition_is_read_from_now_on_and_no_other(broker: Broker) -> None:
    topic, taken = await broker.topic(partitions=2), Taken()
    await broker.send(topic, b"old", partition=1)
    consumers = broker.consumers()
    consumers.assigned(topic, [1], taken, start="latest")
    await consumers.start()
    await until(lambda: not consumers.complaints(), "it runs")

    async def arrived() -> bool:
        await broker.send(topic, b"elsewhere", partition=0)
        await broker.send(topic, b"new", partition=1)
        return b"new" in taken.values

    await until(arrived, "what comes now arrives")
    assert set(taken.values) == {b"new"}


async def test_an_assigned_partition_can_be_read_from_the_first_record_and_from_any(broker: Broker) -> None:
    topic, taken = await broker.topic(), Taken()
    await broker.send(topic, b"0", b"1", b"2", b"3")
    consumers = broker.consumers()
    consumption = consumers.assigned(topic, [0], taken, start="earliest")
    await consumers.start()
    await until(lambda: taken.values == [b"0", b"1", b"2", b"3"], "all is read")
    consumption.seek(TopicPartition(topic, 0), 2)
    await until(lambda: taken.values[4:] == [b"2", b"3"], "and again from where it was told")


async def test_consumers_that_were_not_started_say_so(broker: Broker) -> None:
    consumers = broker.consumers()
    consumers.batches([await broker.topic()], "group", Taken())
    assert consumers.complaints() == ["not connected to Kafka"]
    await consumers.start()
    await until(lambda: consumers.complaints() == [], "it runs")
