"""Sides take turns, warming up is thrown away, and a figure that a line names must be there."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from bench.benchmark import Benchmark, Goal, Line, Measured
from bench.runner import Step, UnmeasuredError, run
from bench.stage import Stage


class Recorded(Benchmark):
    """A benchmark that measures how often it was asked."""

    name = "recorded"
    about = "calls"
    lines: ClassVar[Sequence[Line]] = (Line(name="calls", unit="calls", goal=Goal(at_least=1)),)
    repetitions = 3

    def __init__(self, folder: Path) -> None:
        super().__init__(Stage(folder), 1.0)
        self.story: list[str] = []

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        self.story.append("ready")
        yield
        self.story.append("over")

    async def ours(self) -> Measured:
        self.story.append("ours")
        return {"calls": float(len(self.story)), "what no line names": 1.0}

    async def baseline(self) -> Measured:
        self.story.append("baseline")
        return {"calls": float(len(self.story))}


class Alone(Recorded):
    """One that has no other side."""

    lines: ClassVar[Sequence[Line]] = (Line(name="calls", unit="calls", ours_only=True),)


class Silent(Recorded):
    """One that does not give what it promises."""

    async def baseline(self) -> Measured:
        return {}


def forget(_step: Step) -> None:
    """Hear nothing."""


async def test_sides_are_measured_in_turn_and_each_goes_first_as_often(tmp_path: Path) -> None:
    benchmark = Recorded(tmp_path)
    await run(benchmark, tell=forget)
    turns = benchmark.story[1:-1]
    assert turns == ["baseline", "ours", "ours", "baseline", "baseline", "ours", "ours", "baseline"]
    assert (benchmark.story[0], benchmark.story[-1]) == ("ready", "over")


async def test_warming_up_is_thrown_away_and_pairs_stay_together(tmp_path: Path) -> None:
    (row,) = await run(Recorded(tmp_path), tell=forget)
    assert row.samples["ours"] == [4, 7, 8]
    assert row.samples["baseline"] == [5, 6, 9]


async def test_it_is_told_what_goes_on_before_and_after_each_step(tmp_path: Path) -> None:
    steps: list[Step] = []
    await run(Recorded(tmp_path), tell=steps.append, repetitions=1)
    told = [(step.repetition, step.side, step.measured is not None) for step in steps]
    assert told[:2] == [(0, "baseline", False), (0, "baseline", True)]
    assert told[4:6] == [(1, "ours", False), (1, "ours", True)]


async def test_what_has_no_other_side_is_not_asked_for_it(tmp_path: Path) -> None:
    benchmark = Alone(tmp_path)
    (row,) = await run(benchmark, tell=forget)
    assert "baseline" not in benchmark.story
    assert row.baseline is None


async def test_a_line_without_a_figure_fails_the_run(tmp_path: Path) -> None:
    with pytest.raises(UnmeasuredError, match="3 times of ours, 0 of the baseline"):
        await run(Silent(tmp_path), tell=forget)


def test_a_goal_points_where_better_is() -> None:
    with pytest.raises(ValueError, match="at_least"):
        Line(name="latency", unit="ms", goal=Goal(at_least=2), more_is_better=False)


def test_a_goal_has_one_bound() -> None:
    with pytest.raises(ValueError, match="either"):
        Goal()


@pytest.mark.parametrize(
    ("goal", "ratio", "met"),
    [
        (Goal(at_least=2), 2, True),
        (Goal(at_least=2), 1.99, False),
        (Goal(at_most=2), 2, True),
        (Goal(at_most=2), 2.01, False),
    ],
)
def test_a_goal_is_met_at_its_bound(goal: Goal, ratio: float, met: bool) -> None:  # noqa: FBT001 - a parameter
    assert goal.met(ratio) is met
