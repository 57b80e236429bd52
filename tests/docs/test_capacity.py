"""What a number of users would take: the arithmetic, and that it names no run where there is none."""

import json
from pathlib import Path
from typing import Any

import pytest

from pages import capacity, measurements
from pages.capacity import Costs, Load

RUN: list[dict[str, Any]] = [
    {"name": "post: CPU of gateway", "ours": 2.0},
    {"name": "post: CPU of booking", "ours": 1.0},
    {"name": "post: CPU of all at 64", "ours": 9.0},
    {"name": "reads: CPU of gateway", "ours": 0.5},
    {"name": "fan-out: 500, single, CPU", "ours": 10.0},
    {"name": "footprint: notifications, 1,000 sockets", "ours": 50.0},
]


def test_costs_are_taken_by_part() -> None:
    costs = Costs.of(RUN)
    assert costs is not None
    assert (costs.write, costs.read) == ({"gateway": 2.0, "booking": 1.0}, {"gateway": 0.5})
    assert costs.delivery_ms == pytest.approx(0.01)
    assert costs.socket_kib == pytest.approx(51.2)


@pytest.mark.parametrize("missing", ["post", "reads", "fan-out", "footprint"])
def test_a_run_without_all_that_is_needed_tells_nothing(missing: str) -> None:
    assert Costs.of([row for row in RUN if not row["name"].startswith(missing)]) is None


def test_cores_are_half_busy_in_the_busiest_hour() -> None:
    load, costs = Load(users=90_000), Costs.of(RUN)
    assert costs is not None
    assert (load.writes, load.reads, load.sockets, load.deliveries) == (100.0, 1_000.0, 27_000.0, 1_500.0)
    cores = load.cores(costs)
    assert cores["gateway"] == 2  # (100 * 2 ms + 1,000 * 0.5 ms) a second, doubled: 1.4
    assert (cores["booking"], cores["notifications"], cores["kafka"]) == (1, 1, 0)


def test_ten_million_users_take_a_hundred_times_what_a_hundred_thousand_take() -> None:
    few, many = (Load(users=users) for users in capacity.POPULATIONS)
    assert many.writes == pytest.approx(100 * few.writes)
    assert many.stored_a_year_gib == pytest.approx(100 * few.stored_a_year_gib)


def test_the_page_tells_of_the_stored_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "STORED", tmp_path / "stored.json")
    assert "No run is stored yet" in capacity.page()
    measurements.STORED.write_text(json.dumps(RUN))
    assert "| cores of gateway | 2 | 156 |" in capacity.page()
