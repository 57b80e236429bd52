"""What a check says: how much it examined, and each breach with the smallest history around it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from local_stack.chaos.evidence import Event, Outcome
from local_stack.chaos.history import Call, Fault, Settled, Told

_WIDEST = 220
"""A line of a printed history is cut off there: whoever wants all of it has the history itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Breach:
    """A promise that was broken, and what led to it: nothing that has to do with something else."""

    what: str
    tenant_id: str = ""
    told: Sequence[Call | Settled | Told] = ()
    events: Sequence[Event] = ()
    outcomes: Sequence[Outcome] = ()
    faults: Sequence[Fault] = ()

    def render(self) -> str:
        """Print it: what broke, then what clients were told and which faults overlapped by time, then what is."""
        lines = [f"{self.what}" + (f" (tenant {self.tenant_id})" if self.tenant_id else "")]
        timed = [(_began(one), _line(one)) for one in (*self.faults, *self.told)]
        lines += [f"  {at:8.3f} s  {line}" for at, line in sorted(timed)]
        lines += [f"  {event.stream} {event.position}: {_event(event)}" for event in self.events]
        lines += [f"  logged: {_outcome(outcome)}" for outcome in self.outcomes]
        return "\n".join(line[:_WIDEST] for line in lines)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one check found: ``count`` is how much it examined."""

    name: str
    count: int
    breaches: Sequence[Breach] = field(default_factory=tuple)

    def render(self) -> str:
        """Print it: a line, and each breach below."""
        head = f"{self.name}: {self.count} examined, {len(self.breaches)} breaches"
        return "\n".join([head, *(breach.render() for breach in self.breaches)])


def _began(one: Call | Settled | Told | Fault) -> float:
    return one.at if isinstance(one, Settled | Told) else one.began


def _line(one: Call | Settled | Told | Fault) -> str:
    match one:
        case Call():
            answer = "no answer" if one.status is None else f"{one.status} {_short(one.answered)}"
            asked = f"{one.method} {one.path} {_short(one.asked)}"
            return f"{one.client} try {one.attempt} of {one.key}: {asked} -> {answer} (to {one.ended:.3f} s)"
        case Settled():
            return f"{one.key}: command {one.command_id} is {one.state}: {one.status} {_short(one.answered)}"
        case Told():
            stands = one.heads if one.kind == "ready" else one.after if one.kind == "connected" else one.name
            return f"{one.watcher} connection {one.connection}: {one.kind} {one.stream} {one.position} {stands}"
        case Fault():
            return f"FAULT {one.number} {one.kind} at {one.target} (to {one.ended:.3f} s) {_short(one.detail)}"


def _event(event: Event) -> str:
    return f"{event.type} v{event.version} of {event.aggregate_id} by command {event.command_id} {_short(event.data)}"


def _outcome(outcome: Outcome) -> str:
    return f"command {outcome.command_id}, key {outcome.key}: {outcome.status} {_short(outcome.body)}"


def _short(body: Any) -> str:  # noqa: ANN401 - JSON
    """Write what tells one body from another, and no more."""
    if isinstance(body, dict):
        names = ("type", "id", "artist_id", "start_time", "end_time", "status", "version", "position", "detail")
        body = {name: body[name] for name in names if name in body} or body
    return json.dumps(body, separators=(",", ":"))
