"""What tenancy does while something that it needs is away."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from services.tenancy.tests.conftest import Service, ask, eventually, serving, settings_of

from local_stack.databases import Databases
from local_stack.engines import Engines
from local_stack.issuer import Issuer
from production_contracts.commands import CreateArtist
from production_contracts.topics import PARTITIONS_LOCAL
from servicekit.topics import create_topics


@pytest.fixture(scope="module")
async def breakable(own_engines: Engines, issuer: Issuer) -> AsyncIterator[Service]:
    """Tenancy, started while PostgreSQL and Kafka are away."""
    engines = own_engines.addresses
    await create_topics(engines.kafka_bootstrap, partitions=PARTITIONS_LOCAL, replication=1)
    database = await asyncio.to_thread(Databases(engines, logs=own_engines.logs).fresh, "tenancy")
    await asyncio.to_thread(own_engines.postgres.stop)
    await asyncio.to_thread(own_engines.kafka.stop)
    async with serving(settings_of(engines, database, issuer), database, issuer) as service:
        yield service


async def test_it_starts_while_all_is_away_and_is_ready_once_all_is_there(
    own_engines: Engines, breakable: Service
) -> None:
    async with breakable.session.get(f"{breakable.url}/healthz") as response:
        assert response.status == 200
    assert await breakable.failing() == ["postgresql", "kafka", "consumers", "removals"]
    reader = breakable.reader()
    status, problem, _ = await reader.get("/v1/artists")
    assert (status, problem["type"]) == (503, "/problems/unavailable")
    await asyncio.to_thread(own_engines.postgres.start)
    await asyncio.to_thread(own_engines.kafka.start)
    await eventually(breakable.ready, "ready")
    assert (await breakable.desk.do(ask(reader.tenant_id, CreateArtist(name="Ana")))).outcome.status == 201


async def test_commands_wait_while_postgresql_is_away_and_are_decided_once(
    own_engines: Engines, breakable: Service
) -> None:
    await eventually(breakable.ready, "ready")
    reader = breakable.reader()
    asked = [ask(reader.tenant_id, CreateArtist(name=f"Artist {n}")) for n in range(10)]
    own_engines.postgres.kill()
    for command in asked:
        await breakable.desk.send(command)
    assert await breakable.failing() == ["postgresql"]
    await asyncio.to_thread(own_engines.postgres.start)
    assert [(await breakable.desk.replied(command)).position for command in asked] == list(range(2, 12))
    await eventually(breakable.ready, "ready")


async def test_an_outage_of_kafka_shows_and_passes(own_engines: Engines, breakable: Service) -> None:
    await eventually(breakable.ready, "ready")
    await asyncio.to_thread(own_engines.kafka.kill)

    async def shows() -> bool:
        return "kafka" in await breakable.failing()

    await eventually(shows, "kafka is not ready")
    reader = breakable.reader()
    assert (await reader.get("/v1/artists"))[0] == 200
    await asyncio.to_thread(own_engines.kafka.start)
    await eventually(breakable.ready, "ready")
    assert (await breakable.desk.do(ask(reader.tenant_id, CreateArtist(name="Ana")))).outcome.status == 201
