"""Which fault befalls which part, and when: made of a seed alone, so that the same seed is the same schedule."""

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

INSTANCES = {
    "gateway": "gateway",
    "gateway-2": "gateway",
    "booking": "booking",
    "booking-2": "booking",
    "notifications": "notifications",
    "notifications-2": "notifications",
    "tenancy": "tenancy",
}
"""Each instance that runs, and of which service it is."""

TALKS_TO = {
    "gateway": ("kafka", "redis", "booking", "tenancy"),
    "notifications": ("kafka", "redis", "booking", "tenancy"),
    "booking": ("kafka", "postgresql"),
    "tenancy": ("kafka", "postgresql"),
}
"""To whom each service opens connections."""

LINKS = tuple(f"{name}>{other}" for name, service in INSTANCES.items() for other in TALKS_TO[service])
"""Each instance has connections of its own to each of these, through a proxy."""

GAP_SECONDS = 8.0
"""A fault begins about so often; one often begins while another lasts."""

FIRST_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of fault: whom it may befall, how long it lasts (the longest counts), and in which ways it comes."""

    targets: tuple[str, ...]
    seconds: tuple[float, float] = (0.0, 0.0)
    ways: tuple[dict[str, Any], ...] = ({},)


_HOW = ({"how": "stop"}, {"how": "crash"})

KINDS: dict[str, Kind] = {
    # Down for so long, then started again.
    "kill": Kind(targets=tuple(INSTANCES), seconds=(0.1, 3.0)),
    # Past the session timeout of consumers, 10 s: the group goes on without it, then it wakes and thinks nothing of it.
    "pause": Kind(targets=tuple(INSTANCES), seconds=(11.0, 14.0)),
    "kafka-restart": Kind(targets=("kafka",), seconds=(0.0, 3.0), ways=_HOW),
    "kafka-pause": Kind(targets=("kafka",), seconds=(2.0, 13.0)),
    "postgres-restart": Kind(targets=("postgresql",), seconds=(0.0, 3.0), ways=_HOW),
    "postgres-terminate": Kind(targets=("booking_service", "tenancy_service")),
    "redis-flush": Kind(targets=("redis",)),
    "redis-restart": Kind(targets=("redis",), seconds=(0.0, 4.0), ways=_HOW),
    # Broken and refused, or not a byte more until it is mended, as when packets are lost.
    "cut": Kind(targets=LINKS, seconds=(1.0, 12.0), ways=({"how": "refuse"}, {"how": "silence"})),
    "delay": Kind(targets=LINKS, seconds=(4.0, 12.0), ways=tuple({"latency": each} for each in (0.05, 0.2, 0.6))),
    # Every transaction that wrote an event fails when it commits.
    "full-disk": Kind(targets=("booking", "tenancy"), seconds=(1.0, 6.0)),
    # Beyond what a waiting caller's command may take (60 s), and well within it.
    "clock": Kind(
        targets=tuple(INSTANCES), seconds=(4.0, 10.0), ways=tuple({"skew": each} for each in (-90, -20, 20, 90))
    ),
}
"""Every kind of fault."""

_PARTS = {"booking_service": "postgresql", "tenancy_service": "postgresql"}


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A fault that is to come: seconds since the run began, and how long it lasts."""

    number: int
    kind: str
    target: str
    at: float
    seconds: float
    way: dict[str, Any] = field(default_factory=dict)

    @property
    def part(self) -> str:
        """What must not be befallen by another at the same time."""
        return "postgresql" if self.kind == "full-disk" else _PARTS.get(self.target, self.target)

    @property
    def ends(self) -> float:
        """When it is over."""
        return self.at + self.seconds


def read_kinds(said: str) -> tuple[str, ...]:
    """Read `all`, or kinds separated by commas.

    Raises:
        ValueError: there is no such kind; the message lists those that there are.
    """
    kinds = tuple(KINDS) if said == "all" else tuple(dict.fromkeys(word.strip() for word in said.split(",")))
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        message = f"there is no fault {', '.join(map(repr, unknown))}: name some of {', '.join(KINDS)}, or all"
        raise ValueError(message)
    return kinds


def plan(seed: int, seconds: float, kinds: Collection[str] = tuple(KINDS)) -> list[Planned]:
    """Plan the faults of a run, in the order in which they begin.

    Each is over within ``seconds``; no part has two at once; each kind has its turn as often as any other, give or take
    one, and has had one as soon as there is time for all. The same arguments give the same plan.
    """
    chance = random.Random(f"{seed} {seconds:g} {' '.join(kinds)}")  # noqa: S311 - it must be the same again
    turns = _turns(chance, tuple(kinds))
    waiting: list[str] = []
    planned: list[Planned] = []
    longest = max(KINDS[kind].seconds[1] for kind in kinds)
    for at in _beginnings(chance, seconds - longest):
        while True:
            found = next((one for kind in waiting if (one := _try(chance, kind, at, planned))), None)
            if found:
                waiting.remove(found.kind)
                planned.append(found)
                break
            if len(waiting) > len(kinds):
                break  # everything that may be broken is broken at present
            waiting.append(next(turns))
    return planned


def _beginnings(chance: random.Random, last: float) -> list[float]:
    if last <= FIRST_SECONDS:
        return []
    count = max(round((last - FIRST_SECONDS) / GAP_SECONDS), 1)
    edges = [FIRST_SECONDS + (last - FIRST_SECONDS) * index / count for index in range(count + 1)]
    return [round(chance.uniform(begin, begin + (end - begin) * 0.8), 2) for begin, end in pairwise(edges)]


def _turns(chance: random.Random, kinds: tuple[str, ...]) -> Iterator[str]:
    """Draw the kinds, all of them before any again; at first those with few targets, as they wait for each other."""
    yield from sorted(chance.sample(kinds, len(kinds)), key=lambda kind: min(len(KINDS[kind].targets), 3))
    while True:
        yield from chance.sample(kinds, len(kinds))


def _try(chance: random.Random, kind: str, at: float, planned: list[Planned]) -> Planned | None:
    broken = {one.part for one in planned if one.ends + GAP_SECONDS / 2 > at}
    for target in chance.sample(KINDS[kind].targets, len(KINDS[kind].targets)):
        one = Planned(
            number=len(planned) + 1,
            kind=kind,
            target=target,
            at=at,
            seconds=round(chance.uniform(*KINDS[kind].seconds), 2),
            way=chance.choice(KINDS[kind].ways),
        )
        if one.part not in broken:
            return one
    return None
