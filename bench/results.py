"""What a run leaves behind: ``bench/results/latest.json``, a list of rows.

A row is ``{name, ours, baseline, unit, ratio, goal, met}``: medians, ``ratio`` being the median of the ratios of the
repetitions, ``goal`` a bound on it (``">= 2"``), ``met`` whether it is reached; null where there is none. Beside them
stand ``samples`` (all figures, by side, in the order taken), ``more_is_better``, and ``measured`` (when, at which
commit, at which scale). A run of some benchmarks replaces the rows of those and leaves the others.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from bench.benchmark import Line
from bench.statistics import Spread, ratios

FOLDER: Final = Path(__file__).parent / "results"
LATEST: Final = FOLDER / "latest.json"
STORED: Final = FOLDER / "stored.json"
_DIGITS: Final = 4


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of one benchmark, as measured."""

    name: str
    ours: float
    baseline: float | None
    unit: str
    ratio: float | None
    goal: str | None
    met: bool | None
    more_is_better: bool
    samples: dict[str, list[float]] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        benchmark: str,
        line: Line,
        ours: Sequence[float],
        baseline: Sequence[float],
        measured: dict[str, Any] | None = None,
    ) -> Self:
        """Make the row of a line from its repetitions; a line that is ours only has none of the baseline."""
        mine = Spread.of(ours)
        theirs = Spread.of(baseline) if baseline else None
        ratio = None if theirs is None else ratios(mine, theirs)
        samples = {"ours": [_round(sample) for sample in mine.samples]}
        if theirs is not None and ratio is not None:
            samples["baseline"] = [_round(sample) for sample in theirs.samples]
            samples["ratio"] = [_round(sample) for sample in ratio.samples]
        return cls(
            name=f"{benchmark}: {line.name}",
            ours=_round(mine.median),
            baseline=None if theirs is None else _round(theirs.median),
            unit=line.unit,
            ratio=None if ratio is None else _round(ratio.median),
            goal=None if line.goal is None else str(line.goal),
            met=None if line.goal is None or ratio is None else line.goal.met(ratio.median),
            more_is_better=line.more_is_better,
            samples=samples,
            measured=measured or {},
        )

    @property
    def benchmark(self) -> str:
        """Which benchmark it is of."""
        return self.name.partition(": ")[0]

    @property
    def line(self) -> str:
        """Which of its lines."""
        return self.name.partition(": ")[2]

    def spread(self, side: str) -> Spread | None:
        """Give the figures of ``ours``, ``baseline`` or ``ratio``; None where there are none."""
        samples = self.samples.get(side)
        return Spread.of(samples) if samples else None


def _round(figure: float) -> float:
    """Keep four significant digits: more say nothing."""
    return float(f"{figure:.{_DIGITS}g}")


def read(path: Path) -> list[Row]:
    """Read the rows of a run.

    Raises:
        OSError: there is no such file.
        ValueError: it is not a list of rows.
    """
    try:
        return [Row(**row) for row in json.loads(path.read_text())]
    except TypeError as error:
        message = f"{path} holds no rows: {error}"
        raise ValueError(message) from error


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write rows, in order of name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [asdict(row) for row in sorted(rows, key=lambda row: row.name)]
    path.write_text(json.dumps(written, indent=1) + "\n")


def merge(path: Path, rows: Sequence[Row]) -> None:
    """Put rows in place of those of the same benchmarks in a file, which need not be there yet."""
    renewed = {row.benchmark for row in rows}
    kept = [row for row in read(path) if row.benchmark not in renewed] if path.exists() else []
    write(path, [*kept, *rows])
