"""Jobs that walk all tenants, one at a time, and what an operator runs after a restore."""

from collections.abc import AsyncIterator
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from servicekit import journal
from servicekit.database import Database

REMEMBERED_DAYS = 400


async def each_tenant(database: Database) -> AsyncIterator[UUID]:
    """Name every tenant that has a stream, in order of id."""
    after = UUID(int=0)
    while True:
        async with database.transaction() as connection:
            tenants = await journal.tenants_after(connection, after)
        if not tenants:
            return
        for tenant in tenants:
            yield tenant
        after = tenants[-1]


async def prune(database: Database, days: int = REMEMBERED_DAYS) -> int:
    """Forget outcomes of commands that were decided longer ago; returns how many."""
    forgotten = 0
    async for tenant in each_tenant(database):
        async with database.transaction([tenant]) as connection:
            forgotten += await journal.prune_log(connection, tenant, days)
    return forgotten


async def renew_epoch(owner_url: str) -> str:
    """Give this history a new name, after a restore from backup: every socket is then told to read anew."""
    engine = create_async_engine(owner_url, poolclass=NullPool, connect_args={"timeout": 10.0})
    try:
        async with engine.begin() as connection:
            renewed = await connection.execute(text("update epoch set name = gen_random_uuid() returning name::text"))
            return str(renewed.scalar_one())
    finally:
        await engine.dispose()
