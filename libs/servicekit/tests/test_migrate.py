"""Migrations, and waiting for them as who serves."""

import asyncio
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from local_stack.databases import Database as FreshDatabase
from servicekit import migrate
from servicekit.access import DatabaseAccess

PATIENCE_S = 60


@pytest.fixture
def empty(fresh_database: Callable[..., FreshDatabase]) -> Iterator[FreshDatabase]:
    with fresh_database("booking", migrated=False) as made:
        yield made


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "_POLL_S", 0.05)


async def test_who_serves_waits_until_somebody_has_migrated(empty: FreshDatabase) -> None:
    waiting = asyncio.create_task(migrate.wait_until_migrated("booking", empty.url))
    await asyncio.to_thread(migrate.upgrade, "booking", empty.owner_url, "0001")
    with psycopg.connect(empty.dsn) as connection:
        assert connection.execute("select version_num from alembic_version").fetchone() == ("0001",)
    assert not waiting.done(), "the first revision is not the one of this version"
    await asyncio.to_thread(migrate.upgrade, "booking", empty.owner_url)
    assert await asyncio.wait_for(waiting, PATIENCE_S) == migrate.newest("booking")


async def test_a_database_of_a_later_version_will_do(empty: FreshDatabase) -> None:
    await asyncio.to_thread(migrate.upgrade, "booking", empty.owner_url)
    with psycopg.connect(empty.owner_dsn) as connection:
        connection.execute("update alembic_version set version_num = '9000'")
    assert await asyncio.wait_for(migrate.wait_until_migrated("booking", empty.url), PATIENCE_S) == "9000"


async def test_a_database_that_is_away_is_waited_for(fresh_database: Callable[..., FreshDatabase]) -> None:
    with fresh_database("booking") as made:
        nowhere = made.url.replace(made.name, "nowhere")
        waiting = asyncio.create_task(migrate.wait_until_migrated("booking", nowhere))
        assert await migrate._revision(DatabaseAccess.of(nowhere)) is None
        assert not waiting.done()
        waiting.cancel()


def test_migrations_are_tried_for_as_long_as_they_may(empty: FreshDatabase) -> None:
    nowhere = empty.owner_url.replace(empty.name, "nowhere")
    with pytest.raises(DBAPIError, match="nowhere"):
        migrate.upgrade("booking", nowhere, within=0.2)


async def test_a_migration_gives_way_to_who_waits_behind_it_and_is_tried_again(
    empty: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCK_SECONDS", 0.1)
    await asyncio.to_thread(migrate.upgrade, "booking", empty.owner_url, "0001")
    with psycopg.connect(empty.dsn) as reader:
        reader.execute("select * from events")  # and the transaction goes on, as a report's does
        with pytest.raises(DBAPIError, match="lock timeout"):
            await asyncio.to_thread(migrate.upgrade, "booking", empty.owner_url)
        trying = asyncio.create_task(asyncio.to_thread(migrate.upgrade, "booking", empty.owner_url, within=PATIENCE_S))
        reader.rollback()
    await asyncio.wait_for(trying, PATIENCE_S)
    with psycopg.connect(empty.dsn) as connection:
        assert connection.execute("select version_num from alembic_version").fetchone() == (migrate.newest("booking"),)


def test_a_migration_may_be_run_again(empty: FreshDatabase) -> None:
    migrate.upgrade("booking", empty.owner_url)
    migrate.upgrade("booking", empty.owner_url, within=1)
    with psycopg.connect(empty.dsn) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("update alembic_version set version_num = '0000'")
