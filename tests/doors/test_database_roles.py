"""Each role enters its own service's database and no other, with its own password: every pair is tried."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from local_stack.account import account_for
from local_stack.checkout import ROOT
from local_stack.credentials import Credentials
from local_stack.engines import Addresses
from local_stack.environment import WITH_DATABASE
from local_stack.port import free_ports
from local_stack.postgres import SUPERUSER, PostgreSQL
from local_stack.provision import create_database, create_roles
from local_stack.testing import temporary_folder

ROLES = tuple(f"{service}_{part}" for service in WITH_DATABASE for part in ("owner", "service"))
DATABASES = (*WITH_DATABASE, "postgres", "template1")


@pytest.fixture(scope="module")
def at() -> Iterator[Addresses]:
    """A server as the native stack sets it up."""
    folder, port, credentials = temporary_folder(), free_ports(1)[0], Credentials()
    server = PostgreSQL(
        data=folder / "data",
        log=folder / "postgresql.log",
        port=port,
        durable=False,
        account=account_for("postgres"),
        password=credentials.postgres,
    )
    try:
        server.start()
        at = Addresses(postgres_port=port, redis_port=0, kafka_port=0, credentials=credentials)
        create_roles(at)
        for service in WITH_DATABASE:
            create_database(at, service, service)
        yield at
    finally:
        server.stop()


def enters(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=10).close()
    except psycopg.OperationalError as error:
        if "permission denied for database" not in str(error):
            raise
        return False
    return True


@pytest.mark.parametrize("role", ROLES)
def test_a_role_enters_its_own_database_and_no_other(at: Addresses, role: str) -> None:
    assert {name for name in DATABASES if enters(at.postgres_dsn(name, role))} == {role.partition("_")[0]}


def test_these_are_all_the_databases_and_roles_there_are(at: Addresses) -> None:
    with psycopg.connect(at.postgres_dsn()) as connection:
        databases = {name for (name,) in connection.execute("select datname from pg_database where datallowconn")}
        roles = {name for (name,) in connection.execute("select rolname from pg_roles where rolcanlogin")}
        powers = connection.execute(
            "select rolname from pg_roles where rolname = any(%s) and"
            " (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)",
            (list(ROLES),),
        ).fetchall()
        members = connection.execute(
            "select 1 from pg_auth_members where member = any(%s::regrole[])", (list(ROLES),)
        ).fetchall()
    assert (databases, roles) == (set(DATABASES), {SUPERUSER, *ROLES})
    assert (powers, members) == ([], [])


@pytest.mark.parametrize("role", ROLES)
def test_a_role_needs_its_own_password(at: Addresses, role: str) -> None:
    others = {at.credentials.of_role(other) for other in (*ROLES, SUPERUSER) if other != role}
    for password in ("", "a guess", *others):
        with pytest.raises(psycopg.OperationalError, match=r"no password supplied|authentication failed"):
            psycopg.connect(at.postgres_dsn(role.partition("_")[0]), user=role, password=password, connect_timeout=10)


def test_every_line_of_pg_hba_asks_for_a_password_by_scram(at: Addresses) -> None:
    with psycopg.connect(at.postgres_dsn()) as connection:
        methods = connection.execute("select distinct auth_method, error from pg_hba_file_rules").fetchall()
        stored = connection.execute("select rolname from pg_authid where rolpassword not like 'SCRAM-SHA-256$%'")
        assert methods == [("scram-sha-256", None)]
        assert stored.fetchall() == []


def test_a_database_that_is_made_later_is_closed_to_the_others(at: Addresses) -> None:
    create_database(at, "booking", "booking_later")
    try:
        assert {role for role in ROLES if enters(at.postgres_dsn("booking_later", role))} == {
            "booking_owner",
            "booking_service",
        }
    finally:
        with psycopg.connect(at.postgres_dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("drop database {}").format(sql.Identifier("booking_later")))


def test_compose_does_the_same() -> None:
    script = (ROOT / "deploy/local/databases.sh").read_text()
    composed = (ROOT / "docker-compose.yml").read_text()
    assert "REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC" in script
    assert 'REVOKE ALL ON DATABASE :"service" FROM PUBLIC' in script
    assert "POSTGRES_INITDB_ARGS: --auth=scram-sha-256" in composed
