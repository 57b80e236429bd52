"""Positions: each stream numbers a tenant's events 1, 2, 3, … with no gap, and nobody sees one twice or misses one."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

LARGEST = 2**53 - 1
"""The largest position: the largest whole number that JSON, Lua and JavaScript all hold exactly."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveEvent:
    """An event on its way to sockets.

    ``payload`` is the JSON array ``[name, message]`` as sockets receive it; None: sockets are told nothing of it, but
    it takes its position all the same. ``traceparent`` names the trace that it is part of, where that is recorded.
    """

    stream: str
    position: int
    payload: str | None
    traceparent: str | None = None


class Step(Enum):
    """What an event is to somebody who stands at a position."""

    PASSED = "passed"
    NEXT = "next"
    BEYOND = "beyond"


def step(last: int, position: int) -> Step:
    """Tell what the event at ``position`` is to somebody whose last one was at ``last``.

    Passed: drop it. Next: take it. Beyond: fetch what is missing first.
    """
    if position <= last:
        return Step.PASSED
    return Step.NEXT if position == last + 1 else Step.BEYOND


def run(last: int, events: Iterable[LiveEvent]) -> Iterator[LiveEvent]:
    """Take the events that follow ``last`` one after the other, up to the first hole; passed ones are left out."""
    for event in events:
        match step(last, event.position):
            case Step.PASSED:
                continue
            case Step.NEXT:
                last = event.position
                yield event
            case Step.BEYOND:
                return
