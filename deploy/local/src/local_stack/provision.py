"""What must be there before the services start: roles, databases, tables, topics, rights. Each step may be repeated."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from local_stack.checkout import ROOT
from local_stack.engines import Addresses, Engines
from local_stack.environment import WITH_DATABASE, provisioning_environment
from local_stack.failure import StackFailure
from local_stack.process import Child, ended

JOB_SECONDS = 120.0


def create_roles(engines: Addresses) -> None:
    """Create the two roles of each service: one owns the tables, the other serves; neither is above row security.

    They enter no database but their own: those that PostgreSQL comes with are closed to them.
    """
    with psycopg.connect(engines.postgres_dsn(), autocommit=True) as connection:
        connection.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
        for role in [f"{service}_{part}" for service in WITH_DATABASE for part in ("owner", "service")]:
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
            connection.execute(
                sql.SQL(
                    "ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {}"
                ).format(sql.Identifier(role), sql.Literal(engines.credentials.of_role(role)))
            )


def create_database(engines: Addresses, service: str, database: str, *, template: str = "template1") -> None:
    """Create a service's database, which its two roles alone may enter, with the extension its tables need."""
    with psycopg.connect(engines.postgres_dsn(), autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone()
        names = {
            "database": sql.Identifier(database),
            "owner": sql.Identifier(f"{service}_owner"),
            "server": sql.Identifier(f"{service}_service"),
            "template": sql.Identifier(template),
        }
        if known is None:
            create = "CREATE DATABASE {database} OWNER {owner} TEMPLATE {template}"
            connection.execute(sql.SQL(create).format(**names))
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {database} FROM PUBLIC").format(**names))
        connection.execute(sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {server}").format(**names))
    with psycopg.connect(engines.postgres_dsn(database), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")


def start_migration(service: str, environment: Mapping[str, str], logs: Path) -> Child:
    """Start a service's migrations; `finish` waits for them."""
    return start_job(f"{service}-migrate", [sys.executable, "-m", service, "migrate"], environment, logs)


def start_provisioning(engines: Addresses, logs: Path) -> Child:
    """Start the one job that creates Kafka's topics and gives its principals their rights; `finish` waits for it."""
    command = [sys.executable, "-m", "servicekit", "provision"]
    return start_job("provision", command, provisioning_environment(engines), logs)


def start_job(name: str, command: Sequence[str], environment: Mapping[str, str], logs: Path) -> Child:
    """Start something that ends by itself."""
    job = Child(name, command, log=logs / f"{name}.log", folder=ROOT, environment=os.environ | dict(environment))
    job.start()
    return job


def finish(jobs: Sequence[Child]) -> None:
    """Wait for jobs; StackFailure for the first one that fails or takes too long, after which none runs."""
    try:
        for job in jobs:
            if not job.wait(JOB_SECONDS):
                raise StackFailure(
                    part=job.name,
                    problem=f"it is not done after {JOB_SECONDS:.0f} s",
                    log=job.log,
                    remedy="see what the log says; on a busy machine, try again",
                )
            if job.exit_code != 0:
                raise StackFailure(
                    part=job.name,
                    problem=f"it failed ({ended(job.exit_code)})",
                    log=job.log,
                    remedy="see what the log says; when it is mended, start again",
                )
    finally:
        for job in jobs:
            job.kill()


def start_provisioned(engines: Engines, environment: Mapping[str, Mapping[str, str]]) -> None:
    """Start the engines and give them what the services need; the migrations run while Kafka still starts.

    On a failure nothing is left running.
    """
    jobs: list[Child] = []
    try:
        engines.begin()
        engines.wait_ready(engines.postgres)
        create_roles(engines.addresses)
        for service in WITH_DATABASE:
            create_database(engines.addresses, service, service)
            engines.say(f"migrating the database of {service}")
            jobs.append(start_migration(service, environment[service], engines.logs))
        engines.wait_ready(engines.redis, engines.kafka)
        engines.say("creating the topics, giving Kafka's principals their rights")
        jobs.append(start_provisioning(engines.addresses, engines.logs))
        finish(jobs)
    except BaseException:
        for job in jobs:
            job.kill()
        engines.stop()
        raise
