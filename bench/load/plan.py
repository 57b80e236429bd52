"""What the load generator is told and tells: plain data, so that it travels between processes as JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

import orjson


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A tenant to book for: a token of somebody of it, and its artists."""

    token: str
    artists: list[str]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to ask, of whom, and how fast.

    Without a ``rate`` each connection asks again as soon as it is answered (a closed loop: throughput). With one,
    requests are due at random moments, so many a second, and wait for a free connection; latency counts from when they
    were due (an open loop: what a user sees, whatever the server does in between).

    Asked are bookings of ``owners``, each a night of its own beginning with number ``first``; or, where there are
    ``reads``, these paths with their tokens, one after the other from a random one on.
    """

    addresses: list[tuple[str, int]]
    connections: int
    seconds: float
    rate: float | None = None
    owners: list[Owner] = field(default_factory=list)
    first: int = 0
    reads: list[tuple[str, str]] = field(default_factory=list)
    watch: list[tuple[str, int, str]] = field(default_factory=list)
    """Sockets that watch meanwhile: host, port and token; the time from when a booking was due until it arrives."""

    def dumps(self) -> bytes:
        """Write it."""
        return orjson.dumps(asdict(self))

    @classmethod
    def loads(cls, text: bytes) -> Self:
        """Read it."""
        told: dict[str, Any] = orjson.loads(text)
        told["owners"] = [Owner(**owner) for owner in told["owners"]]
        return cls(**told)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came of it; latencies in milliseconds, sorted. ``asked`` is how many nights are used up now."""

    seconds: float
    asked: int
    statuses: dict[str, int]
    latencies: list[float]
    arrivals: list[float]
    cpu_seconds: float

    @property
    def answered(self) -> int:
        """Requests that were answered while the clock ran."""
        return sum(self.statuses.values())

    @property
    def rate(self) -> float:
        """Requests answered a second."""
        return self.answered / self.seconds

    def dumps(self) -> bytes:
        """Write it."""
        return orjson.dumps(asdict(self))

    @classmethod
    def loads(cls, text: bytes) -> Self:
        """Read it."""
        return cls(**orjson.loads(text))
