"""What clients asked and were told, and what watchers heard: written as it happens, a JSON line each.

Times are seconds since the run began, by one clock. A history is appended to and never changed: what became of a call
that was answered 202, or not at all, is a line of its own (`Settled`).
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, TextIO

Action = Literal["create", "confirm", "cancel", "reschedule", "amend", "create-artist"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A write that a client sent: what it asked, and what it was told.

    Each intent has an idempotency key of its own; tries of one intent share it, so all of them are told one outcome.
    """

    client: str
    tenant_id: str
    sub: str
    key: str
    """The Idempotency-Key: names the intent."""
    attempt: int
    action: Action
    method: str
    path: str
    asked: dict[str, Any]
    began: float
    ended: float
    status: int | None
    """None: no answer came (the connection broke, or the deadline passed), so it may have happened or not."""
    answered: Any = None
    """The body, as JSON."""
    command_id: str | None = None
    """Where the answer names it: the `Location` of a 202, the `command_id` of a 503."""
    position: int | None = None
    """The `Position` header."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """What `GET /v1/commands/{id}` told of a command, once it was not pending, or at the end of the run."""

    tenant_id: str
    sub: str
    key: str
    command_id: str
    at: float
    state: str
    """pending, accepted or rejected."""
    status: int | None
    answered: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A message that a watcher's socket received, in the order in which it came.

    ``after`` is what the connection asked to go on from; it stands on the `connected` line, which begins a connection.
    """

    watcher: str
    tenant_id: str
    connection: int
    url: str
    at: float
    kind: Literal["connected", "ready", "event", "resync", "closed"]
    after: dict[str, int] | None = None
    stream: str | None = None
    position: int | None = None
    event_id: str | None = None
    name: str | None = None
    """The event's name on sockets (`booking:created`)."""
    heads: dict[str, Any] | None = None
    """The body of `ready`: tenant_id, epoch, and the heads."""
    data: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Something that the nemesis did to a part, and when it was over."""

    number: int
    kind: str
    target: str
    began: float
    ended: float
    detail: dict[str, Any] = field(default_factory=dict)


Line = Call | Settled | Told | Fault
_KINDS: dict[str, type[Line]] = {"call": Call, "settled": Settled, "told": Told, "fault": Fault}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class History:
    """A history in a file; a context manager. One writer: the event loop that runs the clients."""

    def __init__(self, path: Path) -> None:
        """Write to ``path``, from its beginning."""
        self.path = path
        self._file: TextIO | None = None

    def add(self, line: Line) -> None:
        """Append a line."""
        if self._file is None:
            message = "the history is not open"
            raise RuntimeError(message)
        self._file.write(json.dumps([_NAMES[type(line)], asdict(line)], separators=(",", ":")) + "\n")

    def __enter__(self) -> Self:
        """Open."""
        self._file = self.path.open("w")
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        if self._file is not None:
            self._file.close()


def read(path: Path) -> Iterator[Line]:
    """Read a history, in the order in which it was written."""
    with path.open() as lines:
        for line in lines:
            kind, fields = json.loads(line)
            yield _KINDS[kind](**fields)
