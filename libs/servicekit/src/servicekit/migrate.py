"""Migrations: Alembic, as the role that owns the tables. A service's ``migrations/env.py`` is one call of `run`.

Revisions are numbers that count up. So who serves can tell whether the database is at its own version, or at a later
one, as it is after a release was taken back.
"""

import asyncio
import time
from importlib import import_module
from pathlib import Path

import structlog
from alembic import command, context
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from servicekit.access import DatabaseAccess
from servicekit.database import is_transient

_LOCK = 7_204_816_291
"""Key of the advisory lock under which migrations run, so that two jobs at once do not trip over each other."""


_POLL_S = 1.0

LOCK_SECONDS = 10.0
"""How long a migration waits for a table that somebody has in hand. Whoever comes after it waits behind it."""

log = structlog.get_logger(__name__)


def migrations_folder(package: str) -> Path:
    """Find a service's migrations: beside ``src`` in a checkout, inside the package where a wheel was installed."""
    folder = Path(str(import_module(package).__file__)).parent
    inside = folder / "migrations"
    return inside if inside.is_dir() else folder.parents[1] / "migrations"


def upgrade(package: str, owner: DatabaseAccess | str, revision: str = "head", *, within: float = 0.0) -> None:
    """Bring a service's database to a revision; try again for ``within`` seconds while it does not answer."""
    deadline = time.monotonic() + within
    while True:
        try:
            command.upgrade(_config(package, DatabaseAccess.of(owner)), revision)
        except Exception as error:
            if not is_transient(error) or time.monotonic() > deadline:
                raise
            log.info("waiting_for_postgresql", error=str(error))
            time.sleep(_POLL_S)
        else:
            return


def newest(package: str) -> str:
    """Name the revision that this version of a service brings its database to."""
    found = ScriptDirectory.from_config(_config(package, DatabaseAccess(url=""))).get_current_head()
    assert found is not None  # noqa: S101 - each service with a database has migrations
    return found


async def wait_until_migrated(package: str, database: DatabaseAccess | str) -> str:
    """Wait, however long it takes, until the database is at this version or a later one; gives at which.

    As the role that serves: it may read at which revision the database is, and no more of it.
    """
    wanted, told = newest(package), None
    while True:
        found = await _revision(DatabaseAccess.of(database))
        if found is not None and int(found) >= int(wanted):
            return found
        if told != (found or ""):
            told = found or ""
            log.info("waiting_for_migrations", revision=found, wanted=wanted)
        await asyncio.sleep(_POLL_S)


async def _revision(database: DatabaseAccess) -> str | None:
    """Read at which revision the database is; None where it can't be told: away, empty, not ours to read yet."""
    connect = {**database.arguments(), "timeout": 5.0, "command_timeout": 5.0}
    engine = create_async_engine(database.url, poolclass=NullPool, connect_args=connect)
    try:
        async with engine.connect() as connection:
            found: str | None = await connection.scalar(text("select version_num from alembic_version"))
            return found
    except ProgrammingError:
        return None
    except Exception as error:
        if not is_transient(error):
            raise
        return None
    finally:
        await engine.dispose()


def make_revision(package: str, message: str) -> Path:
    """Begin a new migration in a service's folder, after its newest; gives the file, which is to be filled in."""
    config = _config(package, DatabaseAccess(url=""))
    last = ScriptDirectory.from_config(config).get_current_head()
    number = f"{int(last or 0) + 1:04d}"
    made = command.revision(config, message, rev_id=number)
    assert isinstance(made, Script)  # noqa: S101 - one revision was asked for
    return Path(made.path)


def _config(package: str, owner: DatabaseAccess) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder(package)))
    config.set_main_option("path_separator", "os")
    config.attributes["owner"] = owner
    config.attributes["serving_role"] = f"{package}_service"
    return config


def run() -> None:
    """Run the migrations that Alembic asks for; called by ``env.py``."""
    asyncio.run(_run(context.config.attributes["owner"]))


async def _run(owner: DatabaseAccess) -> None:
    arguments = {**owner.arguments(), "timeout": 10.0}
    engine = create_async_engine(owner.url, poolclass=NullPool, connect_args=arguments)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate)
            await connection.commit()
    finally:
        await engine.dispose()


def _migrate(connection: Connection) -> None:
    connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    context.configure(connection=connection, transaction_per_migration=False)
    connection.execute(text(f"set local lock_timeout = '{LOCK_SECONDS * 1000:.0f}ms'"))
    with context.begin_transaction():
        context.run_migrations()
        # Who serves waits for its version (`wait_until_migrated`).
        connection.execute(text(f"grant select on alembic_version to {context.config.attributes['serving_role']}"))
