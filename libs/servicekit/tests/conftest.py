"""A Kafka that others use too, and a producer on it."""

from collections.abc import AsyncIterator

import pytest
from libs.servicekit.tests.broker import Broker, until

from local_stack.engines import Addresses
from servicekit.kafka import Producer


@pytest.fixture(scope="module")
async def producer(engines: Addresses) -> AsyncIterator[Producer]:
    """A producer that is connected."""
    made = Producer(engines.kafka_bootstrap, "test")
    await made.start()
    await until(lambda: made.ready, "the producer connects")
    yield made
    await made.stop()


@pytest.fixture
async def broker(engines: Addresses, producer: Producer) -> AsyncIterator[Broker]:
    """The broker."""
    made = Broker(engines.kafka_bootstrap, producer)
    yield made
    await made.stop()
