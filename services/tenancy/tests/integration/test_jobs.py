"""The jobs of the command line, as an operator runs them."""

import asyncio
import os
import sys
from uuid import UUID

import pytest
from services.tenancy.tests.conftest import Service, ask

from local_stack.engines import Engines
from local_stack.environment import service_environment
from local_stack.port import Ports
from production_contracts.commands import AmendArtist, ArchiveArtist, CreateArtist
from servicekit import jobs
from servicekit.database import Database
from tenancy.application.projection import TenancyProjection


class _Shell:
    def __init__(self, engines: Engines, service: Service) -> None:
        databases = {"tenancy": service.database.name, "booking": "none"}
        self._environment = service_environment(engines.addresses, Ports(), "http://127.0.0.1:1", databases=databases)[
            "tenancy"
        ]

    async def tenancy(self, *words: str) -> tuple[int | None, str]:
        """Run ``python -m tenancy``; gives its exit status and what it said."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tenancy",
            *words,
            env=os.environ | self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        return process.returncode, said.decode()


async def _differing(service: Service) -> list[UUID]:
    database = Database(service.database.url, pool_size=1)
    try:
        return (await jobs.verify(database, "tenancy", TenancyProjection())).differing
    finally:
        await database.stop()


@pytest.fixture
def shell(tenancy_engines: Engines, service: Service) -> _Shell:
    return _Shell(tenancy_engines, service)


async def test_the_events_say_what_the_rows_say_and_a_rebuild_mends_what_was_tampered_with(
    service: Service, shell: _Shell
) -> None:
    mine, other = service.reader(), service.reader()
    for reader in (mine, other):
        create = ask(reader.tenant_id, CreateArtist(name="Ana", time_zone="Europe/Berlin"))
        await service.desk.do(create)
        await service.desk.do(ask(reader.tenant_id, AmendArtist(name="Ana B"), create.aggregate_id))
        await service.desk.do(ask(reader.tenant_id, ArchiveArtist(), create.aggregate_id))
    before = (await mine.get("/v1/artists"))[1], (await mine.get("/v1/tenant"))[1]
    assert await _differing(service) == []
    service.look("update artists set name = 'Eve' where tenant_id = %s returning 1", mine.tenant_id)
    service.look("delete from tenants where tenant_id = %s returning 1", mine.tenant_id)
    status, said = await shell.tenancy("rebuild", "--verify")
    assert (status, str(mine.tenant_id) in said, str(other.tenant_id) in said) == (1, True, False)
    assert (await shell.tenancy("rebuild"))[0] == 0
    assert await _differing(service) == []
    assert ((await mine.get("/v1/artists"))[1], (await mine.get("/v1/tenant"))[1]) == before


async def test_a_gap_in_the_store_is_told(service: Service, shell: _Shell) -> None:
    reader = service.reader()
    for _ in range(2):
        await service.desk.do(ask(reader.tenant_id, CreateArtist(name="Ana")))
    gone = "delete from events where tenant_id = %s and position = 2 returning id"
    service.look(gone, reader.tenant_id)
    status, said = await shell.tenancy("rebuild", "--verify")
    assert (status, f"{reader.tenant_id}: position 2 is missing" in said) == (1, True)
    service.look("delete from events where tenant_id = %s returning 1", reader.tenant_id)
    service.look("delete from streams where tenant_id = %s returning 1", reader.tenant_id)


async def test_outcomes_are_forgotten_after_400_days(service: Service, shell: _Shell) -> None:
    reader = service.reader()
    old, young = (ask(reader.tenant_id, CreateArtist(name="Ana")) for _ in range(2))
    for command, days in ((old, 401), (young, 399)):
        await service.desk.do(command)
        service.look(
            "update command_log set decided_at = now() - make_interval(days => %s) where command_id = %s returning 1",
            days,
            command.id,
        )
    assert (await shell.tenancy("prune"))[0] == 0
    assert (await reader.get(f"/v1/commands/{old.id}"))[0] == 404
    assert (await reader.get(f"/v1/commands/{young.id}"))[0] == 200


async def test_a_renewed_epoch_is_told_by_the_head(service: Service, shell: _Shell) -> None:
    reader = service.reader()
    before = (await reader.get("/v1/head"))[1]
    status, said = await shell.tenancy("epoch", "--renew")
    after = (await reader.get("/v1/head"))[1]
    assert (status, after["epoch"] in said, after["epoch"] != before["epoch"]) == (0, True, True)
