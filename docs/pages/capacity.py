"""The page of capacity: what a number of users would take, computed from the stored run of the benchmarks."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pages import measurements
from pages.markdown import number, table

WRITES_A_USER: Final = 20
READS_A_USER: Final = 200
BUSIEST_HOUR: Final = 0.2
CONNECTED: Final = 0.3
USERS_A_TENANT: Final = 50
KIB_AN_EVENT: Final = 2
UTILISATION: Final = 0.5
POPULATIONS: Final = (100_000, 10_000_000)
_WRITE: Final = "post: CPU of "
_READ: Final = "reads: CPU of "
_DELIVERY: Final = "fan-out: 500, single, CPU"
_MEMORY: Final = "footprint: notifications, 1,000 sockets"
_PARTS: Final = ("gateway", "booking", "notifications", "postgresql", "kafka", "redis")
_HOUR: Final = 3_600
_THOUSAND: Final = 1_000
_WORKING_DAYS: Final = 250
_HEAD: Final = f"""\
# Capacity

What a command, a read and a delivery cost, part by part, and what that comes to for many users, computed from the
[stored run](measurements.md): CPU time of one core of the machine named there, on which everything ran. Yours is
another machine: measure there (`make bench ONLY=post,reads,fan-out,footprint`, copy `bench/results/latest.json` to
`stored.json`, `make docs`), and this page tells of it.

Assumed is this, and each figure below is proportional to it:

- a user writes {WRITES_A_USER} times and reads {READS_A_USER} times a working day, a fifth of it in the busiest hour;
- in that hour {CONNECTED:.0%} of the users are connected, {USERS_A_TENANT} users make a tenant, and each hears every
  event of the tenant: {round(USERS_A_TENANT * CONNECTED)} deliveries an event;
- cores are half busy in the busiest hour: what is left is for a part that is gone, for peaks, and for vacuum.

What is not in it: tenancy (its commands are few, and cost what booking's cost), replicas of Kafka and PostgreSQL (each
writes what its leader writes), TLS, the ingress, the mesh, collectors of metrics and traces. What is added when, and
what that takes, stands under [Performance](../performance.md#what-is-added-when).

"""
_NONE: Final = "No run is stored yet, or not of all that is needed: `make bench ONLY=post,reads,fan-out,footprint`.\n"


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Milliseconds of CPU by part, for each command, read and delivery; and KiB of memory for each socket."""

    write: Mapping[str, float]
    read: Mapping[str, float]
    delivery_ms: float
    socket_kib: float

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> "Costs | None":
        """Take them from the rows of a run; None where a benchmark is missing."""
        found = {str(row["name"]): float(row["ours"]) for row in rows}
        write, read = _parts(found, _WRITE), _parts(found, _READ)
        if not (write and read and _DELIVERY in found and _MEMORY in found):
            return None
        return cls(
            write=write, read=read, delivery_ms=found[_DELIVERY] / _THOUSAND, socket_kib=found[_MEMORY] * 1024 / 1000
        )


@dataclass(frozen=True, kw_only=True)
class Load:
    """What users ask for in each second of the busiest hour."""

    users: int

    @property
    def writes(self) -> float:
        """Commands a second."""
        return self.users * WRITES_A_USER * BUSIEST_HOUR / _HOUR

    @property
    def reads(self) -> float:
        """Reads a second."""
        return self.users * READS_A_USER * BUSIEST_HOUR / _HOUR

    @property
    def sockets(self) -> float:
        """Sockets that are connected."""
        return self.users * CONNECTED

    @property
    def deliveries(self) -> float:
        """Events to sockets a second."""
        return self.writes * USERS_A_TENANT * CONNECTED

    @property
    def stored_a_year_gib(self) -> float:
        """What the events of a year take on a topic, once."""
        return self.users * WRITES_A_USER * _WORKING_DAYS * KIB_AN_EVENT / 1024**2

    def cores(self, costs: Costs) -> dict[str, int]:
        """Cores of each part, half busy."""
        busy = {
            part: self.writes * costs.write.get(part, 0.0) + self.reads * costs.read.get(part, 0.0) for part in _PARTS
        }
        busy["notifications"] += self.deliveries * costs.delivery_ms
        return {part: math.ceil(milliseconds / _THOUSAND / UTILISATION) for part, milliseconds in busy.items()}


def page() -> str:
    """Make the page."""
    costs = Costs.of(json.loads(measurements.STORED.read_text())) if measurements.STORED.exists() else None
    if costs is None:
        return _HEAD + _NONE
    return _HEAD + "\n".join(
        [
            "## What one costs\n\nMilliseconds of CPU.\n",
            table(("", *_PARTS, "all"), _of_one(costs)),
            f"A socket takes {costs.socket_kib:.0f} KiB of notifications' memory.\n",
            "## What many take\n",
            table(("", *(f"{number(users)} users" for users in POPULATIONS)), _of_many(costs)),
        ]
    )


def _parts(found: Mapping[str, float], prefix: str) -> dict[str, float]:
    return {
        name.removeprefix(prefix): figure
        for name, figure in found.items()
        if name.startswith(prefix) and name.removeprefix(prefix) in _PARTS
    }


def _of_one(costs: Costs) -> Iterator[Sequence[str]]:
    for what, by_part in (
        ("a command, answered", costs.write),
        ("a read of a booking", costs.read),
        ("a delivery", {"notifications": costs.delivery_ms}),
    ):
        cells = (f"{by_part[part]:.3g}" if part in by_part else "" for part in _PARTS)
        yield what, *cells, f"{sum(by_part.values()):.3g}"


def _of_many(costs: Costs) -> Iterator[Sequence[str]]:
    loads = [Load(users=users) for users in POPULATIONS]
    yield "commands a second", *(_whole(load.writes) for load in loads)
    yield "reads a second", *(_whole(load.reads) for load in loads)
    yield "sockets", *(_whole(load.sockets) for load in loads)
    yield "deliveries a second", *(_whole(load.deliveries) for load in loads)
    cores = [load.cores(costs) for load in loads]
    for part in _PARTS:
        yield f"cores of {part}", *(_whole(of_load[part]) for of_load in cores)
    yield "GiB of sockets", *(_whole(load.sockets * costs.socket_kib / 1024**2) for load in loads)
    yield "GiB of events a year, each copy", *(_whole(load.stored_a_year_gib) for load in loads)


def _whole(figure: float) -> str:
    return number(math.ceil(figure))
