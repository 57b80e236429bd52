"""What booking's database itself guarantees, read from its catalogue under the roles that use it.

Whose each table is, and what the serving role may do to it, stands in `tests/isolation`.
"""

from collections.abc import Callable, Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors

from local_stack.databases import Database as FreshDatabase


@pytest.fixture(scope="module")
def database(fresh_database: Callable[..., FreshDatabase]) -> Iterator[FreshDatabase]:
    with fresh_database("booking") as fresh:
        yield fresh


@pytest.fixture(scope="module")
def catalogue(database: FreshDatabase) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.superuser_dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def serving(database: FreshDatabase) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        yield connection


def test_no_double_booking_stands_exactly_as_the_seed_writes_it(catalogue: psycopg.Connection) -> None:
    found = catalogue.execute("""
        select contype, condeferrable, pg_get_constraintdef(oid) from pg_constraint where conname = 'no_double_booking'
    """)
    ((kind, deferrable, definition),) = found
    assert (kind, deferrable) == ("x", False)
    assert definition == (
        "EXCLUDE USING gist ("
        "tenant_id WITH =, artist_id WITH =, tstzrange(start_time, end_time, '[)'::text) WITH &&)"
        " WHERE ((status = ANY (ARRAY['confirmed'::text, 'pencil'::text])))"
    )


def test_a_booking_starts_before_it_ends_and_has_a_status_that_is_known(catalogue: psycopg.Connection) -> None:
    found = catalogue.execute(
        "select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'bookings'::regclass and contype = 'c'"
    )
    assert {definition for (definition,) in found} == {
        "CHECK ((start_time < end_time))",
        "CHECK ((status = ANY (ARRAY['pencil'::text, 'confirmed'::text, 'cancelled'::text])))",
    }


def test_the_seeds_two_indexes_stand_exactly_as_it_writes_them(catalogue: psycopg.Connection) -> None:
    found = catalogue.execute("select indexdef from pg_indexes where indexname like 'idx_bookings%%' order by 1", ())
    artist_status, tenant_time = (definition for (definition,) in found)
    assert tenant_time == "CREATE INDEX idx_bookings_tenant_time ON public.bookings USING btree (tenant_id, start_time)"
    assert artist_status == (
        "CREATE INDEX idx_bookings_artist_status ON public.bookings USING btree (artist_id, status)"
        " WHERE (status = ANY (ARRAY['confirmed'::text, 'pencil'::text]))"
    )


def test_two_bookings_of_an_artist_do_not_overlap_on_any_path(catalogue: psycopg.Connection) -> None:
    tenant, artist = uuid4(), uuid4()
    statement = b"""
        insert into bookings (tenant_id, id, artist_id, start_time, end_time, status, title, version, position,
                              created_by, created_at, updated_at)
        values (%s, gen_random_uuid(), %s, %s, %s, %s, 't', 1, 1, 'a', now(), now())
    """

    def put(start: str, end: str, status: str) -> None:
        catalogue.execute(statement, (tenant, artist, f"2027-05-08 {start}Z", f"2027-05-08 {end}Z", status))

    put("20:00", "22:00", "pencil")
    put("22:00", "23:00", "confirmed")
    put("20:30", "21:00", "cancelled")
    for taken in (("21:00", "22:00", "confirmed"), ("19:00", "20:01", "pencil"), ("10:00", "23:30", "pencil")):
        with pytest.raises(errors.ExclusionViolation):
            put(*taken)
    with pytest.raises(errors.CheckViolation):
        put("19:00", "19:00", "pencil")
    with pytest.raises(errors.ExclusionViolation):
        catalogue.execute("update bookings set status = 'pencil' where tenant_id = %s", (tenant,))


def test_a_position_and_a_version_are_given_once(catalogue: psycopg.Connection) -> None:
    found = catalogue.execute(
        "select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'events'::regclass and contype = 'u'"
    )
    assert {definition for (definition,) in found} == {
        'UNIQUE (tenant_id, "position")',
        "UNIQUE (tenant_id, aggregate_id, version)",
    }


def test_published_never_runs_ahead_of_the_head(serving: psycopg.Connection) -> None:
    with pytest.raises(errors.CheckViolation):
        serving.execute("insert into streams values (%s, 1, 2)", (uuid4(),))
