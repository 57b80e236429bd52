"""The two systems that answer requests, each ready on a database of its own: ours, and the monolith.

Ours is what a request goes through and no more: the gateway and booking, one instance of each; tenancy and
notifications run where a benchmark needs them. The monolith is one process a core, with connections spread evenly.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from uuid_utils.compat import uuid7

from bench.load.plan import Owner, Plan, Report
from bench.processes import Processes, used
from bench.stage import Changes, Stage, new_tenants, tenant_id
from local_stack.databases import Database
from local_stack.environment import NAMESPACE, jwks_url
from local_stack.port import HOST
from local_stack.services import Instance

ARTISTS = 20
USER = "bench"


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What a load came to, and the CPU seconds that each part spent meanwhile."""

    report: Report
    cpu_seconds: Mapping[str, float]

    def cpu_milliseconds(self, part: str) -> float:
        """CPU time of a part for each answered request."""
        return self.cpu_seconds[part] / max(1, self.report.answered) * 1000

    @property
    def cpu_of_all(self) -> float:
        """CPU time of all parts for each answered request, in milliseconds, without the load generator's."""
        return sum(self.cpu_milliseconds(part) for part in self.cpu_seconds)

    @property
    def generator_share(self) -> float:
        """How much of one core the load generator took."""
        return self.report.cpu_seconds / self.report.seconds


class BadAnswersError(Exception):
    """Requests were answered in another way than they should be: nothing of this is a measurement."""


@dataclass(kw_only=True)
class System:
    """A system that answers at some addresses; nights that were booked are not asked for again."""

    stage: Stage
    database: Database
    addresses: list[tuple[str, int]]
    processes: Processes
    owners: list[Owner] = field(default_factory=list)
    instances: Mapping[str, Instance] = field(default_factory=dict)
    nights: int = 0

    async def book(
        self, connections: int, seconds: float, *, rate: float | None = None, watch: Sequence[Instance] = ()
    ) -> Loaded:
        """Let callers book; with ``watch``, sockets of every tenant at those instances wait for what is booked."""
        watched = [
            (HOST, watch[number % len(watch)].port, owner.token) for number, owner in enumerate(self.owners) if watch
        ]
        plan = Plan(
            addresses=self.addresses,
            connections=connections,
            seconds=seconds,
            rate=rate,
            owners=self.owners,
            first=self.nights,
            watch=watched,
        )
        loaded = await self._carry_out(plan)
        self.nights = loaded.report.asked
        _hold_answers(loaded.report, "201")
        return loaded

    async def read(self, connections: int, seconds: float, paths: Sequence[tuple[str, str]]) -> Loaded:
        """Let callers read these paths, each with its token."""
        plan = Plan(addresses=self.addresses, connections=connections, seconds=seconds, reads=list(paths))
        loaded = await self._carry_out(plan)
        _hold_answers(loaded.report, "200")
        return loaded

    async def _carry_out(self, plan: Plan) -> Loaded:
        before = self.processes.cpu_seconds()
        printed = await self.stage.job("bench.load", environment=os.environ, given=plan.dumps())
        spent = used(before, self.processes.cpu_seconds())
        return Loaded(report=Report.loads(printed), cpu_seconds=spent)


def _hold_answers(report: Report, status: str) -> None:
    if set(report.statuses) != {status}:
        message = f"{status} was expected of every request: {report.statuses}"
        raise BadAnswersError(message)


@dataclass(frozen=True, kw_only=True)
class Tenants:
    """Tenants, the same ones for every system that is compared."""

    names: list[str]
    artists: dict[UUID, list[UUID]]

    @classmethod
    def new(cls, count: int) -> "Tenants":
        """Make tenants with artists."""
        names = new_tenants(count)
        return cls(names=names, artists={tenant_id(name): [uuid7() for _ in range(ARTISTS)] for name in names})

    def owners(self, stage: Stage) -> list[Owner]:
        """Give each a token."""
        return [
            Owner(
                token=stage.issuer.token(tenant=name, user=USER, role="member"),
                artists=[str(artist) for artist in self.artists[tenant_id(name)]],
            )
            for name in self.names
        ]


@contextmanager
def ours(
    stage: Stage, database: Database, owners: list[Owner], *besides: str, changes: Changes | None = None
) -> Iterator[System]:
    """Run the gateway and booking, and other services besides."""
    with stage.services("booking", "gateway", *besides, databases={"booking": database}, changes=changes) as services:
        pids = {name: instance.child.pid for name, instance in services.items()}
        yield System(
            stage=stage,
            database=database,
            addresses=[(HOST, services["gateway"].port)],
            processes=stage.processes().also(**pids),
            owners=owners,
            instances=services,
        )


@contextmanager
def monolith(stage: Stage, database: Database, owners: list[Owner], **settings: str) -> Iterator[System]:
    """Run the monolith, as many processes as there are cores."""
    issuer = {"issuer": stage.issuer.url, "jwks_url": jwks_url(stage.issuer.url), "namespace": NAMESPACE}
    told = {
        "DATABASE_URL": database.url,
        "REDIS_URL": stage.addresses.redis_url,
        "AUTH_ISSUERS": json.dumps([issuer]),
        **settings,
    }
    environment = {f"MONOLITH_{name}": setting for name, setting in told.items()}
    with ExitStack() as running:
        workers = [
            running.enter_context(stage.program(f"monolith-{number}", ["bench.baselines.monolith"], environment))
            for number in range(os.cpu_count() or 1)
        ]
        yield System(
            stage=stage,
            database=database,
            addresses=[(HOST, worker.port) for worker in workers],
            processes=stage.processes().also(monolith=[worker.child.pid for worker in workers]),
            owners=owners,
        )
