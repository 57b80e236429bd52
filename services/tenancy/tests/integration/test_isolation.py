"""Row-level security, seen by the serving role itself."""

import psycopg
import pytest
from services.tenancy.tests.conftest import Service, ask

from production_contracts.commands import CreateArtist

TABLES = ("tenants", "artists", "events", "command_log")


async def test_without_a_tenant_in_hand_nothing_is_read_and_with_one_its_own(service: Service) -> None:
    mine, other = service.reader().tenant_id, service.reader().tenant_id
    for tenant in (mine, other):
        await service.desk.do(ask(tenant, CreateArtist(name="Ana")))
    with psycopg.connect(service.database.dsn) as connection:
        for table in TABLES:
            assert connection.execute(f"select count(*) from {table}".encode()).fetchone() == (0,)  # noqa: S608
        connection.execute("select set_config('app.tenant_ids', %s, true)", ("{" + str(mine) + "}",))
        for table in TABLES:
            seen = connection.execute(f"select distinct tenant_id from {table}".encode()).fetchall()  # noqa: S608
            assert seen == [(mine,)]
        connection.commit()
        assert connection.execute("select count(*) from artists").fetchone() == (0,)


async def test_nothing_is_written_for_a_tenant_that_is_not_in_hand(service: Service) -> None:
    mine, other = service.reader().tenant_id, service.reader().tenant_id
    with psycopg.connect(service.database.dsn) as connection:
        connection.execute("select set_config('app.tenant_ids', %s, true)", ("{" + str(mine) + "}",))
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            connection.execute("insert into tenants values (%s, 1, 1, now())", (other,))


def test_the_owner_of_the_tables_is_bound_as_well(service: Service) -> None:
    with psycopg.connect(service.database.owner_dsn) as connection:
        for table in TABLES:
            assert connection.execute(f"select count(*) from {table}".encode()).fetchone() == (0,)  # noqa: S608
