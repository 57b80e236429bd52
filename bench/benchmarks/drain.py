"""A backlog of commands, drained by the booking consumer."""

from collections.abc import Sequence
from typing import ClassVar, Final

from bench.baselines import bare
from bench.benchmark import Benchmark, Goal, Line, Measured
from bench.consumer import Drained, drain
from bench.stage import Changes, new_tenants, tenant_id
from bench.workload import Workload

COMMANDS: Final = 20_000
TENANTS: Final = 50
ONE_BY_ONE: Final = 3_000
"""Commands that are handled one by one: a rate that is steady needs no more, and waiting for more measures patience."""
ONE_A_TRANSACTION: Final[Changes] = {"booking": {"COMMANDS_AT_ONCE": "1"}}

RATE: Final = "commands"
CPU_OURS: Final = (
    Line(name="CPU of booking", unit="us/command", more_is_better=False, ours_only=True),
    Line(name="CPU of PostgreSQL", unit="us/command", more_is_better=False, ours_only=True),
    Line(name="CPU of Kafka", unit="us/command", more_is_better=False, ours_only=True),
)


class _Drain(Benchmark):
    """What they have in common."""

    async def _drain(self, count: int, tenants: int, changes: Changes | None = None, *, consumers: int = 1) -> Drained:
        workload = Workload([tenant_id(name) for name in new_tenants(tenants)], count)
        with self.stage.database("booking") as database:
            return await drain(self.stage, database, workload, changes=changes, consumers=consumers)

    async def ours(self) -> Measured:
        """Drain the work of 50 tenants."""
        return _figures(await self._drain(self.scaled(COMMANDS), TENANTS))


def _figures(drained: Drained) -> Measured:
    return {
        RATE: drained.rate,
        "CPU of booking": drained.cpu_microseconds("booking"),
        "CPU of PostgreSQL": drained.cpu_microseconds("postgresql"),
        "CPU of Kafka": drained.cpu_microseconds("kafka"),
    }


class DrainOneByOne(_Drain):
    """Batches against one message a transaction."""

    name = "drain-one-by-one"
    about = "the booking consumer drains 20,000 commands of 50 tenants; the same service, one message a transaction"
    ours_is = "batches"
    baseline_is = "one by one"
    lines: ClassVar[Sequence[Line]] = (
        Line(name=RATE, unit="commands/s", goal=Goal(at_least=10)),
        Line(name="CPU of booking", unit="us/command", more_is_better=False),
        Line(name="CPU of PostgreSQL", unit="us/command", more_is_better=False),
        Line(name="CPU of Kafka", unit="us/command", more_is_better=False),
    )

    async def baseline(self) -> Measured:
        """Drain by one message a transaction."""
        return _figures(await self._drain(self.scaled(ONE_BY_ONE), TENANTS, ONE_A_TRANSACTION))


class DrainLimit(_Drain):
    """The consumer against a script that only writes the rows."""

    name = "drain-limit"
    about = "the same drain; the same rows written by a bare asyncpg script, set-based, 500 commands a transaction"
    ours_is = "the service"
    baseline_is = "bare asyncpg"
    lines: ClassVar[Sequence[Line]] = (Line(name=RATE, unit="commands/s", goal=Goal(at_least=0.5)), *CPU_OURS)

    async def baseline(self) -> Measured:
        """Write the rows."""
        workload = Workload([tenant_id(name) for name in new_tenants(TENANTS)], self.scaled(COMMANDS))
        with self.stage.database("booking") as database:
            return {RATE: len(workload.decided) / await bare.drain(database.dsn, workload)}


class DrainHotTenant(_Drain):
    """One tenant against fifty."""

    name = "drain-hot-tenant"
    repetitions = 3
    about = "the same work, all of it one tenant's (one partition, one stream); the work of 50 tenants"
    ours_is = "one tenant"
    baseline_is = "50 tenants"
    lines: ClassVar[Sequence[Line]] = (Line(name=RATE, unit="commands/s", goal=Goal(at_least=0.7)), *CPU_OURS)

    async def ours(self) -> Measured:
        """Drain the work of one tenant."""
        return _figures(await self._drain(self.scaled(COMMANDS), 1))

    async def baseline(self) -> Measured:
        """Drain the work of 50."""
        return _figures(await self._drain(self.scaled(COMMANDS), TENANTS))


class DrainTwoConsumers(_Drain):
    """Two instances of booking against one."""

    name = "drain-two-consumers"
    repetitions = 3
    about = "the same drain by two instances of booking that share the partitions; by one"
    ours_is = "two instances"
    baseline_is = "one instance"
    lines: ClassVar[Sequence[Line]] = (
        Line(name=RATE, unit="commands/s"),
        Line(name="CPU of booking", unit="us/command", more_is_better=False),
        Line(name="CPU of PostgreSQL", unit="us/command", more_is_better=False),
        Line(name="CPU of Kafka", unit="us/command", more_is_better=False),
    )

    async def ours(self) -> Measured:
        """Drain by two."""
        return _figures(await self._drain(self.scaled(COMMANDS), TENANTS, consumers=2))

    async def baseline(self) -> Measured:
        """Drain by one."""
        return _figures(await self._drain(self.scaled(COMMANDS), TENANTS))
