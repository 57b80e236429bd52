"""Latency at half the load that can be borne, against the floor: bare hops through the same Kafka, and one commit."""

import os
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import ClassVar, Final

import asyncpg
import orjson

from bench.benchmark import Benchmark, Goal, Line, Measured
from bench.stage import add_artists, analyze
from bench.statistics import percentile
from bench.systems import System, Tenants, ours
from local_stack.databases import Database

TENANTS: Final = 50
BUSY: Final = 64
"""Connections at which it is measured what can be borne."""
CALLERS: Final = 128
"""Connections that open requests may take: more than are ever in use."""
LOOK_SECONDS: Final = 4.0
SECONDS: Final = 8.0
RECORD_BYTES: Final = 600
"""About what a command takes on Kafka, and an outcome."""


class Latency(Benchmark):
    """``POST /v1/bookings`` at half load, against two hops and a commit."""

    name = "latency"
    about = "POST /v1/bookings at half the throughput of 64 callers; two bare Kafka hops and one commit, at that rate"
    ours_is = "POST"
    baseline_is = "floor"
    lines: ClassVar[Sequence[Line]] = (
        Line(name="p50", unit="ms", goal=Goal(at_most=2), more_is_better=False),
        Line(name="p99", unit="ms", goal=Goal(at_most=4), more_is_better=False),
        Line(name="p99.9", unit="ms", more_is_better=False),
        Line(name="rate", unit="requests/s"),
    )
    hops: ClassVar[int] = 2
    besides: ClassVar[Sequence[str]] = ()

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Run us and the floor, and find out what half the load is."""
        async with AsyncExitStack() as stack:
            tenants = Tenants.new(TENANTS)
            database = stack.enter_context(self.stage.database("booking"))
            await add_artists(database, tenants.artists)
            owners = tenants.owners(self.stage)
            self._ours = stack.enter_context(ours(self.stage, database, owners, *self.besides))
            names = [f"floor-{secrets.token_hex(4)}-{number}" for number in range(self.hops)]
            await stack.enter_async_context(self.stage.topics(*names))
            self._floor = os.environ | await _floor_environment(self.stage.kafka.options(), database, names)
            stack.enter_context(self.stage.program("floor", ["bench.baselines.floor", "relay"], self._floor))
            await self._ours.book(BUSY, self.seconds(LOOK_SECONDS))  # warm: connections, caches, statements
            await analyze(database)
            self._rate = (await self._ours.book(BUSY, self.seconds(LOOK_SECONDS))).report.rate / 2
            yield

    async def ours(self) -> Measured:
        """Book at that rate."""
        latencies = await self._latencies(self._ours)
        return _figures(latencies, self._rate)

    async def _latencies(self, system: System) -> Sequence[float]:
        return (await system.book(CALLERS, self.seconds(SECONDS), rate=self._rate)).report.latencies

    async def baseline(self) -> Measured:
        """Send bare records at that rate."""
        told = ["--rate", str(self._rate), "--seconds", str(self.seconds(SECONDS)), "--size", str(RECORD_BYTES)]
        printed = await self.stage.job("bench.baselines.floor", "ask", *told, environment=self._floor)
        return _figures(orjson.loads(printed), self._rate)


class Arrival(Latency):
    """From ``POST`` to the socket of somebody who watches, against three hops and a commit."""

    name = "arrival"
    repetitions = 3
    about = "from POST to a watching socket, at half load; three bare Kafka hops and one commit, at that rate"
    ours_is = "POST to socket"
    lines: ClassVar[Sequence[Line]] = (
        Line(name="p50", unit="ms", goal=Goal(at_most=2), more_is_better=False),
        Line(name="p99", unit="ms", more_is_better=False),
        Line(name="p99.9", unit="ms", more_is_better=False),
        Line(name="rate", unit="requests/s"),
    )
    hops: ClassVar[int] = 3
    besides: ClassVar[Sequence[str]] = ("tenancy", "notifications")

    async def _latencies(self, system: System) -> Sequence[float]:
        watch = [system.instances["notifications"]]
        return (await system.book(CALLERS, self.seconds(SECONDS), rate=self._rate, watch=watch)).report.arrivals


def _figures(latencies: Sequence[float], rate: float) -> Measured:
    return {
        "p50": percentile(latencies, 0.5),
        "p99": percentile(latencies, 0.99),
        "p99.9": percentile(latencies, 0.999),
        "rate": rate,
    }


async def _floor_environment(kafka: Mapping[str, object], database: Database, topics: Sequence[str]) -> dict[str, str]:
    connection = await asyncpg.connect(database.superuser_dsn)
    await connection.execute("create table floor (id bigint generated always as identity primary key, body bytea)")
    await connection.close()
    return {
        "FLOOR_KAFKA": orjson.dumps(kafka).decode(),
        "FLOOR_TOPICS": ",".join(topics),
        "FLOOR_DATABASE": database.superuser_dsn,
    }
