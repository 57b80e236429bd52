"""Every table of every database: whose its rows are, what the serving role may do to them, and who that role is."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors, sql
from tests.isolation.rows import TABLES, Table

from local_stack.databases import Database
from local_stack.engines import Addresses
from local_stack.environment import WITH_DATABASE, service_environment
from local_stack.port import Ports

PRIVILEGES = ("select", "insert", "update", "delete", "truncate", "references", "trigger")
OF_TENANTS = [row for row in TABLES if row.whose == "tenant"]
NAMING = [row for row in TABLES if row.whose != "nobody"]
OF_A_TYPE = {
    "uuid": "gen_random_uuid()",
    "text": "'t'",
    "character varying": "'t'",
    "bytea": "'\\x00'",
    "integer": "1",
    "bigint": "1",
    "smallint": "200",
    "boolean": "false",
    "json": "'{}'",
    "jsonb": "'{}'",
    "timestamp with time zone": "now()",
}


@dataclass(frozen=True, kw_only=True)
class Sides:
    """A database, seen by its superuser, its owner and the role that serves."""

    superuser: psycopg.Connection
    owner: psycopg.Connection
    serving: psycopg.Connection


@pytest.fixture(scope="module")
def databases(fresh_database: Callable[..., Database]) -> Iterator[dict[str, Sides]]:
    with ExitStack() as stack:

        def open_(service: str) -> Sides:
            fresh = stack.enter_context(fresh_database(service))
            superuser, owner, serving = (
                stack.enter_context(psycopg.connect(dsn, autocommit=True))
                for dsn in (fresh.superuser_dsn, fresh.owner_dsn, fresh.dsn)
            )
            return Sides(superuser=superuser, owner=owner, serving=serving)

        yield {service: open_(service) for service in WITH_DATABASE}


@contextmanager
def opened_to(connection: psycopg.Connection, setting: str | None) -> Iterator[None]:
    """Open a transaction to tenants, and take back what is done in it."""
    with connection.transaction(force_rollback=True):
        if setting is not None:
            connection.execute("select set_config('app.tenant_ids', %s, true)", (setting,))
        yield


def in_hand(*tenants: UUID) -> str:
    return "{" + ",".join(map(str, tenants)) + "}"


def put(connection: psycopg.Connection, row: Table, columns: list[tuple[str, str]], tenant: UUID) -> None:
    """Insert a row of a tenant."""
    stated = {name: OF_A_TYPE.get(kind, "null") for name, kind in columns} | dict(row.values) | {"tenant_id": "%s"}
    names = sql.SQL(", ").join(map(sql.Identifier, stated))
    values = sql.SQL(", ".join(stated.values()))  # of this file and of rows.py
    statement = sql.SQL("insert into {} ({}) values ({})").format(sql.Identifier(row.name), names, values)
    connection.execute(statement, (tenant,))


def count(connection: psycopg.Connection, row: Table) -> int:
    found = connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(row.name))).fetchone()
    assert found is not None
    return int(found[0])


@pytest.fixture
def sides(databases: dict[str, Sides], row: Table) -> Sides:
    return databases[row.service]


@pytest.fixture
def columns(sides: Sides, row: Table) -> list[tuple[str, str]]:
    """The columns that a row must state, with their types."""
    found = sides.superuser.execute(
        """
        select column_name, data_type from information_schema.columns
        where table_schema = 'public' and table_name = %s and is_nullable = 'NO' and column_default is null
          and is_identity = 'NO' and is_generated = 'NEVER'
        """,
        (row.name,),
    )
    return [(name, kind) for name, kind in found]


@pytest.mark.parametrize("service", WITH_DATABASE)
class TestACatalogue:
    def test_every_table_has_a_row_and_every_row_a_table(self, databases: dict[str, Sides], service: str) -> None:
        found = databases[service].superuser.execute("""
            select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where c.relkind in ('r', 'p', 'f') and n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%'
        """)
        assert sorted(name for (name,) in found) == sorted(row.name for row in TABLES if row.service == service)

    def test_nothing_shows_rows_past_the_policies(self, databases: dict[str, Sides], service: str) -> None:
        """A view reads as its owner does, and a function may be made to."""
        superuser = databases[service].superuser
        views = superuser.execute("""
            select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where c.relkind in ('v', 'm') and n.nspname = 'public'
        """)
        assert list(views) == []
        functions = superuser.execute("""
            select p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
            where p.prosecdef and n.nspname not in ('pg_catalog', 'information_schema')
        """)
        assert list(functions) == []

    def test_every_table_that_names_a_tenant_is_declared_to(self, databases: dict[str, Sides], service: str) -> None:
        found = databases[service].superuser.execute("""
            select table_name from information_schema.columns
            where table_schema = 'public' and column_name = 'tenant_id'
        """)
        assert {name for (name,) in found} == {row.name for row in NAMING if row.service == service}

    def test_each_policy_is_that_of_the_tenants_in_hand(self, databases: dict[str, Sides], service: str) -> None:
        found = list(
            databases[service].superuser.execute(
                "select tablename, cmd, permissive, roles::text, qual, with_check from pg_policies"
            )
        )
        assert sorted(table for table, *_ in found) == sorted(row.name for row in OF_TENANTS if row.service == service)
        for _, command, permissive, roles, qual, check in found:
            assert (command, permissive, roles) == ("ALL", "PERMISSIVE", "{public}")
            assert qual == check == found[0][4]
            assert "app.tenant_ids" in qual

    def test_the_serving_role_can_not_change_the_schema_or_become_who_can(
        self, databases: dict[str, Sides], service: str
    ) -> None:
        table = next(row.name for row in OF_TENANTS if row.service == service)
        for statement in (
            "create table mine (id int)",
            "create schema mine",
            f"alter table {table} disable row level security",
            f"alter table {table} no force row level security",
            f"drop policy tenants_in_hand on {table}",
            f"create policy mine on {table} using (true)",
            f"alter table {table} owner to {service}_service",
            f"alter role {service}_service bypassrls",
            f"set role {service}_owner",
            "set role postgres",
            f"set session authorization {service}_owner",
            "copy (select 1) to program 'true'",
        ):
            with pytest.raises((errors.InsufficientPrivilege, errors.InvalidParameterValue)):
                databases[service].serving.execute(statement.encode())

    def test_nobody_enters_but_the_two_roles_of_the_service(self, databases: dict[str, Sides], service: str) -> None:
        found = databases[service].superuser.execute("""
            select rolname from pg_roles where rolcanlogin and not rolsuper
              and has_database_privilege(rolname, current_database(), 'connect')
        """)
        assert {name for (name,) in found} == {f"{service}_owner", f"{service}_service"}


def used_roles(engines: Addresses) -> set[str]:
    """The roles in the settings of every service: each URL of a database that one is given."""
    given = service_environment(engines, Ports(), "http://127.0.0.1:1").values()
    urls = [value for own in given for name, value in own.items() if "DATABASE" in name and "://" in value]
    return {str(urlsplit(url).username) for url in urls}


class TestTheRoles:
    def test_no_role_that_a_service_uses_is_above_the_policies(
        self, databases: dict[str, Sides], engines: Addresses
    ) -> None:
        used = used_roles(engines)
        assert {f"{service}_{part}" for service in WITH_DATABASE for part in ("service", "owner")} <= used
        found = list(
            databases["booking"].superuser.execute(
                """
                select rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication from pg_roles
                where rolname = any (%s)
                """,
                (sorted(used),),
            )
        )
        assert {name for name, *_ in found} == used
        assert {above for _, *rights in found for above in rights} == {False}

    def test_whoever_may_log_in_is_a_service_or_the_one_superuser(
        self, databases: dict[str, Sides], engines: Addresses
    ) -> None:
        found = databases["booking"].superuser.execute("select rolname, rolsuper from pg_roles where rolcanlogin")
        able: dict[str, bool] = dict(found.fetchall())
        assert {name for name, is_super in able.items() if is_super} == {"postgres"}
        assert able.keys() - {"postgres"} == used_roles(engines)

    @pytest.mark.parametrize("service", WITH_DATABASE)
    def test_a_serving_role_owns_nothing_and_belongs_to_nobody(self, databases: dict[str, Sides], service: str) -> None:
        superuser, role = databases[service].superuser, f"{service}_service"
        owned = superuser.execute(
            """
            select relname from pg_class where relowner = %(role)s::regrole
            union select nspname from pg_namespace where nspowner = %(role)s::regrole
            union select proname from pg_proc where proowner = %(role)s::regrole
            union select datname from pg_database where datdba = %(role)s::regrole
            """,
            {"role": role},
        )
        assert list(owned) == []
        assert list(superuser.execute("select 1 from pg_auth_members where member = %s::regrole", (role,))) == []


@pytest.mark.parametrize("row", TABLES, ids=str)
class TestEachTable:
    def test_is_owned_by_the_owner_and_served_with_just_these_rights(self, sides: Sides, row: Table) -> None:
        found = sides.superuser.execute("select tableowner from pg_tables where tablename = %s", (row.name,))
        assert found.fetchall() == [(f"{row.service}_owner",)]
        role = f"{row.service}_service"
        held = {
            privilege
            for privilege in PRIVILEGES
            if sides.superuser.execute("select has_table_privilege(%s, %s, %s)", (role, row.name, privilege)).fetchone()
            == (True,)
        }
        assert held == set(row.may.split())

    def test_is_open_to_nobody_else(self, sides: Sides, row: Table) -> None:
        found = sides.superuser.execute(
            """
            select distinct grantee from information_schema.table_privileges where table_name = %s
            union select distinct grantee from information_schema.column_privileges where table_name = %s
            """,
            (row.name, row.name),
        )
        assert {name for (name,) in found} <= {f"{row.service}_owner", f"{row.service}_service"}

    def test_without_the_right_a_row_is_neither_changed_nor_removed(self, sides: Sides, row: Table) -> None:
        statements = {"update": "update {} set {} = {}", "delete": "delete from {}", "truncate": "truncate {}"}
        column = sides.superuser.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum = 1", (row.name,)
        ).fetchone()
        assert column is not None
        for right in statements.keys() - set(row.may.split()):
            name = sql.Identifier(column[0])
            statement = sql.SQL(statements[right]).format(sql.Identifier(row.name), name, name)
            with pytest.raises(errors.InsufficientPrivilege, match="permission denied"):
                sides.serving.execute(statement)


@pytest.mark.parametrize("row", [row for row in TABLES if row.whose == "positions"], ids=str)
def test_a_table_of_positions_holds_nothing_else_of_a_tenant(sides: Sides, row: Table) -> None:
    found = sides.superuser.execute(
        "select column_name from information_schema.columns where table_name = %s", (row.name,)
    )
    assert {name for (name,) in found} == set(row.columns)


@pytest.mark.parametrize("row", OF_TENANTS, ids=str)
class TestEachTenantTable:
    def test_is_under_forced_row_level_security(self, sides: Sides, row: Table) -> None:
        found = sides.superuser.execute(
            "select relrowsecurity, relforcerowsecurity from pg_class where oid = %s::regclass", (row.name,)
        )
        assert found.fetchall() == [(True, True)]

    @pytest.mark.parametrize("setting", [None, "", "{}"])
    def test_reads_empty_without_a_tenant_for_the_owner_too(
        self, sides: Sides, row: Table, columns: list[tuple[str, str]], setting: str | None
    ) -> None:
        put(sides.superuser, row, columns, uuid4())
        for connection in (sides.serving, sides.owner):
            with opened_to(connection, setting):
                assert count(connection, row) == 0

    def test_shows_the_tenants_in_hand_and_no_other(
        self, sides: Sides, row: Table, columns: list[tuple[str, str]]
    ) -> None:
        own, second, other = uuid4(), uuid4(), uuid4()
        for tenant in (own, second, other):
            put(sides.superuser, row, columns, tenant)
        for hand in ((own,), (own, second)):
            with opened_to(sides.serving, in_hand(*hand)):
                query = sql.SQL("select tenant_id from {}").format(sql.Identifier(row.name))
                assert {tenant for (tenant,) in sides.serving.execute(query)} == set(hand)
        with opened_to(sides.serving, in_hand(uuid4())):
            assert count(sides.serving, row) == 0

    @pytest.mark.parametrize("setting", [None, "", "{}", "{00000000-0000-4000-8000-000000000000}"])
    def test_takes_no_row_of_a_tenant_who_is_not_in_hand(
        self, sides: Sides, row: Table, columns: list[tuple[str, str]], setting: str | None
    ) -> None:
        for connection in (sides.serving, sides.owner):
            with opened_to(connection, setting), pytest.raises(errors.InsufficientPrivilege, match="row-level"):
                put(connection, row, columns, uuid4())

    def test_takes_a_row_of_the_tenant_in_hand(self, sides: Sides, row: Table, columns: list[tuple[str, str]]) -> None:
        tenant = uuid4()
        with opened_to(sides.serving, in_hand(tenant)):
            put(sides.serving, row, columns, tenant)
            assert count(sides.serving, row) == 1

    def test_a_row_of_another_is_not_there_to_be_changed_removed_or_handed_over(
        self, sides: Sides, row: Table, columns: list[tuple[str, str]]
    ) -> None:
        own, other = uuid4(), uuid4()
        put(sides.superuser, row, columns, other)
        name = sql.Identifier(row.name)
        with opened_to(sides.serving, in_hand(own)):
            if "update" in row.may:
                assert sides.serving.execute(sql.SQL("update {} set tenant_id = tenant_id").format(name)).rowcount == 0
                put(sides.serving, row, columns, own)
                with pytest.raises(errors.InsufficientPrivilege, match="row-level"), sides.serving.transaction():
                    sides.serving.execute(sql.SQL("update {} set tenant_id = %s").format(name), (other,))
            if "delete" in row.may:
                assert (
                    sides.serving.execute(
                        sql.SQL("delete from {} where tenant_id = %s").format(name), (other,)
                    ).rowcount
                    == 0
                )

    def test_a_setting_is_gone_with_its_transaction(
        self, sides: Sides, row: Table, columns: list[tuple[str, str]]
    ) -> None:
        tenant = uuid4()
        put(sides.superuser, row, columns, tenant)
        with sides.serving.transaction():
            sides.serving.execute("select set_config('app.tenant_ids', %s, true)", (in_hand(tenant),))
            assert count(sides.serving, row) == 1
        assert count(sides.serving, row) == 0
