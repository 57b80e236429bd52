"""A plot of each benchmark: every repetition is a dot, so that what varies can be seen.

What has no other side is left out where anything has one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

from bench.benchmark import Benchmark
from bench.results import Row

_OURS: Final = "#3f51b5"
_BASELINE: Final = "#e65100"
_WIDTH: Final = 8.0
_ROW_HEIGHT: Final = 1.1
_HEAD: Final = 1.4


def draw(benchmark: Benchmark, rows: Sequence[Row], path: Path) -> None:
    """Draw a benchmark's rows into a file, one below the other, each on a scale of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [row for row in rows if row.ratio is not None] or rows
    height = _HEAD + _ROW_HEIGHT * len(rows)
    figure, axes = plt.subplots(len(rows), 1, figsize=(_WIDTH, height), squeeze=False, layout="constrained")
    figure.suptitle(f"{benchmark.name}: {benchmark.about}", fontsize=9, wrap=True)
    for axis, row in zip(axes[:, 0], rows, strict=True):
        _draw_row(axis, row, benchmark)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_row(axis: Any, row: Row, benchmark: Benchmark) -> None:  # noqa: ANN401 - matplotlib's axes
    sides = [("ours", benchmark.ours_is, _OURS), ("baseline", benchmark.baseline_is, _BASELINE)]
    shown = [(name, label, colour) for name, label, colour in sides if row.samples.get(name)]
    for place, (name, _, colour) in enumerate(shown):
        samples = row.samples[name]
        axis.scatter(samples, [place] * len(samples), color=colour, s=24, alpha=0.7, zorder=3)
        middle = row.ours if name == "ours" else row.baseline
        axis.barh(place, middle, color=colour, alpha=0.25, height=0.6)
    axis.set_yticks(range(len(shown)), [label for _, label, _ in shown], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlim(left=0)
    ratio = "" if row.ratio is None else f", ratio {row.ratio:.3g}" + (f" (goal {row.goal})" if row.goal else "")
    axis.set_title(f"{row.line}, {row.unit}{ratio}", fontsize=8, loc="left")
    axis.tick_params(axis="x", labelsize=7)
    axis.grid(axis="x", alpha=0.3)
