"""What the database itself guarantees, read from its catalogue under the roles that use it."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors, sql

from local_stack.databases import Database as FreshDatabase

SERVING, OWNER = "booking_service", "booking_owner"
WITHOUT_POLICY = {"streams"}
"""Tables that name tenants and hold nothing of theirs: jobs walk the tenants by them."""


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


def tenant_tables(catalogue: psycopg.Connection) -> set[str]:
    found = catalogue.execute("""
        select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and a.attname = 'tenant_id'
    """)
    return {name for (name,) in found}


def test_every_table_that_names_a_tenant_is_under_forced_row_level_security(catalogue: psycopg.Connection) -> None:
    secured = catalogue.execute("select relname from pg_class where relrowsecurity and relforcerowsecurity")
    tables = tenant_tables(catalogue)
    assert {"bookings", "artists", "events", "command_log", "audit"} <= tables
    assert tables - {name for (name,) in secured} == WITHOUT_POLICY


def test_what_has_no_policy_holds_nothing_of_a_tenant(catalogue: psycopg.Connection) -> None:
    found = catalogue.execute("select attname from pg_attribute where attrelid = 'streams'::regclass and attnum > 0")
    assert {name for (name,) in found} == {
        "tenant_id",
        "position",
        "published",
        "last_at",
        "deleted",
        "audited",
        "audited_digest",
        "audited_from",
    }


def test_each_tenant_table_has_one_policy_for_reading_and_writing_alike(catalogue: psycopg.Connection) -> None:
    found = catalogue.execute("select tablename, cmd, permissive, roles::text, qual, with_check from pg_policies")
    policies = list(found)
    assert {table for table, *_ in policies} == tenant_tables(catalogue) - WITHOUT_POLICY
    assert len(policies) == len({table for table, *_ in policies})
    for _, command, permissive, roles, qual, check in policies:
        assert (command, permissive, roles) == ("ALL", "PERMISSIVE", "{public}")
        assert qual == check
        assert "app.tenant_ids" in qual


def test_no_role_of_the_service_is_above_the_policies(catalogue: psycopg.Connection) -> None:
    found = catalogue.execute(
        """
        select rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication from pg_roles
        where rolname = any (%s) order by 1
        """,
        ([SERVING, OWNER],),
    )
    assert list(found) == [(OWNER, *[False] * 5), (SERVING, *[False] * 5)]


def test_the_serving_role_owns_nothing_and_belongs_to_nobody_who_does(catalogue: psycopg.Connection) -> None:
    owned = catalogue.execute(
        "select relname from pg_class where relowner = %s::regrole union select nspname from pg_namespace where"
        " nspowner = %s::regrole union select datname from pg_database where datdba = %s::regrole",
        (SERVING, SERVING, SERVING),
    )
    assert list(owned) == []
    assert list(catalogue.execute("select 1 from pg_auth_members where member = %s::regrole", (SERVING,))) == []


def test_the_serving_role_can_not_change_the_schema_or_switch_the_policies_off(serving: psycopg.Connection) -> None:
    for statement in (
        "create table mine (id int)",
        "alter table bookings disable row level security",
        "drop policy tenants_in_hand on bookings",
        "truncate bookings",
        "set role booking_owner",
        "set session authorization booking_owner",
    ):
        with pytest.raises((errors.InsufficientPrivilege, errors.InvalidParameterValue)):
            serving.execute(statement.encode())


@pytest.mark.parametrize("setting", [None, "", "{}"])
def test_without_a_tenant_every_tenant_table_reads_empty(
    catalogue: psycopg.Connection, serving: psycopg.Connection, setting: str | None
) -> None:
    tenant = uuid4()
    catalogue.execute("insert into artists values (%s, %s, 'active', null, 1)", (tenant, uuid4()))
    with serving.transaction():
        if setting is not None:
            serving.execute("select set_config('app.tenant_ids', %s, true)", (setting,))
        for table in tenant_tables(catalogue) - WITHOUT_POLICY:
            query = sql.SQL("select count(*) from {}").format(sql.Identifier(table))
            assert serving.execute(query).fetchone() == (0,)


def test_a_setting_of_a_transaction_is_gone_with_it(catalogue: psycopg.Connection, serving: psycopg.Connection) -> None:
    tenant = uuid4()
    catalogue.execute("insert into artists values (%s, %s, 'active', null, 1)", (tenant, uuid4()))
    with serving.transaction():
        serving.execute("select set_config('app.tenant_ids', %s, true)", (f"{{{tenant}}}",))
        assert serving.execute("select count(*) from artists").fetchone() == (1,)
    assert serving.execute("select count(*) from artists").fetchone() == (0,)


INSERTS = {
    "bookings": """
        insert into bookings (tenant_id, id, artist_id, start_time, end_time, status, title, version, position,
                              created_by, created_at, updated_at)
        values (%s, gen_random_uuid(), gen_random_uuid(), now(), now() + interval '1 hour', 'pencil', 't', 1, 1, 'a',
                now(), now())""",
    "artists": "insert into artists values (%s, gen_random_uuid(), 'active', null, 1)",
    "events": """
        insert into events values (gen_random_uuid(), gen_random_uuid(), 'BookingCreated', '{}', 1, %s, now(), 1, 'a',
                                   gen_random_uuid())""",
    "command_log": """
        insert into command_log values (%s, gen_random_uuid(), 'a', null, null, 200, '{}', 1, now(), 1)""",
    "audit": """
        insert into audit values (%s, 1, now(), 'a', null, null, 'o', null, gen_random_uuid(), null, 200, 'accepted', 1,
                                  null, '')""",
}


def test_nothing_is_written_for_a_tenant_who_is_not_in_hand(
    catalogue: psycopg.Connection, serving: psycopg.Connection
) -> None:
    assert INSERTS.keys() == tenant_tables(catalogue) - WITHOUT_POLICY
    tenant, other = uuid4(), uuid4()
    for statement in INSERTS.values():
        with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
            serving.execute(statement.encode(), (tenant,))
        with serving.transaction(force_rollback=True):
            serving.execute("select set_config('app.tenant_ids', %s, true)", (f"{{{other}}}",))
            with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
                serving.execute(statement.encode(), (tenant,))
        with serving.transaction(force_rollback=True):
            serving.execute("select set_config('app.tenant_ids', %s, true)", (f"{{{tenant}}}",))
            serving.execute(statement.encode(), (tenant,))


def test_a_row_can_not_be_handed_to_another_tenant(serving: psycopg.Connection) -> None:
    tenant, other = uuid4(), uuid4()
    with serving.transaction(force_rollback=True):
        serving.execute("select set_config('app.tenant_ids', %s, true)", (f"{{{tenant}}}",))
        serving.execute(INSERTS["bookings"].encode(), (tenant,))
        with pytest.raises(errors.InsufficientPrivilege, match="row-level security"), serving.transaction():
            serving.execute("update bookings set tenant_id = %s", (other,))


def test_the_owner_is_bound_by_the_policies_too(database: FreshDatabase, catalogue: psycopg.Connection) -> None:
    catalogue.execute("insert into artists values (%s, %s, 'active', null, 1)", (uuid4(), uuid4()))
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        assert owner.execute("select count(*) from artists").fetchone() == (0,)


def test_events_are_never_changed_or_removed_by_the_service(serving: psycopg.Connection) -> None:
    tenant = uuid4()
    with serving.transaction(force_rollback=True):
        serving.execute("select set_config('app.tenant_ids', %s, true)", (f"{{{tenant}}}",))
        serving.execute(INSERTS["events"].encode(), (tenant,))
        for statement in (b"update events set actor = 'b'", b"delete from events", b"truncate events"):
            with pytest.raises(errors.InsufficientPrivilege, match="permission denied"), serving.transaction():
                serving.execute(statement)


def test_the_audit_trail_is_never_changed_or_removed_by_the_service(serving: psycopg.Connection) -> None:
    tenant = uuid4()
    with serving.transaction(force_rollback=True):
        serving.execute("select set_config('app.tenant_ids', %s, true)", (f"{{{tenant}}}",))
        serving.execute(INSERTS["audit"].encode(), (tenant,))
        for statement in (b"update audit set actor = 'b'", b"delete from audit", b"truncate audit"):
            with pytest.raises(errors.InsufficientPrivilege, match="permission denied"), serving.transaction():
                serving.execute(statement)
        for statement in (b"alter table audit disable trigger user", b"drop trigger audit_is_for_ever on audit"):
            with pytest.raises(errors.InsufficientPrivilege, match="must be owner"), serving.transaction():
                serving.execute(statement)


def test_the_epoch_and_streams_are_not_the_services_to_remove(serving: psycopg.Connection) -> None:
    for statement in (b"update epoch set name = gen_random_uuid()", b"delete from epoch", b"delete from streams"):
        with pytest.raises(errors.InsufficientPrivilege):
            serving.execute(statement)


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
