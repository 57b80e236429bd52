"""Would a cache of computed answers pay? What booking looks up each time, beside the same taken from Redis.

An answer from a cache holds for one position of its tenant, so the head of the stream is looked up first: whoever was
answered must read what they wrote. What a cache can save is the rest, and it is measured where it is right each time;
every event of the tenant would make it wrong.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, ClassVar, Final, cast
from uuid import UUID

import asyncpg
import orjson
from redis.asyncio import Redis
from uuid_utils.compat import uuid7

from bench.benchmark import Benchmark, Line, Measured
from bench.history import History, store
from bench.load.requests import FIRST_NIGHT
from bench.stage import new_tenants, tenant_id
from booking.adapters import bookings
from booking.adapters.bookings import Filters
from booking.application.representation import row_json
from servicekit.database import Database
from servicekit.looks import HEAD, look
from servicekit.redis_pool import make_pool

TENANTS: Final = 10
ARTISTS: Final = 20
NIGHTS: Final = 100
TIMES: Final = 2_000
MONTH: Final = timedelta(days=30)

Ask = Callable[[UUID, UUID], Awaitable[bytes]]


class Caches(Benchmark):
    """A month of one artist, looked up and written; against the head looked up, and the month taken from Redis."""

    name = "caches"
    about = "a month of one artist as booking makes it, one after the other; from Redis, valid for a position"
    ours_is = "looked up"
    baseline_is = "from Redis"
    lines: ClassVar[Sequence[Line]] = (
        Line(name="a month", unit="us", more_is_better=False),
        Line(name="a month, CPU of all", unit="us", more_is_better=False),
        Line(name="a month, nothing prepared", unit="us", more_is_better=False, ours_only=True),
        Line(name="a month, prepared", unit="us", more_is_better=False, ours_only=True),
    )

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Store bookings, and open a connection to each."""
        async with AsyncExitStack() as stack:
            artists = {tenant_id(name): [uuid7() for _ in range(ARTISTS)] for name in new_tenants(TENANTS)}
            self._asked = [(tenant, artist) for tenant, found in artists.items() for artist in found]
            fresh = stack.enter_context(self.stage.database("booking"))
            await store(fresh, History(artists=artists, nights=NIGHTS))
            self._dsn = fresh.dsn
            self._database = Database(fresh.url, pool_size=1)
            stack.push_async_callback(self._database.stop)
            pool = make_pool(self.stage.addresses.redis_url, most=1, timeout_seconds=1.0, retries=1)
            stack.push_async_callback(pool.aclose)
            self._redis = Redis(connection_pool=pool)
            for tenant, artist in self._asked:
                await self._redis.set(f"month:{tenant}:{artist}", await self._look(tenant, artist))
            yield

    async def ours(self) -> Measured:
        """Look each month up."""
        return {
            **await self._time(self._look),
            "a month, nothing prepared": await self._by_itself(statement_cache_size=0),
            "a month, prepared": await self._by_itself(),
        }

    async def baseline(self) -> Measured:
        """Take each month from Redis."""
        return await self._time(self._cached)

    async def _look(self, tenant: UUID, artist: UUID) -> bytes:
        query, values = _month(artist)
        seen = await self._database.look(tenant, look(query), values)
        return orjson.dumps({"items": [row_json(row) for row in seen.rows], "next_cursor": None})

    async def _cached(self, tenant: UUID, artist: UUID) -> bytes:
        head = await self._database.look(tenant, HEAD, {})
        found = cast("bytes | None", await self._redis.get(f"month:{tenant}:{artist}"))
        if found is None or head.deleted:
            message = "the cache was to be warm"
            raise RuntimeError(message)
        return found

    async def _time(self, ask: Ask) -> dict[str, float]:
        times = self.scaled(TIMES)
        engines = self.stage.processes()
        before, own, began = engines.cpu_seconds(), time.process_time(), time.perf_counter()
        for number in range(times):
            await ask(*self._asked[number % len(self._asked)])
        seconds, own = time.perf_counter() - began, time.process_time() - own
        after = engines.cpu_seconds()
        cpu = own + sum(after[part] - before[part] for part in ("postgresql", "redis"))
        return {"a month": seconds / times * 1e6, "a month, CPU of all": cpu / times * 1e6}

    async def _by_itself(self, **options: Any) -> float:  # noqa: ANN401 - what asyncpg takes
        connection = await asyncpg.connect(self._dsn, **options)
        try:
            times = self.scaled(TIMES)
            began = time.perf_counter()
            for number in range(times):
                tenant, artist = self._asked[number % len(self._asked)]
                query, values = _month(artist)
                asked = look(query)
                await connection.fetch(asked.statement, *asked.arguments(tenant, values))
            return (time.perf_counter() - began) / times * 1e6
        finally:
            await connection.close()


def _month(artist: UUID) -> tuple[str, dict[str, Any]]:
    since = FIRST_NIGHT + MONTH
    return bookings.listing(Filters(artist_id=artist, since=since, until=since + MONTH), 51)
