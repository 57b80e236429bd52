"""How PostgreSQL carries out the hot statements, under the serving role and its policies, on tens of thousands of rows.

What is held is what is read, in rows, and by which index; never a time.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from booking.adapters import bookings, history
from booking.adapters.bookings import Filters
from booking.adapters.history import Place
from booking.domain.booking import Booking, Slot, Status
from local_stack.databases import Database as FreshDatabase
from production_contracts.times import format_timestamp
from servicekit import journal
from servicekit.audit import store
from servicekit.database import Database
from servicekit.looks import Look, look

TENANTS, ARTISTS, NIGHTS = 6, 10, 600
FIRST = datetime(2027, 1, 1, 20, tzinfo=UTC)
PER_TENANT = ARTISTS * NIGHTS

FILL = [
    "insert into streams select tenant(t), {per_tenant}, {per_tenant} - t from generate_series(1, {tenants}) t",
    """
    insert into bookings (tenant_id, id, artist_id, start_time, end_time, status, title, version, position,
                          created_by, created_at, updated_at)
    select tenant(t), numbered(t, a, n), numbered(t, a, 0), '{first}'::timestamptz + make_interval(days => n),
           '{first}'::timestamptz + make_interval(days => n, hours => 3),
           case n % 10 when 0 then 'cancelled' when 1 then 'confirmed' else 'pencil' end,
           'night', 1, (a - 1) * {nights} + n, 'user', now(), now()
    from generate_series(1, {tenants}) t, generate_series(1, {artists}) a, generate_series(1, {nights}) n
    """,
    """
    insert into events
    select gen_random_uuid(), b.id, 'BookingCreated',
           to_jsonb(b) || jsonb_build_object('start_time', written(b.start_time), 'end_time', written(b.end_time)),
           1, b.tenant_id, now(), b.position, 'user', numbered(99, 0, b.position::int)
    from bookings b order by random()
    """,
    """
    insert into command_log
    select tenant_id, command_id, actor, 'key-' || position, 'f', 201, '{{}}', position, created_at, position
    from events
    """,
    """
    insert into audit
    select tenant_id, position, created_at, actor, null, null, 'o', aggregate_id, command_id, '{{}}', 201, 'accepted',
           position, null, ''
    from events order by random()
    """,
    "insert into artists select distinct tenant_id, artist_id, 'active', null, 1 from bookings",
    "analyze",
]
FUNCTIONS = [
    """
    create function written(t timestamptz) returns text
    return to_char(t at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    """,
    "create function tenant(t int) returns uuid return lpad(t::text, 32, '0')::uuid",
    """
    create function numbered(t int, a int, n int) returns uuid
    return (lpad(t::text, 8, '0') || lpad(a::text, 8, '0') || lpad(n::text, 16, '0'))::uuid
    """,
]


def tenant(number: int) -> UUID:
    return UUID(f"{number:032}")


def numbered(of: int, artist: int, night: int) -> UUID:
    return UUID(f"{of:08}{artist:08}{night:016}")


@pytest.fixture(scope="module")
def filled(fresh_database: Callable[..., FreshDatabase]) -> Iterator[FreshDatabase]:
    with fresh_database("booking") as fresh:
        with psycopg.connect(fresh.superuser_dsn, autocommit=True) as connection:
            for statement in FUNCTIONS:
                connection.execute(statement.encode())
            for statement in FILL:
                filled_in = statement.format(
                    tenants=TENANTS, artists=ARTISTS, nights=NIGHTS, per_tenant=PER_TENANT, first=FIRST.isoformat()
                )
                connection.execute(filled_in.encode())
        yield fresh


class NoRows(list[Any]):
    """What a statement that was explained gives."""

    rowcount = 0

    def all(self) -> list[Any]:
        return []

    def one_or_none(self) -> None:
        return None

    def scalar_one_or_none(self) -> None:
        return None

    def scalar(self) -> None:
        return None


@dataclass
class Explained:
    """Stands in for a connection: whatever is executed is explained, with what really happened."""

    connection: AsyncConnection
    plans: list[dict[str, Any]] = field(default_factory=list)

    async def execute(self, statement: TextClause, values: dict[str, Any]) -> NoRows:
        asked = text(f"explain (analyze, format json) {statement.text}")
        found = (await self.connection.execute(asked, values)).scalar_one()
        self.plans.append(found[0]["Plan"])
        return NoRows()

    async def look(self, tenant_id: UUID, asked: Look, values: dict[str, Any]) -> None:
        """Explain a look as the services have it: a statement that opens itself, with a plan for any values."""
        driver: Any = (await self.connection.get_raw_connection()).driver_connection
        await driver.execute("set local plan_cache_mode = force_generic_plan")
        statement = f"explain (analyze, format json) {asked.statement}"
        found = await driver.fetchval(statement, *asked.arguments(tenant_id, values))
        self.plans.append(found[0]["Plan"])

    def scans(self, table: str) -> list[dict[str, Any]]:
        """The nodes that read a table."""
        found = [node for plan in self.plans for node in nodes(plan) if node.get("Relation Name") == table]
        return [node for node in found if node["Node Type"].endswith("Scan")]

    def indexes(self, table: str) -> set[str]:
        """By which index a table is read; `Seq Scan` where by none."""
        named = [node.get("Index Name") or below(node) or node["Node Type"] for node in self.scans(table)]
        return set(named)

    def rows_read(self, table: str) -> float:
        """How many rows of a table were looked at, those included that a filter threw away."""
        read = sum(
            (node["Actual Rows"] + node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0))
            * node["Actual Loops"]
            for node in self.scans(table)
        )
        return float(read)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from nodes(inner)


def below(node: dict[str, Any]) -> str | None:
    """The index of a bitmap scan."""
    return next((str(inner["Index Name"]) for inner in nodes(node) if "Index Name" in inner), None)


Explain = Callable[..., Any]


@pytest.fixture
async def explain(filled: FreshDatabase) -> AsyncIterator[Explain]:
    database = Database(filled.url, pool_size=1)

    @asynccontextmanager
    async def opened(*tenants: UUID) -> AsyncIterator[Any]:
        async with database.transaction(tenants) as connection:
            yield Explained(connection)
            await connection.rollback()

    yield opened
    await database.stop()


ALL = [tenant(number) for number in range(1, TENANTS + 1)]


def slots(count: int) -> list[tuple[UUID, UUID, Slot]]:
    """Slots in the middle of calendars, over all tenants."""
    return [
        (
            tenant(1 + n % TENANTS),
            numbered(1 + n % TENANTS, 1 + n % ARTISTS, 0),
            Slot(FIRST + timedelta(days=300 + n, hours=1), FIRST + timedelta(days=300 + n, hours=2)),
        )
        for n in range(count)
    ]


async def test_what_is_in_the_way_is_found_by_two_probes_of_one_index(explain: Explain) -> None:
    async with explain(*ALL) as explained:
        await bookings.neighbours(explained, slots(100), 5000)
    assert explained.indexes("bookings") == {"bookings_slots"}
    assert len(explained.scans("bookings")) == 2
    assert {node["Actual Loops"] for node in explained.scans("bookings")} == {100}
    assert explained.rows_read("bookings") <= 200


async def test_the_next_ninety_days_cost_what_they_hold_and_no_more(explain: Explain) -> None:
    asked = [(of, artist, Slot(slot.start, slot.start + timedelta(days=90))) for of, artist, slot in slots(10)]
    async with explain(*ALL) as explained:
        await bookings.neighbours(explained, asked, 5000)
    assert explained.indexes("bookings") == {"bookings_slots"}
    assert explained.rows_read("bookings") <= 10 * 92


async def test_bookings_are_loaded_by_their_key(explain: Explain) -> None:
    keys = [(tenant(1 + n % TENANTS), numbered(1 + n % TENANTS, 1, 1 + n)) for n in range(100)]
    async with explain(*ALL) as explained:
        await bookings.load(explained, keys)
    assert explained.indexes("bookings") == {"bookings_pkey"}
    assert explained.rows_read("bookings") <= 100


async def test_artists_are_looked_up_by_their_key(explain: Explain) -> None:
    async with explain(*ALL) as explained:
        await bookings.artist_states(explained, [(of, artist) for of, artist, _ in slots(5)])
    assert explained.rows_read("artists") <= 5 * TENANTS * ARTISTS, "a table this small may be read whole"


async def test_one_booking_is_read_by_its_key(explain: Explain) -> None:
    async with explain(tenant(2)) as explained:
        await explained.look(tenant(2), bookings.ONE, {"id": numbered(2, 3, 4)})
    assert explained.indexes("bookings") == {"bookings_pkey"}
    assert explained.rows_read("bookings") == 1


def listed(filters: Filters) -> tuple[Look, dict[str, Any]]:
    query, values = bookings.listing(filters, 51)
    return look(query), values


MONTH = Slot(FIRST + timedelta(days=300), FIRST + timedelta(days=330))


async def test_a_page_of_a_month_reads_no_more_than_its_tenants_year(explain: Explain) -> None:
    async with explain(tenant(2)) as explained:
        await explained.look(tenant(2), *listed(Filters(since=MONTH.start, until=MONTH.end)))
    assert explained.indexes("bookings") == {"idx_bookings_tenant_time"}
    assert explained.rows_read("bookings") <= PER_TENANT


async def test_a_month_of_one_artist_reads_what_it_holds(explain: Explain) -> None:
    filters = Filters(artist_id=numbered(2, 3, 0), since=MONTH.start, until=MONTH.end)
    async with explain(tenant(2)) as explained:
        await explained.look(tenant(2), *listed(filters))
    assert explained.indexes("bookings") == {"bookings_by_artist"}
    assert explained.rows_read("bookings") <= 31


async def test_a_page_from_a_cursor_does_not_read_what_comes_before_it(explain: Explain) -> None:
    after = (FIRST + timedelta(days=500), numbered(2, 1, 500))
    async with explain(tenant(2)) as explained:
        await explained.look(tenant(2), *listed(Filters(after=after)))
    assert explained.indexes("bookings") == {"idx_bookings_tenant_time"}
    assert explained.rows_read("bookings") <= 51 + ARTISTS


async def test_the_first_page_of_all_reads_one_page(explain: Explain) -> None:
    async with explain(tenant(2)) as explained:
        await explained.look(tenant(2), *listed(Filters()))
    assert explained.indexes("bookings") == {"idx_bookings_tenant_time"}
    assert explained.rows_read("bookings") <= 51 + ARTISTS


async def test_when_an_artist_is_busy_is_read_from_its_own_calendar(explain: Explain) -> None:
    async with explain(tenant(2)) as explained:
        asked = {"artist": numbered(2, 3, 0), "since": MONTH.start, "until": MONTH.end, "limit": 5001}
        await explained.look(tenant(2), bookings.BUSY, asked)
    assert explained.indexes("bookings") == {"bookings_slots"}
    assert explained.rows_read("bookings") <= 30 + 1


async def test_a_page_of_events_is_read_by_position(explain: Explain) -> None:
    async with explain(tenant(2)) as explained:
        await explained.look(tenant(2), journal.EVENTS_AFTER, {"after": 3000, "limit": 500})
    assert explained.indexes("events") == {"one_event_a_position"}
    assert explained.rows_read("events") == 500


async def test_rows_that_move_are_deleted_by_their_key(explain: Explain) -> None:
    keys = [(tenant(1 + n % TENANTS), numbered(1 + n % TENANTS, 1, 1 + n)) for n in range(100)]
    async with explain(*ALL) as explained:
        await bookings.replace(explained, keys, [])
    assert explained.indexes("bookings") == {"bookings_pkey", "Tid Scan"}
    assert explained.rows_read("bookings") <= 200


async def test_rows_that_stay_are_changed_where_they_stand(explain: Explain) -> None:
    changed = [(tenant(1 + n % TENANTS), a_booking(numbered(1 + n % TENANTS, 1, 1 + n))) for n in range(100)]
    async with explain(*ALL) as explained:
        await bookings.update(explained, changed)
    assert explained.indexes("bookings") == {"bookings_pkey", "Tid Scan"}
    assert explained.rows_read("bookings") <= 200


def a_booking(booking_id: UUID) -> Booking:
    return Booking(
        id=booking_id,
        artist_id=booking_id,
        slot=MONTH,
        status=Status.PENCIL,
        title="t",
        venue=None,
        notes=None,
        version=2,
        position=2,
        created_by="user",
        created_at=FIRST,
        updated_at=FIRST,
    )


async def test_the_events_of_one_booking_are_read_by_its_versions(explain: Explain) -> None:
    async with explain(tenant(2)) as explained:
        await explained.look(tenant(2), journal.EVENTS_OF, {"aggregate": numbered(2, 3, 4), "after": 0, "limit": 500})
    assert explained.indexes("events") == {"one_event_a_version"}
    assert explained.rows_read("events") == 1


async def test_what_is_decided_already_is_found_by_command(explain: Explain) -> None:
    async with explain(*ALL) as explained:
        await journal.known_commands(explained, [(tenant(1 + n % TENANTS), numbered(99, 0, n)) for n in range(1, 101)])
    assert explained.indexes("command_log") == {"command_log_pkey"}
    assert explained.rows_read("command_log") <= 100


async def test_what_a_key_stands_for_is_found_by_key(explain: Explain) -> None:
    async with explain(*ALL) as explained:
        await journal.known_keys(explained, [(tenant(1 + n % TENANTS), "user", f"key-{n}") for n in range(1, 101)])
    assert explained.indexes("command_log") == {"one_outcome_a_key"}
    assert explained.rows_read("command_log") <= 100


async def test_an_outcome_is_found_by_command(explain: Explain) -> None:
    async with explain(tenant(2)) as explained:
        await journal.outcome(explained, tenant(2), numbered(99, 0, 7), published_only=False)
    assert explained.indexes("command_log") == {"command_log_pkey"}


async def test_the_relay_reads_only_what_is_not_published(explain: Explain) -> None:
    behind = [(tenant(number), PER_TENANT - number) for number in range(1, TENANTS + 1)]
    async with explain(*ALL) as explained:
        await journal.unpublished_events(explained, "booking", behind, 200)
    assert explained.indexes("events") == {"one_event_a_position"}
    assert explained.rows_read("events") <= 2 * sum(range(TENANTS + 1))


async def test_a_page_of_the_audit_trail_costs_what_it_holds(explain: Explain) -> None:
    async with explain(tenant(2)) as explained:
        await store.entries_after(explained, "booking", tenant(2), PER_TENANT // 2, 100)
    assert explained.indexes("audit") == {"audit_pkey"}
    assert explained.rows_read("audit") == 100


async def test_no_statement_sees_a_row_of_a_tenant_who_is_not_in_hand(explain: Explain) -> None:
    async with explain(tenant(1)) as explained:
        await bookings.neighbours(explained, slots(60), 5000)
        await bookings.load(explained, [(tenant(3), numbered(3, 1, 1))])
        await journal.known_commands(explained, [(tenant(3), numbered(99, 0, 1))])
        await journal.events_after(explained, "booking", tenant(3), 0, 500)
        await store.entries_after(explained, "booking", tenant(3), 0, 500)
    assert [plan["Actual Rows"] for plan in explained.plans[1:]] == [0, 0, 0, 0]
    assert explained.plans[0]["Actual Rows"] <= 10


LATER = PER_TENANT


async def test_the_position_of_a_moment_is_found_by_one_probe(explain: Explain) -> None:
    async with explain(tenant(2)) as explained:
        await journal.position_at(explained, tenant(2), datetime.now(UTC))
    assert explained.indexes("events") == {"events_by_time"}
    assert explained.rows_read("events") == 1


async def test_a_booking_as_it_was_is_read_by_its_versions(explain: Explain) -> None:
    async with explain(tenant(2)) as explained:
        await history.booking_at(explained, tenant(2), numbered(2, 3, 4), LATER)
    assert explained.indexes("events") == {"one_event_a_version"}
    assert explained.rows_read("events") == 1


async def test_a_page_of_the_past_reads_what_it_shows_and_probes_for_what_came_after(explain: Explain) -> None:
    async with explain(tenant(2)) as explained:
        await history.page_at(explained, tenant(2), LATER, Filters(), limit=50, after=None)
    assert explained.indexes("events") == {"events_by_start", "one_event_a_version"}
    assert {node["Actual Loops"] for node in explained.scans("events")} == {1, 51}
    assert explained.rows_read("events") == 51


async def test_a_page_of_the_past_from_a_place_in_a_range_does_not_read_what_lies_outside(explain: Explain) -> None:
    after = Place(starts=format_timestamp(MONTH.start), booking_id=numbered(2, 1, 300), version=1)
    filters = Filters(until=MONTH.end, since=MONTH.start, status="confirmed", artist_id=numbered(2, 3, 0))
    async with explain(tenant(2)) as explained:
        await history.page_at(explained, tenant(2), LATER, filters, limit=50, after=after)
    assert explained.indexes("events") == {"events_by_start", "one_event_a_version"}
    assert explained.rows_read("events") <= 31 * ARTISTS
