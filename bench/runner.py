"""Runs benchmarks: who is measured when, and how often.

Both sides of a benchmark stand ready together and are measured in turn, ours first in one repetition and last in the
next, so that what changes with time on the machine (heat, caches, a checkpoint) meets both alike. One repetition before
the first warms both sides up and is thrown away.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from bench.benchmark import Benchmark, Line, Measured
from bench.results import Row

Side = Literal["ours", "baseline"]
SIDES: Final[tuple[Side, Side]] = ("ours", "baseline")
Tell = Callable[["Step"], None]
_Figures = dict[str, list[float]]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One side of one repetition (0: the warming up), as it is begun, or with its figures as it has ended."""

    benchmark: Benchmark
    repetition: int
    repetitions: int
    side: Side
    measured: Measured | None = None
    seconds: float = 0.0


class UnmeasuredError(Exception):
    """A benchmark did not give the figures that its lines name."""


def turns(benchmark: Benchmark, repetition: int) -> Sequence[Side]:
    """Give the order of the sides in a repetition."""
    if not benchmark.compares:
        return ("ours",)
    return SIDES if repetition % 2 else SIDES[::-1]


async def run(
    benchmark: Benchmark, *, tell: Tell, repetitions: int | None = None, measured: dict[str, Any] | None = None
) -> list[Row]:
    """Measure a benchmark and give its rows; ``tell`` hears of each step twice, as it begins and as it has ended.

    Raises:
        UnmeasuredError: a line has no figure.
    """
    count = repetitions or benchmark.repetitions
    figures: dict[Side, _Figures] = {side: {} for side in SIDES}
    async with benchmark.ready():
        for repetition in range(count + 1):
            for side in turns(benchmark, repetition):
                tell(Step(benchmark=benchmark, repetition=repetition, repetitions=count, side=side))
                began = time.perf_counter()
                found = await (benchmark.ours() if side == "ours" else benchmark.baseline())
                seconds = time.perf_counter() - began
                tell(
                    Step(
                        benchmark=benchmark,
                        repetition=repetition,
                        repetitions=count,
                        side=side,
                        measured=found,
                        seconds=seconds,
                    )
                )
                if repetition:
                    _add(figures[side], found)
    return [_row(benchmark, line, figures, measured) for line in benchmark.lines]


def _add(figures: _Figures, found: Measured) -> None:
    for name, figure in found.items():
        figures.setdefault(name, []).append(figure)


def _row(benchmark: Benchmark, line: Line, figures: Mapping[Side, _Figures], measured: dict[str, Any] | None) -> Row:
    ours = figures["ours"].get(line.name, [])
    baseline = [] if line.ours_only else figures["baseline"].get(line.name, [])
    if not ours or (not line.ours_only and len(baseline) != len(ours)):
        times = f"{len(ours)} times of ours, {len(baseline)} of the baseline"
        message = f"{benchmark.name}: {line.name} was measured {times}"
        raise UnmeasuredError(message)
    return Row.of(benchmark.name, line, ours, baseline, measured)
