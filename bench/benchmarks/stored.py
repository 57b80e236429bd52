"""Does it get slower with the years? The same work on a database with much in it, and on one with little."""

import hashlib
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import ClassVar, Final
from uuid import UUID

from uuid_utils.compat import uuid7

from bench.benchmark import Benchmark, Goal, Line, Measured
from bench.consumer import drain_at, warm_up
from bench.history import EVERY, History, store
from bench.load.requests import FIRST_NIGHT
from bench.stage import new_tenants, tenant_id
from bench.statistics import percentile
from bench.systems import USER, System
from bench.workload import Night, Workload
from local_stack.databases import Database
from local_stack.port import HOST

TENANTS: Final = 100
ARTISTS: Final = 28
NIGHTS: Final = 357
"""Of each artist at scale 1: a million bookings. Ten times as many are ten million, in twenty years of every second."""
FEW_ARTISTS: Final = 2
FEW_NIGHTS: Final = 50
"""Ten thousand bookings, as close to each other as the many: a month or ninety days of an artist hold as much."""
COMMANDS: Final = 4_000
NIGHTS_A_ROUND: Final = 20
"""More than any artist is booked in one round."""
SECONDS: Final = 2.0
MONTH: Final = timedelta(days=30)
PAGE: Final = 50
"""Events a page: fewer than a tenant has, also of the few."""
READS: Final = ("a month", "availability", "events after")
_NO_MORE: Final = Goal(at_most=1.3)


class Stored(Benchmark):
    """The cost of commands and reads with a million bookings stored (``SCALE=10``: ten), and with ten thousand."""

    name = "stored"
    about = "commands and reads of booking over a million stored bookings times SCALE; over ten thousand"
    ours_is = "many"
    baseline_is = "ten thousand"
    repetitions: ClassVar[int] = 3
    lines: ClassVar[Sequence[Line]] = (
        Line(name="a command", unit="us", goal=_NO_MORE, more_is_better=False),
        Line(name="a command, CPU of PostgreSQL", unit="us", more_is_better=False),
        *(Line(name=f"{read}, p50", unit="ms", goal=_NO_MORE, more_is_better=False) for read in READS),
        Line(name="bookings stored", unit="bookings"),
    )

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Store the many; the few are stored anew each time, as they would not stay few."""
        async with AsyncExitStack() as stack:
            self._names = new_tenants(TENANTS)
            self._tokens = {tenant_id(name): self.stage.issuer.token(tenant=name, user=USER) for name in self._names}
            artists = {tenant: [uuid7() for _ in range(ARTISTS)] for tenant in self._tokens}
            self._many = History(artists=artists, nights=self.scaled(NIGHTS, least=FEW_NIGHTS))
            few = {tenant: found[:FEW_ARTISTS] for tenant, found in artists.items()}
            self._few = History(artists=few, nights=FEW_NIGHTS)
            self._database = stack.enter_context(self.stage.database("booking"))
            await store(self._database, self._many)
            self._round = 0
            yield

    async def ours(self) -> Measured:
        """Work among many."""
        self._round += 1
        return await self._work(self._database, self._many, first=self._round * NIGHTS_A_ROUND)

    async def baseline(self) -> Measured:
        """Work among few."""
        with self.stage.database("booking") as database:
            await store(database, self._few)
            return await self._work(database, self._few, first=0)

    async def _work(self, database: Database, history: History, *, first: int) -> Measured:
        with self.stage.services("booking", databases={"booking": database}) as services:
            await warm_up(self.stage, database)
            workload = Workload(
                list(history.artists), COMMANDS, artists=history.artists, night=_free_nights(history, first)
            )
            drained = await drain_at(self.stage, [services["booking"]], workload)
            system = System(
                stage=self.stage,
                database=database,
                addresses=[(HOST, services["booking"].port)],
                processes=self.stage.processes(),
            )
            found = {
                "a command": drained.seconds / drained.commands * 1e6,
                "a command, CPU of PostgreSQL": drained.cpu_microseconds("postgresql"),
                "bookings stored": float(history.bookings),
            }
            for read in READS:
                loaded = await system.read(1, SECONDS, self._paths(history, read))
                found[f"{read}, p50"] = percentile(loaded.report.latencies, 0.5)
        return found

    def _paths(self, history: History, read: str) -> list[tuple[str, str]]:
        """Choose reads at random, over everybody and the whole time; each finds as much as any other."""
        choice = random.Random(1)  # noqa: S311 - the same each time
        paths = []
        for _ in range(2_000):
            tenant = choice.choice(list(history.artists))
            artist = choice.choice(list(history.artists[tenant]))
            start = FIRST_NIGHT + timedelta(days=choice.randrange(history.nights * EVERY - MONTH.days))
            window = f"from={start:%Y-%m-%dT%H:%M:%SZ}&to={start + MONTH:%Y-%m-%dT%H:%M:%SZ}"
            after = choice.randrange(history.bookings // len(history.artists) - PAGE + 1)
            path = {
                "a month": f"/v1/bookings?artist_id={artist}&{window}",
                "availability": f"/v1/artists/{artist}/availability?{window}",
                "events after": f"/v1/events?after={after}&limit={PAGE}",
            }[read]
            paths.append((self._tokens[tenant], path))
        return paths


def _free_nights(history: History, first: int) -> Night:
    """Give the free nights of an artist one after the other, beginning anywhere in its years."""

    def night(artist: UUID, number: int) -> int:
        begin = int.from_bytes(hashlib.blake2b(artist.bytes, digest_size=4).digest(), "big")
        return (begin + first + number) % history.nights * EVERY + 1

    return night
