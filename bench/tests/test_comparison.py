"""Worse by more than noise: every ratio worse than every one of before, and by more than is tolerated."""

from collections.abc import Sequence

import pytest
from bench.benchmark import Line
from bench.comparison import Verdict, compare, is_worse
from bench.results import Row


def row(ratios: Sequence[float], *, name: str = "x", more_is_better: bool = True) -> Row:
    line = Line(name=name, unit="1/s", more_is_better=more_is_better)
    return Row.of("bench", line, ratios, [1.0] * len(ratios))


def verdict(before: Row, now: Row) -> Verdict:
    (change,) = compare([before], [now])
    return change.verdict


STEADY = [2.0, 2.1, 1.9, 2.05, 1.95]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (STEADY, Verdict.SAME),
        ([1.5, 1.6, 1.4, 1.55, 1.45], Verdict.WORSE),
        ([2.5, 2.6, 2.4, 2.55, 2.45], Verdict.BETTER),
        ([1.5, 1.6, 1.92, 1.55, 1.45], Verdict.SAME),  # one repetition of now lies among those of before
    ],
)
def test_a_row_has_changed_when_no_repetition_of_now_lies_among_those_of_before(
    now: list[float], expected: Verdict
) -> None:
    assert verdict(row(STEADY), row(now)) is expected


@pytest.mark.parametrize(("factor", "expected"), [(1.5, Verdict.WORSE), (0.5, Verdict.BETTER)])
def test_of_what_should_be_small_more_is_worse(factor: float, expected: Verdict) -> None:
    before, now = row(STEADY, more_is_better=False), row([r * factor for r in STEADY], more_is_better=False)
    assert verdict(before, now) is expected


def test_what_is_apart_but_only_by_little_is_no_change() -> None:
    before, now = row([2.0, 2.001, 2.002]), row([1.99, 1.991, 1.992])
    assert verdict(before, now) is Verdict.SAME


def test_two_repetitions_say_nothing() -> None:
    assert verdict(row([2.0, 2.0]), row([1.0, 1.0])) is Verdict.UNKNOWN


def test_a_figure_without_a_baseline_is_the_machines_and_never_worse() -> None:
    line = Line(name="memory", unit="MiB", more_is_better=False, ours_only=True)
    before, now = (Row.of("bench", line, [size] * 5, []) for size in (50.0, 500.0))
    (change,) = compare([before], [now])
    assert change.verdict is Verdict.UNKNOWN
    assert (change.before, change.now) == (50, 500)


def test_a_row_that_one_run_lacks_is_named_and_is_not_worse() -> None:
    changes = compare([row(STEADY, name="gone")], [row(STEADY, name="new")])
    assert [(change.name, change.verdict, change.why) for change in changes] == [
        ("bench: gone", Verdict.UNKNOWN, "not measured this time"),
        ("bench: new", Verdict.UNKNOWN, "not in the stored run"),
    ]
    assert not is_worse(changes)


def test_one_worse_row_makes_the_run_worse() -> None:
    stored = [row(STEADY, name="a"), row(STEADY, name="b")]
    latest = [row(STEADY, name="a"), row([r / 2 for r in STEADY], name="b")]
    changes = compare(stored, latest)
    assert is_worse(changes)
    assert changes[1].change == pytest.approx(-0.5)
