"""The page of measurements: every row of the stored run of the benchmarks."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from pages.markdown import table

STORED: Final = Path(__file__).parents[2] / "bench" / "results" / "stored.json"
_HEAD: Final = """\
# Measurements

The run that later ones are compared with (`make bench-compare`), whole. What is measured, against what and how stands
under [Performance](../performance.md). Each cell is the median, then the smallest and the largest of the repetitions;
ratios are taken pair by pair. Figures are of the machine named here and say nothing of another; ratios do.

"""
_NONE: Final = "No run is stored yet: `make bench`, then copy `bench/results/latest.json` to `stored.json` beside it.\n"
_THOUSAND: Final = 1000


def page() -> str:
    """Make the page."""
    if not STORED.exists():
        return _HEAD + _NONE
    rows: list[dict[str, Any]] = json.loads(STORED.read_text())
    names = sorted({row["name"].partition(": ")[0] for row in rows})
    return _HEAD + "\n".join(
        _section(name, [row for row in rows if row["name"].startswith(f"{name}: ")]) for name in names
    )


def _section(name: str, rows: Sequence[dict[str, Any]]) -> str:
    measured = rows[0]["measured"]
    where = f"{measured['machine']}; {measured['at']}, commit `{measured['commit']}`, scale {measured['scale']:g}."
    command = f"`make bench ONLY={name}" + (f" SCALE={measured['scale']:g}" if measured["scale"] != 1 else "") + "`"
    head = ("", "unit", "ours", "baseline", "ratio", "goal", "")
    return f"## {name}\n\n{command}. {where}\n\n" + table(head, _lines(rows))


def _lines(rows: Sequence[dict[str, Any]]) -> Iterator[Sequence[str]]:
    for row in rows:
        samples = row["samples"]
        yield (
            row["name"].partition(": ")[2],
            row["unit"],
            *(_spread(samples.get(side), row[side]) for side in ("ours", "baseline", "ratio")),
            row["goal"] or "",
            "" if row["met"] is None else "yes" if row["met"] else "no",
        )


def _spread(samples: Sequence[float] | None, middle: float | None) -> str:
    if not samples or middle is None:
        return ""
    return f"{_figure(middle)} ({_figure(min(samples))} to {_figure(max(samples))})"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= _THOUSAND else f"{value:.3g}"
