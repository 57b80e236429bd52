"""New databases for tests, migrated once and copied from then on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import uuid4

import psycopg
from psycopg import sql

from local_stack.engines import Addresses
from local_stack.environment import service_environment
from local_stack.port import Ports
from local_stack.provision import create_database, create_roles, finish, start_migration

_LOCK = 0x70726F64
"""The advisory lock under which a template is made: several pytest processes may want it at once."""


@dataclass(frozen=True, kw_only=True)
class Database:
    """A database of one service. As a context manager it is dropped at the end."""

    engines: Addresses
    service: str
    name: str

    @property
    def url(self) -> str:
        """For the serving role, as `<SERVICE>_DATABASE_URL` (asyncpg)."""
        return self.engines.postgres_url(self.name, f"{self.service}_service")

    @property
    def owner_url(self) -> str:
        """For the role that owns the tables, as `<SERVICE>_DATABASE_OWNER_URL`."""
        return self.engines.postgres_url(self.name, f"{self.service}_owner")

    @property
    def dsn(self) -> str:
        """For the serving role, as psycopg and a bare asyncpg take it."""
        return self.engines.postgres_dsn(self.name, f"{self.service}_service")

    @property
    def owner_dsn(self) -> str:
        """For the owner, as psycopg and a bare asyncpg take it."""
        return self.engines.postgres_dsn(self.name, f"{self.service}_owner")

    @property
    def superuser_dsn(self) -> str:
        """For the superuser, whom no policy binds: to look at everything."""
        return self.engines.postgres_dsn(self.name)

    def drop(self) -> None:
        """Drop the database and whatever connection it has."""
        with psycopg.connect(self.engines.postgres_dsn(), autocommit=True) as connection:
            statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            connection.execute(statement.format(sql.Identifier(self.name)))

    def __enter__(self) -> Self:
        """Give the database."""
        return self

    def __exit__(self, *_: object) -> None:
        """Drop it."""
        self.drop()


class Databases:
    """Makes databases on one server; may be called from several processes at once."""

    def __init__(self, engines: Addresses, *, logs: Path) -> None:
        """Make databases on these engines; the migrations' output goes to `logs`."""
        self.engines = engines
        self.logs = logs

    def fresh(self, service: str, *, migrated: bool = True) -> Database:
        """Make a new database of a service with its roles' rights: migrated, or empty but for the extension."""
        template = self._template(service) if migrated else self._roles()
        name = f"{service}_{uuid4().hex[:12]}"
        create_database(self.engines, service, name, template=template)
        return Database(engines=self.engines, service=service, name=name)

    def _roles(self) -> str:
        with psycopg.connect(self.engines.postgres_dsn(), autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            create_roles(self.engines)
        return "template1"

    def _template(self, service: str) -> str:
        name = f"{service}_template"
        with psycopg.connect(self.engines.postgres_dsn(), autocommit=True) as connection:
            # Released with the connection.
            connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            made = "SELECT 1 FROM pg_database WHERE datname = %s AND datistemplate"
            if connection.execute(made, (name,)).fetchone() is None:
                create_roles(self.engines)
                create_database(self.engines, service, name)
                environment = service_environment(
                    self.engines, Ports(), "http://127.0.0.1:1", databases={"booking": name, "tenancy": name}
                )
                finish([start_migration(service, environment[service], self.logs)])
                statement = sql.SQL("ALTER DATABASE {} IS_TEMPLATE true")
                connection.execute(statement.format(sql.Identifier(name)))
        return name
