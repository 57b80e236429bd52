"""What is behind, and for how long: a consumer on its topic, the relay on its store."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from libs.servicekit.tests.broker import Broker, Taken, until
from libs.servicekit.tests.store import happen

from local_stack.databases import Database as FreshDatabase
from production_contracts.envelope import KafkaRecord
from servicekit import journal, kafka
from servicekit.database import Database
from servicekit.kafka import LAG, Producer
from servicekit.relay import UNPUBLISHED, UNPUBLISHED_AGE, Relay


async def test_lag_is_what_lies_past_the_records_handed_over(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "_LAG_PERIOD_S", 0.0)
    topic, taken, group = await broker.topic(), Taken(), f"group-{uuid4().hex}"
    consumers = broker.consumers()
    consumers.batches([topic], group, taken, max_records=10)
    await consumers.start()
    await broker.send(topic, b"first")
    await until(lambda: taken.handled == [b"first"], "it reads")
    taken.go.clear()
    together = [KafkaRecord(topic=topic, key=b"k", value=b"waiting", headers=[])] * 30
    assert await broker.producer.send_together(together, 0) == 30
    await until(lambda: len(taken.values) == 11, "the first of three batches is in hand")
    lag = LAG.labels(consumer=group, topic=topic)._value
    assert lag.get() == 20
    taken.go.set()
    await until(lambda: len(taken.handled) == 31 and lag.get() == 0, "nothing is behind")


async def test_the_age_of_what_is_unpublished_is_that_of_the_oldest(
    fresh_database: Callable[..., FreshDatabase],
) -> None:
    with fresh_database("booking") as fresh:
        database = Database(fresh.url, pool_size=2)
        relay = Relay(database, Producer("unused:1", "test"), "booking", holder="test")
        count, age = UNPUBLISHED.labels(stream="booking")._value, UNPUBLISHED_AGE.labels(stream="booking")._value
        try:
            await relay._lead()
            assert (count.get(), age.get()) == (0, 0)
            tenants = [uuid4(), uuid4()]
            for tenant in tenants:
                await happen(database, tenant, 2)
            relay._renew_at = 0.0
            await relay._lead()
            young = age.get()
            assert count.get() == 4
            assert young > 0
            relay._renew_at = 0.0
            await relay._lead()
            assert age.get() > young
            async with database.statement() as connection:
                await journal.mark_published(connection, dict.fromkeys(tenants, 2))
            relay._renew_at = 0.0
            await relay._lead()
            assert (count.get(), age.get()) == (0, 0)
        finally:
            await database.stop()
