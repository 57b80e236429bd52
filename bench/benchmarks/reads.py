"""Reads through the gateway, against the monolith's."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import ClassVar, Final
from uuid import UUID

from bench.baselines import bare
from bench.benchmark import Benchmark, Goal, Line, Measured
from bench.history import settle
from bench.stage import add_artists, new_tenants, tenant_id
from bench.statistics import percentile
from bench.systems import USER, System, monolith, ours
from bench.workload import FIRST_NIGHT, Workload

TENANTS: Final = 50
COMMANDS: Final = 20_000
CONNECTIONS: Final = 64
SECONDS: Final = 4.0
DIFFERENT: Final = 2_000
"""So many different addresses of each kind are asked, over and over: whatever may be kept is warm."""
_PARTS: Final = ("gateway", "booking", "postgresql", "redis")


class Reads(Benchmark):
    """A booking, and a month of an artist."""

    name = "reads"
    about = "GET /v1/bookings/{id} and a month of one artist, 64 connections, warm; the monolith, a process a core"
    ours_is = "gateway, booking"
    baseline_is = "monolith"
    lines: ClassVar[Sequence[Line]] = (
        Line(name="a booking", unit="requests/s", goal=Goal(at_least=1.5)),
        Line(name="a month", unit="requests/s", goal=Goal(at_least=1.5)),
        Line(name="a booking, p50", unit="ms", more_is_better=False),
        Line(name="a month, p50", unit="ms", more_is_better=False),
        Line(name="a booking, CPU of all", unit="ms", more_is_better=False),
        Line(name="a month, CPU of all", unit="ms", more_is_better=False),
        *(Line(name=f"CPU of {part}", unit="ms/booking", more_is_better=False, ours_only=True) for part in _PARTS),
    )

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Store the same bookings for both, and run both."""
        async with AsyncExitStack() as stack:
            names = new_tenants(TENANTS)
            workload = Workload([tenant_id(name) for name in names], self.scaled(COMMANDS, least=2_000))
            databases = [stack.enter_context(self.stage.database("booking")) for _ in range(2)]
            for database in databases:
                await add_artists(database, workload.artists)
                await bare.drain(database.dsn, workload)
                await settle(database)
            tokens = {tenant_id(name): self.stage.issuer.token(tenant=name, user=USER) for name in names}
            self.bookings, self._months = _paths(workload, tokens)
            self.system = stack.enter_context(ours(self.stage, databases[0], []))
            self._monolith = stack.enter_context(monolith(self.stage, databases[1], []))
            yield

    async def ours(self) -> Measured:
        """Read through the gateway."""
        return await self._read(self.system, _PARTS)

    async def baseline(self) -> Measured:
        """Read at the monolith."""
        return await self._read(self._monolith, ())

    async def _read(self, system: System, parts: Sequence[str]) -> Measured:
        seconds = self.seconds(SECONDS)
        booking = await system.read(CONNECTIONS, seconds, self.bookings)
        month = await system.read(CONNECTIONS, seconds, self._months)
        return {
            "a booking": booking.report.rate,
            "a month": month.report.rate,
            "a booking, p50": percentile(booking.report.latencies, 0.5),
            "a month, p50": percentile(month.report.latencies, 0.5),
            "a booking, CPU of all": booking.cpu_of_all,
            "a month, CPU of all": month.cpu_of_all,
            **{f"CPU of {part}": booking.cpu_milliseconds(part) for part in parts},
        }


def _paths(workload: Workload, tokens: dict[UUID, str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    choice = random.Random(1)  # noqa: S311 - the same each time
    made = [one for one in workload.decided if one.booking is not None]
    bookings, months = [], []
    for one in choice.choices(made, k=DIFFERENT):
        if one.booking is None:
            continue
        token = tokens[one.command.tenant_id]
        bookings.append((token, f"/v1/bookings/{one.booking.id}"))
        since = FIRST_NIGHT.replace(hour=0)
        until = since + timedelta(days=30)
        query = f"artist_id={one.booking.artist_id}&from={since:%Y-%m-%dT%H:%M:%SZ}&to={until:%Y-%m-%dT%H:%M:%SZ}"
        months.append((token, f"/v1/bookings?{query}"))
    return bookings, months
