"""``POST /v1/bookings``, from one caller to 256."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import ClassVar, Final

from bench.benchmark import Benchmark, Goal, Line, Measured
from bench.load.plan import Plan, Report
from bench.stage import add_artists, analyze
from bench.statistics import percentile
from bench.systems import System, Tenants, monolith, ours
from local_stack.port import HOST

TENANTS: Final = 50
CONNECTIONS: Final = (1, 16, 64, 256)
SECONDS: Final = 4.0
WARM: Final = 16
"""Connections that fill the tables with something to look at, before anything is measured."""
_THROUGHPUT: Final = {64: Goal(at_least=2), 256: Goal(at_least=3)}
_PARTS: Final = ("gateway", "booking", "postgresql", "kafka", "redis")
_OF_PARTS: Final = 64
"""The number of connections at which it is told what each part costs."""


class Post(Benchmark):
    """Bookings through gateway, Kafka, booking and back, against a monolith."""

    name = "post"
    about = "POST /v1/bookings of 50 tenants; a monolith (FastAPI, SQLAlchemy, asyncpg), a process a core"
    ours_is = "gateway, Kafka, booking"
    baseline_is = "monolith"
    lines: ClassVar[Sequence[Line]] = (
        *(Line(name=f"at {n}", unit="requests/s", goal=_THROUGHPUT.get(n)) for n in CONNECTIONS),
        Line(name="p50 at 1", unit="ms", goal=Goal(at_most=2), more_is_better=False),
        *(Line(name=f"p50 at {n}", unit="ms", more_is_better=False) for n in CONNECTIONS[1:]),
        *(Line(name=f"p99 at {n}", unit="ms", more_is_better=False) for n in CONNECTIONS),
        *(Line(name=f"CPU of all at {n}", unit="ms/request", more_is_better=False) for n in CONNECTIONS),
        *(Line(name=f"CPU of {part}", unit="ms/request", more_is_better=False, ours_only=True) for part in _PARTS),
        Line(name="load generator", unit="of a core", more_is_better=False),
    )

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Run both systems, each with a database of its own and the same tenants."""
        async with AsyncExitStack() as stack:
            tenants = Tenants.new(TENANTS)
            owners = tenants.owners(self.stage)
            databases = [stack.enter_context(self.stage.database("booking")) for _ in range(2)]
            for database in databases:
                await add_artists(database, tenants.artists)
            self._ours = stack.enter_context(ours(self.stage, databases[0], owners))
            self._monolith = stack.enter_context(monolith(self.stage, databases[1], owners))
            for system in (self._ours, self._monolith):
                await system.book(WARM, 1.0)
                await analyze(system.database)
            yield

    async def ours(self) -> Measured:
        """Book through Kafka."""
        return await self._book(self._ours, _PARTS)

    async def baseline(self) -> Measured:
        """Book at the monolith."""
        return await self._book(self._monolith, ())

    async def _book(self, system: System, parts: Sequence[str]) -> Measured:
        found: dict[str, float] = {}
        for connections in CONNECTIONS:
            loaded = await system.book(connections, self.seconds(SECONDS))
            found[f"at {connections}"] = loaded.report.rate
            found[f"p50 at {connections}"] = percentile(loaded.report.latencies, 0.5)
            found[f"p99 at {connections}"] = percentile(loaded.report.latencies, 0.99)
            found[f"CPU of all at {connections}"] = loaded.cpu_of_all
            if connections == _OF_PARTS:
                found |= {f"CPU of {part}": loaded.cpu_milliseconds(part) for part in parts}
                found["load generator"] = loaded.generator_share
        return found


class LoadGenerator(Benchmark):
    """What the load generator could ask, were there nobody to wait for."""

    name = "load-generator"
    about = "the load generator at 64 connections, against a server that answers at once and does nothing"
    ours_is = "load generator"
    lines: ClassVar[Sequence[Line]] = (Line(name="ceiling", unit="requests/s", ours_only=True),)
    repetitions: ClassVar[int] = 3

    async def ours(self) -> Measured:
        """Ask a server that knows one answer."""
        owners = Tenants.new(TENANTS).owners(self.stage)
        with self.stage.program("nothing", ["bench.baselines.nothing"], {}) as server:
            plan = Plan(addresses=[(HOST, server.port)], connections=64, seconds=self.seconds(SECONDS), owners=owners)
            printed = await self.stage.job("bench.load", environment=os.environ, given=plan.dumps())
        return {"ceiling": Report.loads(printed).rate}
