"""Producers on a real broker, and the dead letters that go through them."""

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber
from libs.servicekit.tests.broker import Broker, Taken, until

from production_contracts.envelope import KafkaRecord
from servicekit.dead_letters import DeadLetters
from servicekit.kafka import KafkaUnavailableError, Producer


def record(topic: str, value: bytes, partition: int | None = 0) -> KafkaRecord:
    return KafkaRecord(topic=topic, key=b"k", value=value, headers=[("h", b"\xff")], partition=partition)


async def test_a_record_is_acknowledged_with_its_place(broker: Broker) -> None:
    topic = await broker.topic()
    places = [await broker.producer.send_and_wait(record(topic, value)) for value in (b"1", b"2")]
    assert [(place.topic, place.partition, place.offset) for place in places] == [(topic, 0, 0), (topic, 0, 1)]
    (first, second) = await broker.read(topic, 2)
    assert (first.key, first.value, second.value) == (b"k", b"1", b"2")
    assert list(first.headers) == [("h", b"\xff")]


async def test_records_sent_together_are_one_batch_in_order(broker: Broker) -> None:
    topic = await broker.topic(partitions=2)
    sent = await broker.producer.send_together([record(topic, f"{n}".encode()) for n in range(50)], partition=1)
    assert sent == 50
    assert await broker.ends(topic) == [0, 50]
    read = await broker.read(topic, 50)
    assert [one.value for one in read] == [f"{n}".encode() for n in range(50)]
    assert list(read[0].headers) == [("h", b"\xff")]


async def test_of_more_than_a_batch_holds_the_first_are_sent_and_it_is_said_how_many(broker: Broker) -> None:
    topic = await broker.topic()
    large = [record(topic, bytes([n]) * 200_000) for n in range(8)]
    sent = await broker.producer.send_together(large, partition=0)
    assert 0 < sent < 8
    assert await broker.ends(topic) == [sent]
    assert [one.value and one.value[0] for one in await broker.read(topic, sent)] == list(range(sent))


async def test_a_record_larger_than_kafka_takes_is_refused_and_the_next_is_sent(broker: Broker) -> None:
    topic = await broker.topic()
    with pytest.raises(KafkaUnavailableError):
        await broker.producer.send_and_wait(record(topic, b"x" * 2_000_000))
    await broker.producer.send_and_wait(record(topic, b"x"))
    assert await broker.ends(topic) == [1]


@pytest.mark.parametrize("how", ["alone", "together"])
async def test_a_batch_that_was_given_up_is_not_missed_by_those_that_follow(broker: Broker, how: str) -> None:
    topic = await broker.topic()
    producer = Producer(broker.bootstrap, "gap")

    async def send(value: bytes) -> None:
        if how == "together":
            await producer.send_together([record(topic, value)], partition=0)
        else:
            await producer.send_and_wait(record(topic, value))

    await producer.start()
    try:
        await until(lambda: producer.ready, "a producer")
        await send(b"1")
        first = producer._connected()
        # What aiokafka leaves behind when it gives a batch up for want of a leader (`drain_by_nodes`).
        first._txn_manager.increment_sequence_number(TopicPartition(topic, 0), 3)
        with pytest.raises(OutOfOrderSequenceNumber):
            await send(b"2")
        await until(lambda: producer._producer is not first, "another producer")
        for value in (b"3", b"4"):
            await send(value)
        assert [one.value for one in await broker.read(topic, 3)] == [b"1", b"3", b"4"]
    finally:
        await producer.stop()


async def test_after_a_batch_that_kafka_refused_its_partition_takes_records_again(broker: Broker) -> None:
    topic = await broker.topic(max_message_bytes="2000")
    await broker.producer.send_and_wait(record(topic, b"before"))
    with pytest.raises(KafkaError):
        await broker.producer.send_and_wait(record(topic, b"x" * 5000))  # its sequence number is gone with it

    async def taken() -> bool:
        try:
            await broker.producer.send_and_wait(record(topic, b"after"))
        except KafkaError:
            return False
        return True

    await until(taken, "a record is taken")
    assert [one.value for one in await broker.read(topic, 2)] == [b"before", b"after"]


async def test_what_a_replaced_producer_still_holds_is_sent(broker: Broker) -> None:
    topic = await broker.topic(partitions=2, max_message_bytes="2000")
    refused = await broker.producer.send(record(topic, b"x" * 5000, partition=0))
    others = [await broker.producer.send(record(topic, b"%d" % number, partition=1)) for number in range(20)]
    with pytest.raises(KafkaError):
        await refused
    assert [(await one).offset for one in others] == list(range(20))


async def test_partitions_are_named_in_order(broker: Broker) -> None:
    assert await broker.producer.partitions(await broker.topic(partitions=3)) == [0, 1, 2]


async def test_a_producer_that_is_not_connected_says_that_nothing_was_sent() -> None:
    producer = Producer("127.0.0.1:1", "test")
    assert not producer.ready
    assert not await producer.reaches_kafka()
    for call in (
        producer.send(record("t", b"x")),
        producer.send_and_wait(record("t", b"x")),
        producer.send_together([record("t", b"x")], 0),
        producer.partitions("t"),
    ):
        with pytest.raises(KafkaUnavailableError):
            await call
    await producer.start()
    await producer.stop()


async def test_what_is_put_aside_is_kept_whole_with_its_reason_and_its_place(broker: Broker) -> None:
    topic, taken = await broker.topic(), Taken()
    await broker.send(topic, b"before")
    await broker.send(topic, b"\x00broken", key=b"tenant", headers=[("ce_id", b"\xff"), ("dlq_reason", b"of before")])
    consumers = broker.consumers()
    consumers.assigned(topic, [0], taken, start="earliest")
    await consumers.start()
    await until(lambda: len(taken.records) == 2, "both arrive")
    await DeadLetters(broker.producer, "test").put(taken.records[1], "it is ☠ " + "x" * 2000)
    (letter,) = await broker.read(f"{topic}.dlq", 1)
    headers = dict(letter.headers)
    assert (letter.key, letter.value, headers["ce_id"]) == (b"tenant", b"\x00broken", b"\xff")
    assert headers["dlq_reason"].decode().startswith("it is ☠ xxx")
    assert len(headers["dlq_reason"].decode()) == 1000
    assert (headers["dlq_topic"], headers["dlq_partition"], headers["dlq_offset"]) == (topic.encode(), b"0", b"1")
    assert headers["dlq_time"].endswith(b"Z")
    assert [name for name, _ in letter.headers].count("dlq_reason") == 1


async def test_what_has_neither_key_nor_value_can_be_put_aside(broker: Broker) -> None:
    topic, taken = await broker.topic(), Taken()
    await broker.send(topic, b"", key=b"")
    consumers = broker.consumers()
    consumers.assigned(topic, [0], taken, start="earliest")
    await consumers.start()
    await until(lambda: len(taken.records) == 1, "it arrives")
    await DeadLetters(broker.producer, "test").put(taken.records[0], "")
    (letter,) = await broker.read(f"{topic}.dlq", 1)
    assert not letter.value
    assert dict(letter.headers)["dlq_reason"] == b""
