"""Statements past SQLAlchemy: in its transaction, with its rows, counts and errors."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from local_stack.databases import Database as FreshDatabase
from servicekit import tracing
from servicekit.database import Database, is_transient
from servicekit.statements import _driver, change, fetch

ADD = text("insert into streams (tenant_id) select * from unnest(cast(:tenants as uuid[])) on conflict do nothing")
ADD_ONE = text("insert into streams (tenant_id) values (cast(:tenant as uuid))")
FIND = text("""
    select tenant_id, position::bigint as at, cast(:tenants as uuid[])::text as asked from streams
    where tenant_id = any (cast(:tenants as uuid[])) and position >= cast(:least as bigint)
""")
KILL = text("select pg_terminate_backend(pg_backend_pid())")


@pytest.fixture(scope="module")
async def database(fresh_database: Callable[..., FreshDatabase]) -> AsyncIterator[Database]:
    with fresh_database("booking") as fresh:
        opened = Database(fresh.url, pool_size=2, command_timeout=20)
        yield opened
        await opened.stop()


@pytest.fixture(params=["past SQLAlchemy", "traced"])
def either_way(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether statements go past SQLAlchemy: it makes no difference to whoever sends one."""
    if request.param == "traced":
        tracing.install("test", "one", InMemorySpanExporter(), at_once=True)
    yield request.param != "traced"
    tracing.uninstall()


async def found(connection: AsyncConnection, *tenants: UUID) -> list[tuple[UUID, int]]:
    rows = await fetch(connection, FIND, {"tenants": list(tenants), "least": 0})
    return [(row.tenant_id, row.at) for row in rows]


async def test_rows_and_counts(database: Database, either_way: bool) -> None:  # noqa: FBT001 - a fixture
    tenants = [uuid4() for _ in range(3)]
    async with database.transaction() as connection:
        assert (_driver(connection) is not None) == either_way
        assert await change(connection, ADD, {"tenants": tenants}) == 3
        assert await change(connection, ADD, {"tenants": [*tenants, uuid4()]}) == 1
        assert sorted(await found(connection, *tenants)) == sorted((tenant, 0) for tenant in tenants)
        (row,) = await fetch(connection, FIND, {"tenants": tenants[:1], "least": 0})
        assert row.asked == "{" + str(tenants[0]) + "}"
        with pytest.raises(AttributeError):
            _ = row.published


async def test_what_is_done_belongs_to_the_transaction(database: Database, either_way: bool) -> None:  # noqa: FBT001
    del either_way
    kept, dropped = uuid4(), uuid4()
    async with database.transaction() as connection:
        await change(connection, ADD, {"tenants": [kept]})
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - what is done before the exception is what matters
        async with database.transaction() as connection:
            await change(connection, ADD, {"tenants": [dropped]})
            raise ZeroDivisionError
    async with database.statement() as connection:
        assert await found(connection, kept, dropped) == [(kept, 0)]
        assert await change(connection, ADD, {"tenants": [dropped]}) == 1
    async with database.statement() as connection:
        assert await found(connection, dropped) == [(dropped, 0)]


async def test_the_first_statement_opens_the_transaction(database: Database) -> None:
    """Whoever begins one with SQLAlchemy has sent nothing yet: this must not run before it, and stay."""
    tenant = uuid4()
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - as above
        async with database.engine.begin() as connection:
            await change(connection, ADD, {"tenants": [tenant]})
            assert _driver(connection) is not None
            raise ZeroDivisionError
    async with database.statement() as connection:
        assert await found(connection, tenant) == []


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        (ADD_ONE, IntegrityError),
        (text("select * from nowhere where :tenant is not null"), ProgrammingError),
        (text("select 1 / (length(cast(:tenant as text)) - 36)"), DBAPIError),
    ],
)
async def test_what_fails_reads_as_it_would_there(
    database: Database,
    either_way: bool,  # noqa: FBT001 - a fixture
    statement: Any,  # noqa: ANN401 - mypy and pytest do not agree on parameters
    kind: type[DBAPIError],
) -> None:
    del either_way
    tenant = uuid4()
    async with database.transaction() as connection:
        await change(connection, ADD, {"tenants": [tenant]})
    with pytest.raises(kind) as caught:
        async with database.transaction() as connection:
            await fetch(connection, statement, {"tenant": tenant})
    assert not is_transient(caught.value)
    async with database.transaction() as connection:
        assert await found(connection, tenant) == [(tenant, 0)]


async def test_a_connection_that_is_lost_is_an_outage_and_is_given_up(database: Database, either_way: bool) -> None:  # noqa: FBT001
    del either_way
    for _ in range(3):
        with pytest.raises(DBAPIError) as caught:
            async with database.transaction() as connection:
                await fetch(connection, KILL, {})
        assert is_transient(caught.value)
        assert caught.value.connection_invalidated
    async with database.transaction() as connection:
        assert await found(connection) == []
