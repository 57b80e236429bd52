"""A worker on a database of its own."""

from collections.abc import AsyncIterator, Callable

import pytest
from services.booking.tests.bench import Bench

from local_stack.databases import Database as FreshDatabase
from servicekit.database import Database


@pytest.fixture
async def bench(fresh_database: Callable[..., FreshDatabase]) -> AsyncIterator[Bench]:
    """A worker on a new database."""
    with fresh_database("booking") as fresh:
        database = Database(fresh.url, pool_size=4)
        yield Bench(database, fresh)
        await database.stop()


@pytest.fixture(scope="module")
async def shared_bench(fresh_database: Callable[..., FreshDatabase]) -> AsyncIterator[Bench]:
    """A worker on a database that a module's tests share: each uses tenants of its own."""
    with fresh_database("booking") as fresh:
        database = Database(fresh.url, pool_size=10)
        yield Bench(database, fresh)
        await database.stop()
