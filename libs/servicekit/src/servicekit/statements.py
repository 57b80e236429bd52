"""Statements of the hot path, sent by asyncpg itself: what SQLAlchemy does for each costs more than the round trip.

A decision takes about ten of them and a commit. They run on the connection and in the transaction that SQLAlchemy has
opened, and what fails reads as it would there. Where SQL is traced they go through SQLAlchemy, as that is where the
spans are made.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NoReturn

import asyncpg
from sqlalchemy import TextClause
from sqlalchemy.ext.asyncio import AsyncConnection

from servicekit.looks import Row
from servicekit.tracing import Tracing

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


async def fetch(connection: AsyncConnection, statement: TextClause, values: Mapping[str, Any]) -> Sequence[Any]:
    """Give the rows of a statement; raises as `AsyncConnection.execute`."""
    driver = _driver(connection)
    if driver is None:
        return (await connection.execute(statement, values)).all()
    text, names = _numbered(statement.text)
    try:
        found: list[Row] = await driver.fetch(text, *(values[name] for name in names), record_class=Row)
    except Exception as error:  # noqa: BLE001 - it is raised again
        _fail(connection, error)
    return found


async def change(connection: AsyncConnection, statement: TextClause, values: Mapping[str, Any]) -> int:
    """Carry out a statement, and tell how many rows it changed; raises as `AsyncConnection.execute`."""
    driver = _driver(connection)
    if driver is None:
        return (await connection.execute(statement, values)).rowcount
    text, names = _numbered(statement.text)
    try:
        told: str = await driver.execute(text, *(values[name] for name in names))
    except Exception as error:  # noqa: BLE001 - it is raised again
        _fail(connection, error)
    return int(told.rpartition(" ")[2])


@lru_cache(maxsize=256)
def _numbered(text: str) -> tuple[str, tuple[str, ...]]:
    """Write a statement with numbered parameters, and name them in that order."""
    names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
    return _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", text), names


def _driver(connection: AsyncConnection) -> "asyncpg.Connection[Row] | None":
    """Give the connection of asyncpg; None where SQLAlchemy is to be asked: also to open a transaction."""
    if Tracing.tracer is not None or not isinstance(connection, AsyncConnection):
        return None
    pooled = connection.sync_connection
    assert pooled is not None  # noqa: S101 - it was opened
    driver: asyncpg.Connection[Row] | None = pooled.connection.driver_connection
    assert driver is not None  # noqa: S101 - as above
    single = pooled.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
    return driver if single or driver.is_in_transaction() else None


def _fail(connection: AsyncConnection, error: Exception) -> NoReturn:
    """Raise an error of asyncpg as SQLAlchemy does, which also gives a connection up that is lost."""
    pooled: Any = connection.sync_connection
    try:
        pooled.connection.dbapi_connection._handle_exception(error)  # noqa: SLF001 - there is no other translation
    except Exception as translated:  # noqa: BLE001 - that is what it is asked for
        pooled._handle_dbapi_exception(translated, None, None, None, None)  # noqa: SLF001 - as above
    raise error
