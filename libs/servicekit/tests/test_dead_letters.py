"""Dead letters: put aside once, and no more of them than the limit allows: then the consumer stands still, loudly."""

from collections import deque
from collections.abc import Sequence
from uuid import uuid4

import pytest
from libs.servicekit.tests.broker import Broker, Taken, until
from prometheus_client import REGISTRY

from servicekit.dead_letters import WINDOW, DeadLetters, Limit, TooManyDeadLettersError
from servicekit.kafka import Record


@pytest.fixture
def group() -> str:
    return f"group-{uuid4().hex}"


@pytest.mark.parametrize(
    ("offsets", "said"),
    [
        ([7], None),
        ([7, 8, 9], None),
        ([7, 8, 9, 10], "more than 3 in a row"),
        ([7, 8, 9, 11], None),
        ([1, 3, 8, 9, 10, 11], "more than 3 in a row"),
        (list(range(0, 20, 2)), None),
        (list(range(0, 22, 2)), "more than 1% of the last 1,000 records"),
        (list(range(0, 50 * WINDOW, WINDOW)), None),
    ],
)
def test_the_limit_is_a_run_or_a_part_of_the_last_records(offsets: list[int], said: str | None) -> None:
    assert Limit(in_a_row=3, ratio=0.01).exceeded(deque(offsets)) == said


class Refusing:
    """A handler that can't handle what begins with ``bad``."""

    def __init__(self, letters: DeadLetters) -> None:
        """Put it aside with ``letters``."""
        self.handled: list[bytes] = []
        self._letters = letters

    async def __call__(self, records: Sequence[Record]) -> None:
        """Take a batch."""
        for record in records:
            if (record.value or b"").startswith(b"bad"):
                await self._letters.put(record, "it is bad")
            else:
                self.handled.append(record.value or b"")


async def test_a_record_is_put_aside_once_however_often_its_batch_comes_again(broker: Broker, group: str) -> None:
    topic, letters, outage = await broker.topic(), DeadLetters(broker.producer, "test"), Taken()
    outage.failures = 3
    refusing = Refusing(letters)
    await broker.send(topic, b"1", b"bad", b"2")

    async def both(records: Sequence[Record]) -> None:
        await refusing(records)
        await outage(records)

    consumers = broker.consumers()
    consumers.batches([topic], group, both)
    await consumers.start()
    await until(lambda: outage.handled[-1:] == [b"2"], "the outage ends")
    assert await broker.ends(f"{topic}.dlq") == [1]


async def test_at_the_limit_the_consumer_stops_in_front_of_the_batch_and_says_so(broker: Broker, group: str) -> None:
    topic = await broker.topic()
    refusing = Refusing(DeadLetters(broker.producer, "test", Limit(in_a_row=3)))
    await broker.send(topic, b"good")
    consumers = broker.consumers()
    consumers.batches([topic], group, refusing)
    await consumers.start()

    async def committed() -> bool:
        return await broker.committed(group, topic) == 1

    await until(committed, "the first is committed")
    assert consumers.stopped == []
    for number in range(20):
        await broker.send(topic, f"bad {number}".encode())
    await until(lambda: consumers.stopped == [group], "it stops")
    (complaint,) = consumers.complaints()
    assert complaint.startswith(f"{group} is stopped: more than 3 in a row of a partition can't be handled; ")
    assert complaint.endswith(": it is bad")
    assert REGISTRY.get_sample_value("consumer_stopped", {"consumer": group}) == 1
    assert await broker.ends(f"{topic}.dlq") == [3]
    stood = await broker.committed(group, topic)
    assert stood <= 4, "the batch that hit the limit is not committed"
    await consumers.stop()

    successor, again = broker.consumers(), Refusing(DeadLetters(broker.producer, "test", Limit(in_a_row=100)))
    successor.batches([topic], group, again)
    await successor.start()
    await broker.send(topic, b"after")
    await until(lambda: again.handled == [b"after"], "with a higher limit it goes on where it stood")
    letters = await broker.read(f"{topic}.dlq", 3 + 21 - stood)
    assert {dict(letter.headers)["dlq_offset"] for letter in letters} == {str(n).encode() for n in range(1, 21)}


async def test_one_consumer_that_stops_stops_no_other(broker: Broker, group: str) -> None:
    bad, good, taken = await broker.topic(), await broker.topic(), Taken()
    consumers = broker.consumers()
    consumers.batches([bad], group, Refusing(DeadLetters(broker.producer, "test", Limit(in_a_row=1))))
    consumers.batches([good], f"{group}-other", taken)
    await consumers.start()
    await broker.send(bad, b"bad", b"bad")
    await until(lambda: bool(consumers.stopped), "it stops")
    await broker.send(good, b"1")
    await until(lambda: taken.handled == [b"1"], "the other goes on")
    assert consumers.stopped == [group]


async def test_what_is_over_the_limit_is_not_put_aside(broker: Broker) -> None:
    topic, taken = await broker.topic(), Taken()
    await broker.send(topic, b"1", b"2")
    consumers = broker.consumers()
    consumers.assigned(topic, [0], taken, start="earliest")
    await consumers.start()
    await until(lambda: len(taken.records) == 2, "both arrive")
    letters = DeadLetters(broker.producer, "test", Limit(in_a_row=1))
    await letters.put(taken.records[0], "first")
    with pytest.raises(TooManyDeadLettersError, match="more than 1 in a row"):
        await letters.put(taken.records[1], "second")
    assert await broker.ends(f"{topic}.dlq") == [1]
