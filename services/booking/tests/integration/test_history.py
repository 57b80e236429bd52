"""The past is what the events said then: compared with replaying them, over random histories and clocks that differ."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st
from services.booking.tests.bench import NIGHT, Bench, ask, move, night
from services.booking.tests.integration.test_model import STEP, Asked, World, cuts, plans

from booking.adapters import history
from booking.adapters.bookings import Filters
from booking.adapters.history import Place
from booking.application.representation import booking_after
from production_contracts import commands
from production_contracts.times import format_timestamp, parse_timestamp
from servicekit import journal
from servicekit.clock import now

MOMENT = timedelta(milliseconds=1)
Event = dict[str, Any]


class Clock:
    """The time by which batches are decided, in an hour that is past."""

    def __init__(self) -> None:
        self.time = now() - timedelta(hours=1)

    def step(self, milliseconds: int) -> None:
        """Go on, or back: the next batch is decided by another clock."""
        self.time += timedelta(milliseconds=milliseconds)


@contextmanager
def a_clock() -> Iterator[Clock]:
    """Let all batches be decided by one clock."""
    clock = Clock()
    with patch("servicekit.worker.now", lambda: clock.time):
        yield clock


def replayed(events: list[Event], moment: datetime) -> dict[str, dict[str, Any]]:
    """The bookings at a moment, by folding what had occurred."""
    happened = [event for event in events if parse_timestamp(event["occurred_at"]) <= moment]
    return {event["aggregate_id"]: booking_after(event["data"]) for event in happened}


def listed(bookings: dict[str, dict[str, Any]], filters: Filters) -> list[dict[str, Any]]:
    """What a list with these filters shows of them."""
    wanted = [
        booking
        for booking in bookings.values()
        if filters.artist_id in {None, UUID(booking["artist_id"])}
        and filters.status in {None, booking["status"]}
        and (filters.since is None or parse_timestamp(booking["end_time"]) > filters.since)
        and (filters.until is None or parse_timestamp(booking["start_time"]) < filters.until)
    ]
    return sorted(wanted, key=lambda booking: (booking["start_time"], booking["id"]))


async def paged(
    bench: Bench, tenant: UUID, moment: datetime, filters: Filters, *, limit: int = 50
) -> list[dict[str, Any]]:
    """Read a list of the past to its end."""
    found: list[dict[str, Any]] = []
    after: Place | None = None
    async with bench.database.reading(tenant) as connection:
        position = await journal.position_at(connection, tenant, moment)
        while True:
            page = await history.page_at(connection, tenant, position, filters, limit=limit, after=after)
            assert len(page.items) <= limit
            found += [booking_after(data) for data in page.items]
            if page.more is None:
                return found
            assert after is None or page.more != after
            after = page.more


@settings(max_examples=25)
@given(plan=plans, cut=cuts, steps=st.lists(st.integers(-3000, 3000), max_size=12), limit=st.integers(1, 4))
async def test_the_past_is_what_replaying_the_events_until_then_gives(
    shared_bench: Bench, plan: list[Asked], cut: list[int], steps: list[int], limit: int
) -> None:
    world = World(shared_bench)
    await world.fill_roster()
    waiting = [world.command(asked) for asked in plan]
    with a_clock() as clock:
        for size, step in zip_longest([*cut, len(waiting)], steps, fillvalue=1):
            clock.step(step)
            batch, waiting = waiting[:size], waiting[size:]
            if batch:
                await shared_bench.handle(*batch)
    for tenant, artists in zip(world.tenants, world.artists, strict=True):
        events = await shared_bench.events(tenant)
        times = [parse_timestamp(event["occurred_at"]) for event in events]
        assert times == sorted(times), "whatever the clocks say"
        for moment in {at + nearby for at in times for nearby in (-MOMENT, timedelta(0), MOMENT)}:
            there = replayed(events, moment)
            for filters in (
                Filters(),
                Filters(artist_id=artists[0]),
                Filters(status="pencil", until=NIGHT + 6 * STEP),
                Filters(status="cancelled"),
                Filters(since=NIGHT + 3 * STEP, until=NIGHT + 8 * STEP),
            ):
                with patch.object(history, "MOST_LOOKED_AT", 3):
                    assert await paged(shared_bench, tenant, moment, filters, limit=limit) == listed(there, filters)
            async with shared_bench.database.reading(tenant) as connection:
                position = await journal.position_at(connection, tenant, moment)
                for booking in {event["aggregate_id"] for event in events}:
                    found = await history.booking_at(connection, tenant, UUID(booking), position)
                    assert (found and booking_after(found)) == there.get(booking)


async def test_an_instance_whose_clock_is_behind_stores_no_earlier_time_than_the_one_before(bench: Bench) -> None:
    tenant = uuid4()
    artist = await bench.add_artist(tenant)
    booking = ask(tenant, night(artist))
    with a_clock() as clock:
        for step, command in (
            (0, booking),
            (-5000, ask(tenant, move(1), booking.aggregate_id)),
            (1000, ask(tenant, night(artist, 2))),
            (9000, ask(tenant, commands.CancelBooking(), booking.aggregate_id)),
        ):
            clock.step(step)
            assert (await bench.another().one(command))[0] in {200, 201}
    events = await bench.events(tenant)
    first, *later, last = [parse_timestamp(event["occurred_at"]) for event in events]
    assert later == [first, first]
    assert last == first + timedelta(seconds=5)
    assert [event["data"]["updated_at"] for event in events] == [event["occurred_at"] for event in events]


async def test_one_tenants_clock_is_not_anothers(bench: Bench) -> None:
    early, late = uuid4(), uuid4()
    asked = [ask(tenant, night(await bench.add_artist(tenant))) for tenant in (late, early)]
    with a_clock() as clock:
        await bench.handle(asked[0])
        clock.step(-5000)
        await bench.handle(asked[1], ask(late, commands.ConfirmBooking(), asked[0].aggregate_id))
    (at_first, again), (behind,) = [
        [parse_timestamp(event["occurred_at"]) for event in await bench.events(tenant)] for tenant in (late, early)
    ]
    assert (again, behind) == (at_first, at_first - timedelta(seconds=5))


async def test_another_tenants_past_is_not_there(bench: Bench) -> None:
    mine, theirs = uuid4(), uuid4()
    booking = ask(theirs, night(await bench.add_artist(theirs)))
    await bench.one(booking)
    async with bench.database.reading(mine) as connection:
        assert await journal.position_at(connection, theirs, now() + timedelta(days=1)) == 0
        assert await history.booking_at(connection, theirs, booking.aggregate_id, 1) is None
        assert (await history.page_at(connection, theirs, 1, Filters(), limit=9, after=None)).items == []


async def test_a_page_gives_up_where_it_has_looked_at_enough_and_goes_on_from_there(bench: Bench) -> None:
    tenant = uuid4()
    artist = await bench.add_artist(tenant)
    booking = ask(tenant, night(artist))
    await bench.handle(
        booking, *(ask(tenant, commands.AmendBooking(title=f"t{n}"), booking.aggregate_id) for n in range(9))
    )
    async with bench.database.reading(tenant) as connection:
        with patch.object(history, "MOST_LOOKED_AT", 4):
            pages: list[list[str]] = []
            after: Place | None = None
            while not pages or after is not None:
                page = await history.page_at(connection, tenant, 10, Filters(), limit=5, after=after)
                pages.append([data["title"] for data in page.items])
                after = page.more
    assert pages == [[], [], ["t8"]]


def test_times_as_text_are_in_their_order() -> None:
    times = [NIGHT + timedelta(days=365 * years, milliseconds=years) for years in range(-120, 170, 7)]
    assert sorted(map(format_timestamp, times)) == [format_timestamp(time) for time in times]
