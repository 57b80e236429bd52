"""No overlap: two bookings that occupy an artist never share a moment, now or at any position of the past."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from local_stack.chaos.checks.finding import Breach, Finding
from local_stack.chaos.checks.story import Story
from local_stack.chaos.evidence import Event

NO_OVERLAP: Final = "no overlap"

Booking = Mapping[str, Any]
"""A booking as events tell it: its times in UTC with milliseconds, which are in order as text."""


def no_overlap(story: Story) -> Finding:
    """Compare the rows of each artist, and replay the events, comparing each booking as it comes to stand."""
    found: dict[frozenset[str], Breach] = {}
    count = 0
    places = story.evidence.rows.keys() | story.evidence.events.keys()
    for tenant in sorted(tenant for stream, tenant in places if stream == "booking"):
        events = story.evidence.events.get(("booking", tenant), ())
        rows = story.evidence.rows.get(("booking", tenant), {})
        pairs = [(*pair, "in the rows") for pair in _among(rows)]
        pairs += [(*pair, "in the events") for pair in _through(events)]
        count += len(rows) + len(events)
        for one, other, where in pairs:
            both = frozenset({one["id"], other["id"]})
            if both not in found:
                found[both] = _breach(story, tenant, one, other, where)
    return Finding(name=NO_OVERLAP, count=count, breaches=tuple(found.values()))


def _breach(story: Story, tenant: str, one: Booking, other: Booking, where: str) -> Breach:
    what = (
        f"bookings {one['id']} [{one['start_time']}, {one['end_time']}) and {other['id']} "
        f"[{other['start_time']}, {other['end_time']}) of artist {one['artist_id']} overlap {where}"
    )
    theirs = [
        event
        for event in story.evidence.events.get(("booking", tenant), ())
        if event.aggregate_id in {one["id"], other["id"]}
    ]
    return story.breach(what, tenant, events=theirs)


def _overlap(one: Booking, other: Booking) -> bool:
    return bool(one["start_time"] < other["end_time"] and other["start_time"] < one["end_time"])


def _among(rows: Mapping[str, Booking]) -> list[tuple[Booking, Booking]]:
    """Find pairs in one state: in order of time, whoever begins before the last end so far is in somebody's way."""
    of_artist: dict[str, list[Booking]] = defaultdict(list)
    for row in rows.values():
        if row["status"] != "cancelled":
            of_artist[row["artist_id"]].append(row)
    pairs = []
    for bookings in of_artist.values():
        last: Booking | None = None
        for booking in sorted(bookings, key=lambda one: (one["start_time"], one["end_time"])):
            if last is not None and _overlap(last, booking):
                pairs.append((last, booking))
            if last is None or booking["end_time"] > last["end_time"]:
                last = booking
    return pairs


def _through(events: Sequence[Event]) -> list[tuple[Booking, Booking]]:
    """Find pairs in any state that the events went through."""
    standing: dict[str, dict[str, Booking]] = defaultdict(dict)
    pairs: list[tuple[Booking, Booking]] = []
    for event in events:
        booking: Booking = event.data
        there = standing[booking["artist_id"]]
        there.pop(event.aggregate_id, None)
        if booking["status"] == "cancelled":
            continue
        pairs += [(other, booking) for other in there.values() if _overlap(other, booking)]
        there[event.aggregate_id] = booking
    return pairs
