"""The projection, rebuilt from its events."""

import io
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import ClassVar, Final

import asyncpg
from uuid_utils.compat import uuid7

from bench.benchmark import Benchmark, Goal, Line, Measured
from bench.history import History, store
from bench.stage import new_tenants, tenant_id
from booking.application.projection import BookingProjection
from servicekit import jobs
from servicekit.database import Database

TENANTS: Final = 10
ARTISTS: Final = 20
NIGHTS: Final = 250


class Rebuild(Benchmark):
    """Events replayed and stored as rows, against the same rows put in by ``COPY``."""

    name = "rebuild"
    about = "rebuild of the projection from 50,000 events of 10 tenants; COPY of the same rows, same indexes"
    ours_is = "rebuild"
    baseline_is = "COPY"
    repetitions: ClassVar[int] = 3
    lines: ClassVar[Sequence[Line]] = (Line(name="events", unit="events/s", goal=Goal(at_least=0.3)),)

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Store bookings with their events, and keep the rows aside."""
        async with AsyncExitStack() as stack:
            tenants = [tenant_id(name) for name in new_tenants(TENANTS)]
            artists = {tenant: [uuid7() for _ in range(ARTISTS)] for tenant in tenants}
            self._history = History(artists=artists, nights=self.scaled(NIGHTS))
            self._database = stack.enter_context(self.stage.database("booking"))
            await store(self._database, self._history)
            self._superuser = await asyncpg.connect(self._database.superuser_dsn)
            stack.push_async_callback(self._superuser.close)
            self._rows = io.BytesIO()
            await self._superuser.copy_from_table("bookings", output=self._rows, format="binary")
            yield

    async def ours(self) -> Measured:
        """Rebuild."""
        await self._empty()
        database = Database(self._database.url, pool_size=2)
        try:
            began = time.perf_counter()
            found = await jobs.rebuild(database, "booking", BookingProjection())
            seconds = time.perf_counter() - began
        finally:
            await database.stop()
        if found.events != self._history.bookings or len(found.differing) != TENANTS:
            message = f"this was no rebuild of everything: {found}"
            raise RuntimeError(message)
        return {"events": found.events / seconds}

    async def baseline(self) -> Measured:
        """Put the same rows in."""
        await self._empty()
        self._rows.seek(0)
        began = time.perf_counter()
        await self._superuser.copy_to_table("bookings", source=self._rows, format="binary")
        return {"events": self._history.bookings / (time.perf_counter() - began)}

    async def _empty(self) -> None:
        await self._superuser.execute("truncate bookings")
        await self._superuser.execute("checkpoint")
