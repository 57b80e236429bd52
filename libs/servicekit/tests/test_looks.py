"""A look: what it sees of its tenant and of nobody else, and what becomes of its connection."""

import asyncio
from collections.abc import AsyncIterator, Callable
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from local_stack.databases import Database as FreshDatabase
from servicekit import journal
from servicekit.database import Database, is_transient
from servicekit.looks import HEAD, Look, look

ARTISTS = Look("select id, status from artists order by id")
SLOW = Look("select cast(pg_sleep(60) as text)")


@pytest.fixture(scope="module")
async def fresh(fresh_database: Callable[..., FreshDatabase]) -> AsyncIterator[FreshDatabase]:
    with fresh_database("booking") as made:
        yield made


@pytest.fixture
async def database(fresh: FreshDatabase) -> AsyncIterator[Database]:
    opened = Database(fresh.url, pool_size=1, command_timeout=20)
    yield opened
    await opened.stop()


async def add_artists(database: Database, tenant: UUID, count: int) -> list[UUID]:
    artists = sorted(uuid4() for _ in range(count))
    async with database.transaction([tenant]) as connection:
        await connection.execute(
            text("insert into artists select :tenant, a, 'active', null, 1 from unnest(cast(:ids as uuid[])) a"),
            {"tenant": tenant, "ids": artists},
        )
    return artists


async def test_a_look_sees_its_tenant_and_no_other_though_it_names_none(database: Database) -> None:
    tenants = [uuid4(), uuid4()]
    artists = {tenant: await add_artists(database, tenant, 20) for tenant in tenants}
    for tenant in [*tenants, *reversed(tenants)]:
        seen = await database.look(tenant, ARTISTS, {})
        assert [row["id"] for row in seen.rows] == artists[tenant], "in the order that the query asks for"
        assert {row.status for row in seen.rows} == {"active"}
    assert (await database.look(uuid4(), ARTISTS, {})).rows == ()


async def test_nothing_of_a_look_stays_with_its_connection(database: Database) -> None:
    tenant = uuid4()
    await add_artists(database, tenant, 1)
    await database.look(tenant, ARTISTS, {})
    async with database.statement() as connection:
        said = (await connection.execute(text("select current_setting('app.tenant_ids', true)"))).scalar()
        found = (await connection.execute(text("select id from artists"))).all()
    assert (said, found) == ("", [])


async def test_a_look_tells_how_the_stream_stands_whatever_it_finds(database: Database) -> None:
    tenant = uuid4()
    assert (await database.look(tenant, HEAD, {})).position == 0, "nothing has happened yet"
    async with database.transaction([tenant]) as connection:
        await connection.execute(text("insert into streams (tenant_id, position) values (:t, 7)"), {"t": tenant})
    for asked in (HEAD, ARTISTS):
        seen = await database.look(tenant, asked, {})
        assert (seen.position, seen.deleted, seen.rows) == (7, False, ())
    async with database.transaction([tenant]) as connection:
        await journal.mark_deleted(connection, [tenant])
    assert (await database.look(tenant, HEAD, {})).deleted


async def test_values_go_by_name_each_as_often_as_it_is_named(database: Database) -> None:
    asked = look("select cast(:b as text) || cast(:a as text) || cast(:b as text) as said, cast(:tenant as uuid) as of")
    tenant = uuid4()
    (row,) = (await database.look(tenant, asked, {"a": "1", "b": "2"})).rows
    assert (row["said"], row.of) == ("212", tenant)
    with pytest.raises(AttributeError):
        _ = row.nothing
    assert look("select 1 as one") is look("select 1 as one")


async def test_a_connection_cut_while_it_lay_in_the_pool_is_replaced(fresh: FreshDatabase) -> None:
    serving = Database(fresh.url, pool_size=3)
    try:
        await asyncio.gather(*(serving.look(uuid4(), HEAD, {}) for _ in range(3)))
        async with await psycopg.AsyncConnection.connect(fresh.superuser_dsn, autocommit=True) as superuser:
            await superuser.execute(
                "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = %s and usename = %s",
                (fresh.name, "booking_service"),
            )
        for _ in range(4):
            assert (await serving.look(uuid4(), HEAD, {})).position == 0
    finally:
        await serving.stop()


async def test_a_look_past_its_deadline_or_cancelled_gives_its_place_in_the_pool_back(fresh: FreshDatabase) -> None:
    hasty = Database(fresh.url, pool_size=1, command_timeout=0.5)
    try:
        with pytest.raises(TimeoutError) as late:
            await hasty.look(uuid4(), SLOW, {})
        assert is_transient(late.value)
        task = asyncio.create_task(hasty.look(uuid4(), SLOW, {}))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await hasty.look(uuid4(), HEAD, {})).position == 0
    finally:
        await hasty.stop()


async def test_an_outage_is_of_the_moment_and_a_fault_of_ours_is_not(fresh: FreshDatabase, database: Database) -> None:
    for url in (
        "postgresql+asyncpg://booking_service:x@127.0.0.1:1/booking",
        fresh.url.replace("booking_service:", "booking_service:x"),
        fresh.url.replace(fresh.name, "nowhere"),
    ):
        away = Database(url)
        with pytest.raises((SQLAlchemyError, OSError)) as outage:
            await away.look(uuid4(), HEAD, {})
        assert is_transient(outage.value)
        await away.stop()
    with pytest.raises(SQLAlchemyError) as fault:
        await database.look(uuid4(), Look("select 1 / cast(:zero as integer)"), {"zero": 0})
    assert not is_transient(fault.value)
    assert (await database.look(uuid4(), HEAD, {})).position == 0, "and the connection goes on"


async def test_a_table_that_a_migration_changes_meanwhile_is_no_error_at_all(
    fresh: FreshDatabase, database: Database
) -> None:
    asked = Look("select * from leases")
    for _ in range(3):  # so that the statement is prepared, and kept
        await database.look(uuid4(), asked, {})
    with psycopg.connect(fresh.superuser_dsn, autocommit=True) as owner:
        owner.execute("alter table leases add column remark text")
    assert (await database.look(uuid4(), asked, {})).rows == ()
