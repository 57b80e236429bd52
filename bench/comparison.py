"""Is a run worse than another by more than noise?

Compared are ratios to the baseline, which both runs measured on their own machine, and not figures, which are the
machine's. A row is worse when *every* ratio of the new run is worse than *every* one of the stored run, and the medians
differ by more than `TOLERATED`. Were both runs of the same thing, the first alone would happen once in 252 times with
five repetitions each (1 / C(10, 5)), once in 20 with three; fewer than `FEWEST` say nothing. A row without a baseline
is compared by its figure, and only shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bench.results import Row

TOLERATED: Final = 0.05
FEWEST: Final = 3


class Verdict(StrEnum):
    """What is said of a row."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "no more than noise"
    UNKNOWN = "can't be told"


@dataclass(frozen=True, kw_only=True)
class Change:
    """A row of both runs, what it was and is, and the verdict; ``now`` or ``before`` is None where a run lacks it."""

    name: str
    before: float | None
    now: float | None
    verdict: Verdict
    why: str = ""

    @property
    def change(self) -> float | None:
        """How much the median has changed, as a share of what it was; negative: it has shrunk."""
        if self.before is None or self.now is None or self.before == 0:
            return None
        return self.now / self.before - 1


def compare(stored: Sequence[Row], latest: Sequence[Row]) -> list[Change]:
    """Compare two runs row by row, in order of name."""
    before = {row.name: row for row in stored}
    now = {row.name: row for row in latest}
    return [_compare(name, before.get(name), now.get(name)) for name in sorted(before.keys() | now.keys())]


def is_worse(changes: Sequence[Change]) -> bool:
    """Tell whether any row is."""
    return any(change.verdict is Verdict.WORSE for change in changes)


def _compare(name: str, before: Row | None, now: Row | None) -> Change:
    if before is None or now is None:
        why = "not in the stored run" if before is None else "not measured this time"
        return Change(
            name=name,
            before=None if before is None else before.ratio,
            now=None if now is None else now.ratio,
            verdict=Verdict.UNKNOWN,
            why=why,
        )
    was, is_ = before.spread("ratio"), now.spread("ratio")
    if was is None or is_ is None:
        why = "no baseline: a figure of the machine"
        return Change(name=name, before=before.ours, now=now.ours, verdict=Verdict.UNKNOWN, why=why)
    if min(len(was.samples), len(is_.samples)) < FEWEST:
        why = f"fewer than {FEWEST} repetitions"
        return Change(name=name, before=was.median, now=is_.median, verdict=Verdict.UNKNOWN, why=why)
    verdict = Verdict.SAME
    if abs(is_.median - was.median) > TOLERATED * abs(was.median):
        if is_.most < was.least:
            verdict = Verdict.WORSE if now.more_is_better else Verdict.BETTER
        elif is_.least > was.most:
            verdict = Verdict.BETTER if now.more_is_better else Verdict.WORSE
    return Change(name=name, before=was.median, now=is_.median, verdict=verdict)
