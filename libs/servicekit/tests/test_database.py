"""Transactions opened to tenants, and which errors are of the moment."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from local_stack.databases import Database as FreshDatabase
from servicekit.database import Database, is_transient


@pytest.fixture(scope="module")
async def fresh(fresh_database: Callable[..., FreshDatabase]) -> AsyncIterator[FreshDatabase]:
    with fresh_database("booking") as made:
        yield made


@pytest.fixture(scope="module")
async def database(fresh: FreshDatabase) -> AsyncIterator[Database]:
    opened = Database(fresh.url, pool_size=3, command_timeout=20)
    yield opened
    await opened.stop()


async def add_stream(database: Database, tenant: UUID) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("insert into streams values (:tenant)"), {"tenant": tenant})


async def streams(database: Database, tenant: UUID) -> int:
    async with database.transaction() as connection:
        found = await connection.execute(text("select 1 from streams where tenant_id = :tenant"), {"tenant": tenant})
        return len(found.all())


async def test_a_table_that_a_migration_changes_meanwhile_is_an_error_of_the_moment(fresh: FreshDatabase) -> None:
    """Under load a migration adds columns: what was prepared before fails once, and no command is at fault."""
    serving = Database(fresh.url, pool_size=1, command_timeout=20)
    try:
        for _ in range(3):  # so that the statement is prepared, and kept
            async with serving.transaction() as connection:
                await connection.execute(text("select * from leases"))
        with psycopg.connect(fresh.superuser_dsn, autocommit=True) as owner:
            owner.execute("alter table leases add column remark text")
        with pytest.raises(DBAPIError, match="cached statement") as caught:
            async with serving.transaction() as connection:
                await connection.execute(text("select * from leases"))
        assert is_transient(caught.value)
        async with serving.transaction() as connection:
            await connection.execute(text("select * from leases"))
    finally:
        await serving.stop()


async def test_a_transaction_commits_at_its_end_and_not_on_an_exception(database: Database) -> None:
    kept, dropped = uuid4(), uuid4()
    await add_stream(database, kept)
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - what is done before the exception is what matters
        async with database.transaction() as connection:
            await connection.execute(text("insert into streams values (:tenant)"), {"tenant": dropped})
            raise ZeroDivisionError
    assert (await streams(database, kept), await streams(database, dropped)) == (1, 0)


async def test_a_transaction_that_is_cancelled_leaves_nothing_and_gives_its_connection_back(database: Database) -> None:
    tenant, begun = uuid4(), asyncio.Event()

    async def begin() -> None:
        async with database.transaction() as connection:
            await connection.execute(text("insert into streams values (:tenant)"), {"tenant": tenant})
            begun.set()
            await asyncio.Event().wait()

    for _ in range(6):
        begun.clear()
        task = asyncio.create_task(begin())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await streams(database, tenant) == 0


async def test_a_reading_transaction_sees_one_moment_and_can_not_write(database: Database) -> None:
    tenant = uuid4()
    async with database.reading(tenant) as connection:
        count = text("select count(*) from streams")
        before = (await connection.execute(count)).scalar_one()
        await add_stream(database, tenant)
        assert (await connection.execute(count)).scalar_one() == before
    with pytest.raises(DBAPIError, match="read-only"):
        async with database.reading(tenant) as connection:
            await connection.execute(text("insert into streams values (:tenant)"), {"tenant": uuid4()})


async def test_the_tenants_of_one_transaction_are_not_those_of_the_next(database: Database) -> None:
    tenants = [uuid4(), uuid4()]
    opened = text("select current_setting('app.tenant_ids', true)")
    async with database.transaction(tenants) as connection:
        said = str((await connection.execute(opened)).scalar_one())
        assert said.strip("{}").split(",") == list(map(str, tenants))
    async with database.transaction() as connection:
        assert (await connection.execute(opened)).scalar_one() == "{}"


async def raised(database: Database, statement: str, **values: object) -> BaseException:
    with pytest.raises((SQLAlchemyError, TimeoutError, OSError)) as caught:
        async with database.transaction() as connection:
            await connection.execute(text(statement), values)
    return caught.value


@pytest.mark.parametrize(
    ("code", "of_the_moment"),
    [
        ("08006", True),  # connection failure
        ("28P01", True),  # a password that is being changed
        ("3D000", True),  # no such database, yet or for the moment
        ("40001", True),  # serialization failure
        ("40P01", True),  # deadlock
        ("53100", True),  # disk full
        ("53300", True),  # too many connections
        ("55000", True),  # a database that takes no connections
        ("55P03", True),  # lock not available
        ("57014", True),  # query cancelled
        ("57P01", True),  # admin shutdown
        ("57P03", True),  # cannot connect now
        ("58030", True),  # I/O error
        ("25006", True),  # read-only: a standby after a failover
        ("22003", False),  # out of range
        ("22021", False),  # a character not in the repertoire: NUL
        ("23505", False),  # unique violation
        ("23514", False),  # check violation
        ("23P01", False),  # exclusion violation
        ("42501", False),  # insufficient privilege, as row-level security raises it
        ("42P01", False),  # undefined table
        ("P0001", False),  # raised on purpose
        ("XX000", False),  # internal error
    ],
)
async def test_an_error_of_the_server_is_of_the_moment_or_of_the_work_by_its_code(
    database: Database,
    code: str,
    of_the_moment: bool,  # noqa: FBT001 - a parameter of the table above
) -> None:
    error = await raised(database, f"do $$ begin raise exception using errcode = '{code}'; end $$")
    assert is_transient(error) is of_the_moment


async def test_a_value_that_the_driver_refuses_is_of_the_work_and_would_be_refused_for_ever(database: Database) -> None:
    for statement, value in (
        ("select cast(:value as integer)", 2**40),
        ("select cast(:value as smallint[])", [2**20]),
        ("select cast(:value as uuid)", "not-an-id"),
        ("select cast(:value as text[])", ["\ud800"]),
    ):
        assert not is_transient(await raised(database, statement, value=value))


async def test_a_database_that_can_not_be_reached_is_of_the_moment(fresh: FreshDatabase) -> None:
    away = Database("postgresql+asyncpg://booking_service:x@127.0.0.1:1/booking")
    assert is_transient(await raised(away, "select 1"))
    await away.stop()


async def test_a_password_that_is_not_ours_any_more_is_of_the_moment(fresh: FreshDatabase) -> None:
    locked_out = Database(fresh.url.replace("booking_service:", "booking_service:x"))
    assert is_transient(await raised(locked_out, "select 1"))
    await locked_out.stop()


async def test_a_connection_cut_in_a_transaction_is_of_the_moment(fresh: FreshDatabase, database: Database) -> None:
    def cut(pid: int) -> None:
        with psycopg.connect(fresh.superuser_dsn, autocommit=True) as superuser:
            superuser.execute("select pg_terminate_backend(%s, 10000)", (pid,))

    with pytest.raises(SQLAlchemyError) as caught:  # noqa: PT012 - what comes before is what matters
        async with database.transaction() as connection:
            pid = (await connection.execute(text("select pg_backend_pid()"))).scalar_one()
            await asyncio.to_thread(cut, pid)
            await connection.execute(text("select 1"))
    assert is_transient(caught.value)


async def test_a_statement_past_its_deadline_is_of_the_moment(fresh: FreshDatabase) -> None:
    hasty = Database(fresh.url, pool_size=1, command_timeout=0.2)
    assert is_transient(await raised(hasty, "select pg_sleep(60)"))
    assert await streams(hasty, uuid4()) == 0, "and the pool goes on"
    await hasty.stop()


async def test_connections_cut_while_they_lay_in_the_pool_are_replaced(
    fresh: FreshDatabase, database: Database
) -> None:
    await streams(database, uuid4())
    async with await psycopg.AsyncConnection.connect(fresh.superuser_dsn, autocommit=True) as superuser:
        await superuser.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = %s and usename = %s",
            (fresh.name, "booking_service"),
        )
    for _ in range(4):
        assert await streams(database, uuid4()) == 0


async def test_an_error_does_not_repeat_what_was_sent(database: Database) -> None:
    error: Any = await raised(database, "select cast(:value as text), 1 / 0", value="somebody's secret")
    assert "secret" not in f"{error} {error!r}"


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), RuntimeError("connection")])
def test_what_is_no_error_of_the_database_is_of_the_work(error: Exception) -> None:
    assert not is_transient(error)
