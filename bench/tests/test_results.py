"""The shape of ``latest.json``, which others read, and how runs are merged."""

import json
from pathlib import Path

import pytest
from bench import results
from bench.benchmark import Goal, Line
from bench.results import Row

FAST = Line(name="throughput", unit="requests/s", goal=Goal(at_least=2))
SMALL = Line(name="memory", unit="MiB", more_is_better=False, ours_only=True)


def test_a_row_is_written_with_the_names_that_others_read(tmp_path: Path) -> None:
    path = tmp_path / "results" / "latest.json"
    results.write(path, [Row.of("post", FAST, [200, 210, 190], [100, 100, 100], {"commit": "abc"})])
    (written,) = json.loads(path.read_text())
    assert {name: written[name] for name in ("name", "ours", "baseline", "unit", "ratio", "goal", "met")} == {
        "name": "post: throughput",
        "ours": 200,
        "baseline": 100,
        "unit": "requests/s",
        "ratio": 2,
        "goal": ">= 2",
        "met": True,
    }
    assert written["samples"] == {"ours": [200, 210, 190], "baseline": [100, 100, 100], "ratio": [2, 2.1, 1.9]}
    assert written["measured"] == {"commit": "abc"}


def test_what_has_no_baseline_has_no_ratio_and_meets_nothing() -> None:
    row = Row.of("footprint", SMALL, [50.0], [])
    assert (row.baseline, row.ratio, row.goal, row.met) == (None, None, None, None)


def test_a_goal_is_met_by_the_median_of_the_ratios_and_not_by_the_ratio_of_the_medians() -> None:
    row = Row.of("post", FAST, [100, 400, 300], [40, 300, 100])
    assert row.ours / (row.baseline or 0) == 3
    assert row.ratio == 2.5


def test_figures_are_kept_to_four_digits() -> None:
    assert Row.of("footprint", SMALL, [1234567.0], []).ours == 1235000
    assert Row.of("footprint", SMALL, [0.00123456], []).ours == 0.001235


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "latest.json"
    rows = [Row.of("a", FAST, [2.0], [1.0]), Row.of("b", SMALL, [1.0], [])]
    results.write(path, rows)
    assert results.read(path) == rows


def test_a_run_replaces_the_rows_of_its_benchmarks_and_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "latest.json"
    old = Line(name="a line that is no more", unit="ms")
    results.merge(path, [Row.of("post", FAST, [1.0], [1.0]), Row.of("post", old, [1.0], [1.0])])
    results.merge(path, [Row.of("footprint", SMALL, [1.0], [])])
    results.merge(path, [Row.of("post", FAST, [3.0], [1.0])])
    assert [(row.name, row.ours) for row in results.read(path)] == [("footprint: memory", 1), ("post: throughput", 3)]


def test_a_file_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latest.json"
    path.write_text('[{"name": "x"}]')
    with pytest.raises(ValueError, match="holds no rows"):
        results.read(path)
