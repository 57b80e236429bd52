"""Streams: positions without a gap, the topic as the store, the rows as the events, booking's roster as tenancy's."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from local_stack.chaos.checks.finding import Breach, Finding
from local_stack.chaos.checks.story import Story
from local_stack.chaos.evidence import Event, Place
from production_contracts import events as contract
from production_contracts.bookings import SealedBooking

GAP_FREE: Final = "positions without a gap"
TOPIC_IS_STORE: Final = "topic = store"
REPLAY: Final = "projection = replay"
ROSTER: Final = "booking's roster = tenancy's"

_TOLD: Final = ("stream", "position", "id", "type", "aggregate_id", "version", "occurred_at", "actor", "data")
"""What Kafka is told of an event."""


def gap_free(story: Story) -> Finding:
    """Count each stream through: 1, 2, 3, … to its head."""
    breaches = []
    places = sorted(story.evidence.events.keys() | story.evidence.heads.keys())
    for place in places:
        stream, tenant = place
        expected = 1
        before: Event | None = None
        for event in story.evidence.events.get(place, ()):
            if event.position != expected:
                what = f"{stream} goes on at position {event.position} where {expected} should be"
                breaches.append(story.breach(what, tenant, events=[one for one in (before, event) if one]))
            expected, before = event.position + 1, event
        head = story.evidence.heads.get(place)
        if head is None or head.position != expected - 1:
            what = f"the events of {stream} end at {expected - 1}, its head is {head and head.position}"
            breaches.append(story.breach(what, tenant, events=[before] if before else []))
    return Finding(name=GAP_FREE, count=_events(story), breaches=tuple(breaches))


def topic_is_store(story: Story) -> Finding:
    """Read each topic as a consumer does, dropping positions already seen: what is left must be the store."""
    breaches: list[Breach] = []
    places = sorted(story.evidence.events.keys() | story.evidence.published.keys())
    for place in places:
        stored = {event.position: event for event in story.evidence.events.get(place, ())}
        breaches += list(_topic_breaches(story, place, stored))
    count = sum(len(records) for records in story.evidence.published.values())
    return Finding(name=TOPIC_IS_STORE, count=count, breaches=tuple(breaches))


def _topic_breaches(story: Story, place: Place, stored: dict[int, Event]) -> Iterator[Breach]:
    stream, tenant = place
    records = story.evidence.published.get(place, ())
    kept: list[int] = []
    for record in records:
        event = stored.get(record.position)
        if event is None or told(event) != record.event:
            where = f"the record of {stream} {record.position} (partition {record.partition}, offset {record.offset})"
            yield story.breach(f"{where} is not what the store has", tenant, events=[event] if event else [])
        if not kept or record.position > kept[-1]:
            kept.append(record.position)
    for position, found in zip(sorted(stored), kept, strict=False):
        if position != found:
            what = f"{stream} {found} is on the topic where {position} should be"
            yield story.breach(what, tenant, events=[one for one in (stored[position], stored.get(found)) if one])
            break
    if len({record.partition for record in records}) > 1:
        yield story.breach(f"{stream} of one tenant is on several partitions", tenant)
    missing = sorted(stored.keys() - {record.position for record in records})
    if missing:
        what = f"{len(missing)} events of {stream} are in the store and not on the topic, the first at {missing[0]}"
        yield story.breach(what, tenant, events=[stored[missing[0]]])
    head = story.evidence.heads.get(place)
    if head is not None and head.published != head.position and not missing:
        yield story.breach(f"{stream} is at {head.position}, and published to {head.published} only", tenant)


def told(event: Event) -> dict[str, Any]:
    """Write an event as Kafka and REST tell it."""
    return {name: getattr(event, name) for name in _TOLD}


def replay(story: Story) -> Finding:
    """Fold each stream, the last event of each aggregate wins, and compare with the rows, both ways."""
    breaches = []
    for place in sorted(story.evidence.events.keys() | story.evidence.rows.keys()):
        history: dict[str, list[Event]] = {}
        for event in story.evidence.events.get(place, ()):
            history.setdefault(event.aggregate_id, []).append(event)
        rows = story.evidence.rows.get(place, {})
        for aggregate in sorted(history.keys() | rows.keys()):
            events = history.get(aggregate, [])
            row = rows.get(aggregate)
            if row != (_folded(events[-1]) if events else None):
                what = f"the row of {aggregate} in {place[0]} is not what its events say: {row}"
                breaches.append(story.breach(what, place[1], events=events))
    return Finding(name=REPLAY, count=_events(story), breaches=tuple(breaches))


def _folded(event: Event) -> dict[str, Any]:
    model: Any = SealedBooking if event.stream == "booking" else contract.BY_NAME[event.type].data
    row: dict[str, Any] = model.model_validate(event.data).model_dump(mode="json")
    return row


def roster(story: Story) -> Finding:
    """Compare the artists that booking knows with tenancy's, both ways."""
    breaches = []
    count = 0
    tenants = story.evidence.roster.keys() | {tenant for stream, tenant in story.evidence.rows if stream == "tenancy"}
    for tenant in sorted(tenants):
        signed = _artists(story.evidence.rows.get(("tenancy", tenant), {}))
        known = story.evidence.roster.get(tenant, {})
        count += len(signed)
        for artist in sorted(signed.keys() | known.keys()):
            if signed.get(artist) != known.get(artist):
                what = f"booking knows artist {artist} as {known.get(artist)}, tenancy as {signed.get(artist)}"
                events = [
                    event
                    for event in story.evidence.events.get(("tenancy", tenant), ())
                    if event.aggregate_id == artist
                ]
                breaches.append(story.breach(what, tenant, events=events))
    return Finding(name=ROSTER, count=count, breaches=tuple(breaches))


def _artists(rows: Mapping[str, dict[str, Any]]) -> dict[str, tuple[str, str | None, int]]:
    return {
        aggregate: (row["status"], row["time_zone"], row["version"])
        for aggregate, row in rows.items()
        if "time_zone" in row
    }


def _events(story: Story) -> int:
    return sum(len(events) for events in story.evidence.events.values())
