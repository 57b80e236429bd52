"""The last scene: thirty years of one band booked through the gateway, and counted back four ways."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.progress import Progress

from local_stack.clients.caller import Caller, expect
from local_stack.clients.topic import Topic
from local_stack.demo.cast import Person
from local_stack.demo.stage import Stage
from local_stack.demo.tour import Concert

CREATED = "BookingCreated"


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A concert as one of the four ways shows it: the position of its event, the booking, when and where."""

    position: int
    booking_id: str
    start_time: str
    end_time: str
    venue: str | None

    @classmethod
    def of(cls, position: int, booking: Any) -> "Seen":  # noqa: ANN401 - JSON
        """Take what matters of a booking."""
        return cls(
            position=position,
            booking_id=booking["id"],
            start_time=booking["start_time"],
            end_time=booking["end_time"],
            venue=booking["venue"],
        )


async def book(
    caller: Caller, artist_id: str, concerts: Sequence[Concert], *, in_flight: int, progress: Progress
) -> list[Seen]:
    """Book every concert, so many at a time, and give what was answered, in order of position.

    Raises:
        UnexpectedAnswerError: one was not booked.
    """
    task = progress.add_task("booking", total=len(concerts))
    waiting = iter(concerts)
    booked: list[Seen] = []

    async def keep_booking() -> None:
        for concert in waiting:
            booking = expect(await caller.post("/v1/bookings", concert.request(artist_id)), 201).body
            booked.append(Seen.of(booking["position"], booking))
            progress.advance(task)

    await asyncio.gather(*(keep_booking() for _ in range(in_flight)))
    return in_order(booked)


async def in_the_list(caller: Caller, artist_id: str) -> list[Seen]:
    """Count through the API: the pages of the artist's bookings."""
    bookings = await caller.every("/v1/bookings", {"artist_id": artist_id})
    return in_order(Seen.of(booking["position"], booking) for booking in bookings)


async def in_the_store(caller: Caller, artist_id: str, after: int) -> list[Seen]:
    """Count in the event store: the stream's pages past a position."""
    return [
        Seen.of(event["position"], event["data"])
        for event in await caller.events(after=after)
        if _is_ours(event, artist_id)
    ]


async def on_the_topic(topic: Topic, tenant_id: str, artist_id: str) -> list[Seen]:
    """Count on Kafka, repeats dropped by position."""
    return [
        Seen.of(record.position, record.event["data"])
        for record in await topic.of_tenant(tenant_id)
        if _is_ours(record.event, artist_id)
    ]


def on_the_socket(person: Person, artist_id: str) -> list[Seen]:
    """Count what somebody has heard, in the order in which it came."""
    return [
        Seen.of(heard.position, heard.message["data"])
        for heard in person.watcher.of("booking")
        if _is_ours(heard.message, artist_id)
    ]


def in_order(seen: Iterable[Seen]) -> list[Seen]:
    """Put in order of position what came in another."""
    return sorted(seen, key=lambda one: one.position)


def _is_ours(event: Any, artist_id: str) -> bool:  # noqa: ANN401 - JSON
    return bool(event["type"] == CREATED and event["data"]["artist_id"] == artist_id)


def compare(stage: Stage, asked: Sequence[Concert], booked: Sequence[Seen], counts: dict[str, list[Seen]]) -> None:
    """Show the counts beside each other and hold that all of them are what was asked for.

    Raises:
        NotAsToldError: one of them is not.
    """
    stage.table(
        "One band's calendar, counted",
        ("where", "concerts", "positions", "first (UTC)", "last (UTC)"),
        [_row(where, seen) for where, seen in {"answered with 201": list(booked), **counts}.items()],
    )
    wanted = sorted(concert.start.strftime("%Y-%m-%dT%H:%M:%S.000Z") for concert in asked)
    stage.hold(f"all {len(asked)} were booked, each on its night", sorted(one.start_time for one in booked) == wanted)
    for where, seen in counts.items():
        stage.hold(f"{where}: the same {len(asked)} events at the same positions, in order, once each", seen == booked)


def _row(where: str, seen: list[Seen]) -> tuple[Any, ...]:
    if not seen:
        return (where, 0, "", "", "")
    nights = sorted(one.start_time[:10] for one in seen)
    return (where, len(seen), f"{seen[0].position} to {seen[-1].position}", nights[0], nights[-1])
