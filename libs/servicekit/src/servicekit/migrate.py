"""Migrations: Alembic, as the role that owns the tables. A service's ``migrations/env.py`` is one call of `run`."""

import asyncio
from importlib import import_module
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from servicekit.access import DatabaseAccess

_LOCK = 7_204_816_291
"""Key of the advisory lock under which migrations run, so that two jobs at once do not trip over each other."""


def migrations_folder(package: str) -> Path:
    """Find a service's migrations: beside ``src`` in a checkout, inside the package where a wheel was installed."""
    folder = Path(str(import_module(package).__file__)).parent
    inside = folder / "migrations"
    return inside if inside.is_dir() else folder.parents[1] / "migrations"


def upgrade(package: str, owner: DatabaseAccess | str, revision: str = "head") -> None:
    """Bring a service's database to a revision."""
    command.upgrade(_config(package, DatabaseAccess.of(owner)), revision)


def make_revision(package: str, message: str) -> Path:
    """Begin a new migration in a service's folder, after its newest; gives the file, which is to be filled in."""
    config = _config(package, DatabaseAccess(url=""))
    newest = ScriptDirectory.from_config(config).get_current_head()
    number = f"{int(newest or 0) + 1:04d}"
    made = command.revision(config, message, rev_id=number)
    assert isinstance(made, Script)  # noqa: S101 - one revision was asked for
    return Path(made.path)


def _config(package: str, owner: DatabaseAccess) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder(package)))
    config.set_main_option("path_separator", "os")
    config.attributes["owner"] = owner
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
    with context.begin_transaction():
        context.run_migrations()
