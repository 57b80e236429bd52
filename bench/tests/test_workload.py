"""The work of a drain is what it says, and what becomes of it is what the service decides."""

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID, uuid4

import pytest
from bench.baselines import bare
from bench.stage import add_artists
from bench.workload import Workload
from sqlalchemy import text

from booking.adapters.bookings import Key
from booking.application.decider import BookingDecider
from local_stack.databases import Database as FreshDatabase
from servicekit.audit.verification import verify
from servicekit.database import Database
from servicekit.worker import Judge

BOOKINGS = (
    "select id, artist_id, start_time, end_time, status, title, venue, version, position from bookings order by id"
)
EVENTS = "select position, aggregate_id, event_type, version from events order by tenant_id, position"
OUTCOMES = "select command_id, status, position, body ->> 'type', audited from command_log order by command_id"
ENTRIES = (
    "select sequence, command_id, operation, data::text, outcome, position from audit order by tenant_id, sequence"
)


@pytest.fixture(scope="module")
def work() -> Workload:
    return Workload([uuid4() for _ in range(7)], 1_500)


def test_of_a_hundred_commands_about_five_want_what_is_taken(work: Workload) -> None:
    statuses = Counter(one.decision.status for one in work.decided)
    assert set(statuses) == {200, 201, 409}
    assert 0.03 < statuses[409] / len(work.decided) < 0.07


def test_the_same_seed_makes_the_same_work() -> None:
    tenants = [uuid4(), uuid4()]
    first, second = (Workload(tenants, 200, seed=3) for _ in range(2))
    kinds = [[(one.command.tenant_id, one.command.type.name) for one in work.decided] for work in (first, second)]
    assert kinds[0] == kinds[1]


def test_positions_of_a_tenant_have_no_gap(work: Workload) -> None:
    heads: Counter[UUID] = Counter()
    for one in work.decided:
        heads[one.command.tenant_id] += one.booking is not None
        assert one.position == heads[one.command.tenant_id]


class KnownRoster:
    """A roster that is never behind."""

    async def await_artists(self, artists: Collection[Key]) -> frozenset[Key]:
        del artists
        return frozenset()


async def written(database: Database, tenants: list[UUID]) -> list[list[Any]]:
    async with database.transaction(tenants) as connection:
        return [list((await connection.execute(text(query))).all()) for query in (BOOKINGS, EVENTS, OUTCOMES, ENTRIES)]


async def test_service_and_bare_script_write_the_same_rows(
    work: Workload, fresh_database: Callable[..., FreshDatabase]
) -> None:
    tenants = list(work.artists)
    with fresh_database("booking") as ours, fresh_database("booking") as theirs:
        for fresh in (ours, theirs):
            await add_artists(fresh, work.artists)
        databases = [Database(fresh.url, pool_size=2) for fresh in (ours, theirs)]
        try:
            judge = Judge(databases[0], BookingDecider(KnownRoster()))  # type: ignore[arg-type]
            for batch in work.batches(500):
                settled = await judge.decide([one.command for one in batch])
                assert [one.status for one in settled] == [one.decision.status for one in batch]
            await bare.drain(theirs.dsn, work)
            assert await written(databases[0], tenants) == await written(databases[1], tenants)
            for database in databases:
                report = await verify(database, "booking")
                assert (report.entries, report.flaws) == (len(work.decided), {})
        finally:
            for database in databases:
                await database.stop()
