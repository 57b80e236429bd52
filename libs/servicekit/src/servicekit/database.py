"""PostgreSQL as we use it: every transaction is opened to the tenants of the work in hand, and sees no other.

Row-level security reads the setting ``app.tenant_ids``; it is set for the transaction alone (so that it works behind
PgBouncer in transaction mode) and reads as no tenant where it was not set.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import orjson
from asyncpg.exceptions import InterfaceError as DriverInterfaceError
from asyncpg.exceptions import InternalClientError, InvalidCachedStatementError, PostgresError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext import asyncio as sqlalchemy_asyncio
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from servicekit import tracing
from servicekit.access import DatabaseAccess
from servicekit.looks import Look, Row, Seen

_OPEN = text("select set_config('app.tenant_ids', :tenants, true)")

_SPAN: Final = {"db.system": "postgresql"}
_USED: Final = "used"
"""What a pooled connection says of itself that has carried out a look before: it may have been cut since."""

_TRANSIENT_CLASSES = ("08", "28", "3D", "40", "53", "57", "58")
_TRANSIENT_CODES = ("25006", "55000", "55P03")
"""SQLSTATE classes: connection, authorization and database (a password or a name that is being changed: no command can
help it), rollback (deadlock, serialization), resources, operator intervention, system; and a server that is read-only
(a standby after a failover), a database that takes no connections, a lock not available."""


def is_transient(error: BaseException) -> bool:
    """Tell whether a database error says something of the moment, and nothing of the work: try again later."""
    if isinstance(error, InterfaceError | PoolTimeoutError | TimeoutError | OSError):
        return True
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        cause = error.orig.__cause__ if error.orig is not None else None
        if isinstance(cause, InvalidCachedStatementError):
            return True  # a migration has changed a table since the statement was prepared: it is prepared anew
        code = getattr(error.orig, "sqlstate", None) or getattr(cause, "sqlstate", None)
        if code is None:
            return (
                isinstance(cause, TimeoutError | OSError | ConnectionError) or "connection" in str(error.orig).lower()
            )
        return code[:2] in _TRANSIENT_CLASSES or code in _TRANSIENT_CODES
    return False


def _dbapi_error(statement: str, error: BaseException, *, invalidated: bool) -> DBAPIError:
    """Raise what the driver raised as SQLAlchemy does, and like it without the values that were sent."""
    return DBAPIError(statement, None, error, hide_parameters=True, connection_invalidated=invalidated)


async def open_to(connection: AsyncConnection, tenants: Collection[UUID]) -> None:
    """Open the transaction that is under way to these tenants and no other."""
    await connection.execute(_OPEN, {"tenants": "{" + ",".join(map(str, tenants)) + "}"})


class Database:
    """A service's own database, through its serving role."""

    def __init__(
        self,
        database: DatabaseAccess | str,
        *,
        replica: DatabaseAccess | str | None = None,
        pool_size: int = 10,
        command_timeout: float = 30.0,
    ) -> None:
        """Make the pool; nothing is connected yet. ``command_timeout`` is the deadline of a statement, in seconds.

        A ``replica`` has a pool of its own.
        """
        connect: dict[str, Any] = {
            "timeout": 5.0,
            "command_timeout": command_timeout,
            "server_settings": {"application_name": "production-tool", "timezone": "UTC", "jit": "off"},
        }

        def pool(at: DatabaseAccess) -> AsyncEngine:
            # Looked up now and not at import: that is where tracing, when it is on, has put its own.
            return sqlalchemy_asyncio.create_async_engine(
                at.url,
                pool_size=pool_size,
                max_overflow=0,
                pool_timeout=5.0,
                connect_args={**connect, **at.arguments()},
                json_deserializer=orjson.loads,
                hide_parameters=True,  # an error ends in a log or a dead letter: what a tenant wrote does not
            )

        reading: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self.engine: AsyncEngine = pool(DatabaseAccess.of(database))
        self._replica: AsyncEngine | None = None if replica is None else pool(DatabaseAccess.of(replica))
        self._single = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._reading = self.engine.execution_options(**reading)

    @property
    def has_replica(self) -> bool:
        """Whether there is a replica to read from."""
        return self._replica is not None

    async def stop(self) -> None:
        """Close the pools."""
        await self.engine.dispose()
        if self._replica is not None:
            await self._replica.dispose()

    @asynccontextmanager
    async def transaction(self, tenants: Collection[UUID] = ()) -> AsyncIterator[AsyncConnection]:
        """Open a READ COMMITTED transaction to the tenants; it commits at the end, or rolls back on an exception."""
        async with self._opened(self.engine, tenants) as connection:
            yield connection

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncConnection]:
        """Open a connection for single statements on tables that hold no tenant data: one round trip each."""
        async with self._single.connect() as connection:
            yield connection

    @asynccontextmanager
    async def reading(self, tenant_id: UUID) -> AsyncIterator[AsyncConnection]:
        """Open a read-only transaction on one snapshot to one tenant."""
        async with self._opened(self._reading, (tenant_id,)) as connection:
            yield connection

    async def look(self, tenant_id: UUID, look: Look, values: Mapping[str, Any], *, replica: bool = False) -> Seen:
        """Look at one tenant, in one round trip; with ``replica`` at the replica, which may be behind, if there is one.

        Raises:
            DBAPIError: as of any statement.
        """
        engine = (self._replica or self.engine) if replica else self.engine
        with tracing.calling("look", {**_SPAN, "db.statement": look.statement}):
            return Seen.of(await self._fetch(engine, look.statement, look.arguments(tenant_id, values)))

    @staticmethod
    async def _fetch(engine: AsyncEngine, statement: str, arguments: Sequence[Any]) -> Sequence[Row]:
        """Carry out a statement by itself, by the driver on a connection of the pool: SQLAlchemy's part in it is most.

        A connection that was cut while it lay in the pool is replaced; one whose answer did not come is not used again.
        """
        while True:
            try:
                pooled = await engine.raw_connection()
            except engine.dialect.loaded_dbapi.Error as error:
                raise _dbapi_error(statement, error, invalidated=True) from error
            driver: Any = pooled.driver_connection
            was_used = pooled.info.get(_USED, False)
            try:
                rows: Sequence[Row] = await driver.fetch(statement, *arguments, record_class=Row)
            except (PostgresError, DriverInterfaceError, InternalClientError, ConnectionError) as error:
                is_cut = driver.is_closed() or isinstance(error, InternalClientError | ConnectionError)
                if is_cut:
                    pooled.invalidate()
                    if was_used:
                        continue
                raise _dbapi_error(statement, error, invalidated=is_cut) from error
            except (asyncio.CancelledError, Exception):
                pooled.invalidate()
                raise
            else:
                pooled.info[_USED] = True
                return rows
            finally:
                pooled.close()

    @asynccontextmanager
    async def _opened(self, engine: AsyncEngine, tenants: Collection[UUID]) -> AsyncIterator[AsyncConnection]:
        tenant_ids = "{" + ",".join(map(str, tenants)) + "}"
        connection = await engine.connect()
        try:
            try:
                await connection.execute(_OPEN, {"tenants": tenant_ids})
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                await connection.close()  # the server was restarted under a pooled connection: take a new one, once
                connection = await engine.connect()
                await connection.execute(_OPEN, {"tenants": tenant_ids})
            yield connection
            await connection.commit()
        finally:
            await connection.close()
