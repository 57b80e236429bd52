"""Figures of several repetitions: smallest, median and largest; nothing is thrown away and nothing averaged."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The figures of one side, in the order in which they were taken."""

    samples: tuple[float, ...]

    def __post_init__(self) -> None:
        """Hold that there are some, all of them numbers."""
        if not self.samples or not all(math.isfinite(sample) for sample in self.samples):
            message = f"these are no measurements: {self.samples}"
            raise ValueError(message)

    @classmethod
    def of(cls, samples: Sequence[float]) -> Self:
        """Take figures."""
        return cls(samples=tuple(samples))

    @property
    def least(self) -> float:
        """The smallest."""
        return min(self.samples)

    @property
    def median(self) -> float:
        """The one in the middle."""
        return median(self.samples)

    @property
    def most(self) -> float:
        """The largest."""
        return max(self.samples)


def ratios(ours: Spread, baseline: Spread) -> Spread:
    """Divide pair by pair: what was measured side by side shared the machine's mood.

    Raises:
        ValueError: they are not pairs, or a baseline is zero.
    """
    if len(ours.samples) != len(baseline.samples):
        message = f"{len(ours.samples)} repetitions of ours, {len(baseline.samples)} of the baseline"
        raise ValueError(message)
    if not all(baseline.samples):
        message = "a baseline of zero compares with nothing"
        raise ValueError(message)
    return Spread.of([one / other for one, other in zip(ours.samples, baseline.samples, strict=True)])


def percentile(samples: Sequence[float], share: float) -> float:
    """Give the smallest sample that at least ``share`` of all do not exceed (nearest rank); the 0.5 is a median.

    Raises:
        ValueError: there is none, or ``share`` is not in ``(0, 1]``.
    """
    if not samples or not 0 < share <= 1:
        message = f"no percentile {share} of {len(samples)} samples"
        raise ValueError(message)
    return sorted(samples)[math.ceil(share * len(samples)) - 1]
