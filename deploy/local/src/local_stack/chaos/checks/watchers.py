"""Watchers: each saw each event of its tenant once, in order, and none of another's, over all its connections."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from local_stack.chaos.checks.finding import Breach, Finding
from local_stack.chaos.checks.story import Story
from local_stack.chaos.checks.streams import told
from local_stack.chaos.evidence import Event
from local_stack.chaos.history import Told
from production_contracts import events as contract
from production_contracts.events import STREAMS

WATCHERS: Final = "each watcher saw each event once, in order"

FURTHEST: Final = 10_000
"""Up to so many events behind the head a client may resume (`NOTIFICATIONS_RESUME_LIMIT`): that far, no `resync`."""


def watchers(story: Story) -> Finding:
    """Follow each watcher from its first `ready` to the end; its tenant's head must be where it arrives."""
    owner = {event.id: tenant for (_, tenant), events in story.evidence.events.items() for event in events}
    breaches: list[Breach] = []
    count = 0
    for lines in story.told.values():
        count += sum(line.kind == "event" for line in lines)
        breaches += list(_Watch(story, lines[0].tenant_id, owner).follow(lines))
    return Finding(name=WATCHERS, count=count, breaches=tuple(breaches))


class _Watch:
    """One watcher: where it is in each stream, as it must be."""

    def __init__(self, story: Story, tenant_id: str, owner: Mapping[str, str]) -> None:
        self._story = story
        self._tenant = tenant_id
        self._owner = owner
        self._stored: dict[str, dict[int, Event]] = {
            stream: {event.position: event for event in story.evidence.events.get((stream, tenant_id), ())}
            for stream in STREAMS
        }
        self._at: dict[str, int] = {}
        self._last: dict[str, Told] = {}
        self._epoch: Any = None
        self._asked_epoch: Any = None
        self._connected: Told | None = None
        self._ready: Told | None = None

    def follow(self, lines: list[Told]) -> Iterator[Breach]:
        for line in lines:
            match line.kind:
                case "connected":
                    self._connected, self._ready, self._asked_epoch = line, None, self._epoch
                case "ready":
                    yield from self._begin(line)
                case "resync":
                    yield from self._resync(line)
                case "event":
                    yield from self._event(line)
                case "closed":
                    pass
        if self._at:
            yield from self._end(lines[-1])

    def _begin(self, ready: Told) -> Iterator[Breach]:
        heads = ready.heads or {}
        if heads.get("tenant_id") != self._tenant:
            yield self._breach(f"{ready.watcher} was let in to tenant {heads.get('tenant_id')}", ready)
        for stream in STREAMS:
            self._at.setdefault(stream, ((self._connected and self._connected.after) or {}).get(stream, heads[stream]))
        self._ready, self._epoch = ready, heads.get("epoch")

    def _resync(self, line: Told) -> Iterator[Breach]:
        """Go on where the server says; it may say so only where it can't go on from where the watcher is."""
        stream = line.stream or ""
        heads = (self._ready and self._ready.heads) or {}
        head, at = heads.get(stream, 0), self._at.get(stream, 0)
        if self._asked_epoch in {None, heads.get("epoch")} and at <= head <= at + FURTHEST:
            yield self._breach(f"{line.watcher} was told to start over in {stream} at {at}, the head is {head}", line)
        self._at[stream] = line.position or 0

    def _event(self, line: Told) -> Iterator[Breach]:
        stream, position = line.stream or "", line.position or 0
        if self._ready is None:
            yield self._breach(f"{line.watcher} was told of {stream} {position} before it was ready", line)
        event = self._stored.get(stream, {}).get(position)
        theirs = self._owner.get(line.event_id or "", self._tenant)
        expected = self._at.get(stream, position - 1) + 1
        if theirs != self._tenant:
            yield self._breach(f"{line.watcher} was told of {line.event_id}, which is of tenant {theirs}", line)
            return
        if position < expected:
            yield self._breach(f"{line.watcher} was told of {stream} {position} again", line, stream)
            return
        if position > expected:
            missing = self._stored.get(stream, {}).get(expected)
            what = f"{line.watcher} was told of {stream} {position} where {expected} should be"
            yield self._breach(what, line, stream, missing)
        elif event is None or _message(event) != (line.event_id, line.name, line.data):
            yield self._breach(f"{line.watcher} was told of {stream} {position} otherwise than it is", line, stream)
        self._at[stream] = position
        self._last[stream] = line

    def _end(self, last: Told) -> Iterator[Breach]:
        for stream in STREAMS:
            head = max(self._stored[stream], default=0)
            if self._at[stream] < head:
                missing = self._stored[stream].get(self._at[stream] + 1)
                what = f"{last.watcher} came to {stream} {self._at[stream]}, the head is {head}"
                yield self._breach(what, last, stream, missing)

    def _breach(self, what: str, line: Told, stream: str = "", missing: Event | None = None) -> Breach:
        lines = [self._last.get(stream), self._connected, self._ready, line]
        around = list(dict.fromkeys(id(one) for one in lines if one is not None))
        told_lines = [next(one for one in lines if one is not None and id(one) == wanted) for wanted in around]
        event = missing or self._stored.get(line.stream or "", {}).get(line.position or 0)
        return self._story.breach(what, self._tenant, told=told_lines, events=[event] if event else [])


def _message(event: Event) -> tuple[str, str, dict[str, Any]]:
    """Make what sockets are told of an event: its id, its name there, and its data without what is sensitive."""
    return event.id, contract.BY_NAME[event.type].socket, contract.socket_message(told(event))["data"]
