"""What a benchmark is: two sides that are measured in turn, and lines that compare them.

A benchmark is one small class::

    class Drain(Benchmark):
        name = "drain"
        about = "20,000 commands of 50 tenants, against one message a transaction"
        lines = (Line(name="commands", unit="commands/s", goal=Goal(at_least=10)),)

        @asynccontextmanager
        async def ready(self):
            async with self.stage.kafka(): yield

        async def ours(self):
            return {"commands": ...}

        async def baseline(self):
            return {"commands": ...}

How often, in which order, what is kept of it and how it is shown is not a benchmark's affair: see `bench.runner`.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ClassVar

from bench.stage import Stage

Measured = Mapping[str, float]
"""What one side gave in one repetition, by the name of the line."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A bound on ours divided by the baseline: at least, or at most."""

    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        """Hold that there is one bound."""
        if (self.at_least is None) == (self.at_most is None):
            message = "a goal is either `at_least` or `at_most`"
            raise ValueError(message)

    def met(self, ratio: float) -> bool:
        """Tell whether a ratio reaches it."""
        if self.at_least is not None:
            return ratio >= self.at_least
        return self.at_most is not None and ratio <= self.at_most

    def __str__(self) -> str:
        """Write it as it stands in tables and in the results."""
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One figure that is taken of both sides.

    ``more_is_better``: whether a larger figure is the better one; a goal must agree. ``ours_only``: the baseline has no
    such figure, it is stated and not compared.
    """

    name: str
    unit: str
    goal: Goal | None = None
    more_is_better: bool = True
    ours_only: bool = False

    def __post_init__(self) -> None:
        """Hold that goal and direction agree."""
        if self.goal is not None and (self.goal.at_least is not None) != self.more_is_better:
            message = f"{self.name}: a goal `at_least` belongs to a figure of which more is better, and only to such"
            raise ValueError(message)


class Benchmark(ABC):
    """Two sides and the lines that compare them; `ready` holds what both need."""

    name: ClassVar[str]
    about: ClassVar[str]
    """What is measured, and against what; stands above its table."""
    ours_is: ClassVar[str] = "ours"
    baseline_is: ClassVar[str] = "baseline"
    lines: ClassVar[Sequence[Line]]
    repetitions: ClassVar[int] = 5

    def __init__(self, stage: Stage, scale: float) -> None:
        """Measure on ``stage``; ``scale`` enlarges or shrinks how much is done, never what is compared."""
        self.stage = stage
        self.scale = scale

    def scaled(self, amount: int, *, least: int = 1) -> int:
        """Scale an amount of work."""
        return max(least, round(amount * self.scale))

    def seconds(self, usual: float) -> float:
        """Scale how long something is measured; never less than a second, in which little happens on a busy machine."""
        return max(1.0, usual * self.scale)

    @property
    def compares(self) -> bool:
        """Whether there is another side."""
        return not all(line.ours_only for line in self.lines)

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Hold what both sides need: begun before the first repetition, ended after the last."""
        yield

    @abstractmethod
    async def ours(self) -> Measured:
        """Measure us once."""

    async def baseline(self) -> Measured:
        """Measure the other side once; one without another side gives nothing."""
        return {}
