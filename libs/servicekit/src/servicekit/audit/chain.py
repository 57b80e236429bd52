"""The chain: pure, and the same for who writes the trail and for who verifies it.

What an entry says and how it is hashed is told in `production_contracts.audit`, for those who verify from outside.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from production_contracts.times import format_timestamp

Entry = Mapping[str, Any]
"""An entry as the JSON object of `audit.AuditEntry`."""

DIGEST: Final = "digest"


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """Where a chain stands: after this many entries, at this digest and this position of the stream."""

    sequence: int
    digest: bytes
    position: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What the trail says of a command beside who sent it: see `audit.AuditEntry` for what may be None, and why."""

    role: str | None
    origin: Mapping[str, Any] | None
    operation: str
    aggregate_id: UUID | None
    data: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """What became of a command; ``events`` are those that it made, as the JSON objects of `events.Event`."""

    tenant_id: UUID
    command_id: UUID
    at: datetime
    actor: str
    status: int
    outcome: str
    position: int
    events: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Entered:
    """An entry with its place in the chain, about to be stored."""

    sequence: int
    asked: Asked
    decided: Decided
    events_digest: str | None
    digest: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Flaw:
    """Something in a trail that is not as it was written: at which entry (None: at none of them), and what."""

    sequence: int | None
    what: str


def canonical(value: Any) -> bytes:  # noqa: ANN401 - whatever JSON can say
    """Write JSON in the one form that is hashed."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def begin(stream: str, tenant_id: UUID, position: int) -> Link:
    """Begin the trail of a tenant whose stream stands at a position."""
    start = canonical({"stream": stream, "tenant_id": str(tenant_id), "position": position})
    return Link(sequence=0, digest=hashlib.sha256(start).digest(), position=position)


def digest_of(before: bytes, entry: Entry) -> bytes:
    """Hash an entry, which has no digest yet, onto the digest before it."""
    return hashlib.sha256(before + canonical(entry)).digest()


def events_digest(events: Sequence[Mapping[str, Any]]) -> str | None:
    """Hash the events of a command, as the JSON objects of `events.Event`; None where it made none."""
    return hashlib.sha256(canonical(events)).hexdigest() if events else None


def enter(stream: str, link: Link, asked: Asked, decided: Decided) -> tuple[Entered, Link]:
    """Chain a decided command onto a link; gives its entry, and the link to go on from."""
    made = events_digest(decided.events)
    entry = {
        "stream": stream,
        "sequence": link.sequence + 1,
        "at": format_timestamp(decided.at),
        "actor": decided.actor,
        "role": asked.role,
        "origin": asked.origin,
        "operation": asked.operation,
        "aggregate_id": None if asked.aggregate_id is None else str(asked.aggregate_id),
        "command_id": str(decided.command_id),
        "data": asked.data,
        "status": decided.status,
        "outcome": decided.outcome,
        "position": decided.position,
        "events_digest": made,
    }
    digest = digest_of(link.digest, entry)
    entered = Entered(sequence=link.sequence + 1, asked=asked, decided=decided, events_digest=made, digest=digest)
    return entered, Link(sequence=entered.sequence, digest=digest, position=decided.position)


def examine(start: Link, entries: Sequence[Entry]) -> tuple[Link, list[Flaw]]:
    """Follow a chain from a link through entries in order of sequence; gives where it ends, and what is wrong with it.

    After a flaw it goes on from what the entry says, so that each flaw is told once, where it is.
    """
    flaws: list[Flaw] = []
    link = start
    for entry in entries:
        flaws += _flaws_of(link, entry)
        link = Link(sequence=entry["sequence"], digest=bytes.fromhex(entry[DIGEST]), position=entry["position"])
    return link, flaws


def _flaws_of(link: Link, entry: Entry) -> Iterator[Flaw]:
    sequence, expected = entry["sequence"], link.sequence + 1
    if sequence > expected:  # what it was chained to is gone, so that nothing can be said of its own digest
        last = sequence - 1
        gone = f"entry {expected} is" if last == expected else f"entries {expected} to {last} are"
        yield Flaw(sequence=expected, what=f"{gone} removed")
    elif sequence < expected:
        yield Flaw(sequence=sequence, what="it is inserted: there is another entry of this number")
    else:
        stated = {name: value for name, value in entry.items() if name != DIGEST}
        if digest_of(link.digest, stated).hex() != entry[DIGEST]:
            yield Flaw(
                sequence=sequence,
                what="it is not what was chained: it was changed or inserted, or the digest before it was changed",
            )
    if entry["position"] < link.position:
        yield Flaw(sequence=sequence, what=f"its position {entry['position']} lies before {link.position}")
