"""Two instances of the service on engines of their own."""

import contextlib
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from local_stack.engines import Engines
from local_stack.environment import NAMESPACE
from local_stack.issuer import Issuer
from notifications.testing.house import Guest, House
from notifications.testing.owners import StubOwners
from notifications.testing.waiting import until
from servicekit.kafka import Producer
from servicekit.settings import IssuerSettings
from servicekit.testing import running
from servicekit.tokens import TokenVerifier
from servicekit.topics import create_topics


@pytest.fixture(scope="module")
async def house(own_engines: Engines, issuer: Issuer) -> AsyncIterator[House]:
    await create_topics(own_engines.kafka_bootstrap, partitions=12, replication=1)
    accepted = IssuerSettings(issuer=issuer.url, jwks_url=issuer.jwks_url, namespace=UUID(NAMESPACE))
    verifier = TokenVerifier([accepted])
    owners = StubOwners(verifier)
    producer = Producer(own_engines.kafka_bootstrap, "tests")
    async with contextlib.AsyncExitStack() as stack:
        await verifier.start()
        stack.push_async_callback(verifier.stop)
        await producer.start()
        stack.push_async_callback(producer.stop)
        await until(lambda: producer.ready, "the producer")
        made = House(
            kafka_bootstrap=own_engines.kafka_bootstrap,
            redis_url=own_engines.redis_url,
            issuer=accepted,
            sign=issuer.token,
            owners=owners,
            owners_url=await stack.enter_async_context(running(owners.app)),
            producer=producer,
        )
        made.urls = [await stack.enter_async_context(made.instance()) for _ in range(2)]
        yield made


@pytest.fixture
async def guest(house: House) -> AsyncIterator[Guest]:
    made = Guest(house)
    try:
        yield made
    finally:
        for watcher in made.watchers:
            await watcher.close()
