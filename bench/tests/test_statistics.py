"""Figures: smallest, median, largest; ratios pair by pair; percentiles by nearest rank."""

import math

import pytest
from bench.statistics import Spread, percentile, ratios


def test_a_spread_tells_the_smallest_the_median_and_the_largest() -> None:
    spread = Spread.of([3, 1, 2])
    assert (spread.least, spread.median, spread.most) == (1, 2, 3)


def test_of_an_even_number_of_figures_the_median_lies_between_the_two_in_the_middle() -> None:
    assert Spread.of([1, 2, 4, 8]).median == 3


@pytest.mark.parametrize("samples", [[], [1, math.nan], [math.inf]])
def test_what_is_no_number_is_no_measurement(samples: list[float]) -> None:
    with pytest.raises(ValueError, match="no measurements"):
        Spread.of(samples)


def test_ratios_are_taken_of_what_was_measured_side_by_side() -> None:
    # The machine was half as fast in the second repetition, for both.
    assert ratios(Spread.of([100, 50, 100]), Spread.of([50, 25, 25])).samples == (2, 2, 4)


def test_sides_with_different_numbers_of_repetitions_are_not_compared() -> None:
    with pytest.raises(ValueError, match="3 repetitions of ours, 2 of the baseline"):
        ratios(Spread.of([1, 1, 1]), Spread.of([1, 1]))


def test_nothing_is_compared_with_zero() -> None:
    with pytest.raises(ValueError, match="zero"):
        ratios(Spread.of([1]), Spread.of([0]))


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (0.999, 100), (1, 100), (0.001, 1)])
def test_a_percentile_is_the_smallest_sample_that_so_many_do_not_exceed(share: float, expected: float) -> None:
    assert percentile([*range(100, 0, -1)], share) == expected


@pytest.mark.parametrize("share", [0, 1.1, -1])
def test_a_share_outside_of_everything_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="no percentile"):
        percentile([1.0], share)


def test_of_nothing_there_is_no_percentile() -> None:
    with pytest.raises(ValueError, match="no percentile"):
        percentile([], 0.5)
