"""Legal chains of moves in one batch: what is stored is the net result, in whatever order the rows come."""

from itertools import permutations
from uuid import UUID, uuid4

import pytest
from services.booking.tests.bench import Bench, ask, move, night

from production_contracts import commands


async def book(bench: Bench, tenant: UUID, ids: list[UUID]) -> UUID:
    """Book a night each, one after the other."""
    artist = await bench.add_artist(tenant)
    answers = await bench.handle(*(ask(tenant, night(artist, day), booking) for day, booking in enumerate(ids)))
    assert all(status == 201 for status, _ in answers)
    return artist


async def nights(bench: Bench, tenant: UUID, ids: list[UUID]) -> list[str]:
    stored = await bench.stored(tenant)
    return [stored[booking]["start_time"][:10] for booking in ids]


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_one_leaves_its_slot_and_another_takes_it_whatever_the_order_of_their_rows(
    shared_bench: Bench, order: tuple[int, ...]
) -> None:
    tenant = uuid4()
    low_to_high = sorted(uuid4() for _ in range(3))
    ids = [low_to_high[place] for place in order]
    await book(shared_bench, tenant, ids)
    answers = await shared_bench.handle(
        ask(tenant, move(9), ids[2]), ask(tenant, move(2), ids[1]), ask(tenant, move(1), ids[0])
    )
    assert [status for status, _ in answers] == [200, 200, 200]
    assert await nights(shared_bench, tenant, ids) == ["2027-05-09", "2027-05-10", "2027-05-17"]


async def test_taking_a_slot_before_it_is_left_is_a_conflict(shared_bench: Bench) -> None:
    tenant, ids = uuid4(), [uuid4(), uuid4()]
    await book(shared_bench, tenant, ids)
    answers = await shared_bench.handle(ask(tenant, move(1), ids[0]), ask(tenant, move(9), ids[1]))
    assert [status for status, _ in answers] == [409, 200]
    assert await nights(shared_bench, tenant, ids) == ["2027-05-08", "2027-05-17"]


async def test_bookings_rotate_through_a_free_slot(shared_bench: Bench) -> None:
    tenant, ids = uuid4(), [uuid4() for _ in range(6)]
    await book(shared_bench, tenant, ids)
    rotation = [ask(tenant, move(50), ids[0])]
    rotation += [ask(tenant, move(day - 1), ids[day]) for day in range(1, 6)]
    rotation += [ask(tenant, move(5), ids[0])]
    answers = await shared_bench.handle(*rotation)
    assert [status for status, _ in answers] == [200] * 7
    assert await nights(shared_bench, tenant, ids) == [
        "2027-05-13",
        "2027-05-08",
        "2027-05-09",
        "2027-05-10",
        "2027-05-11",
        "2027-05-12",
    ]
    assert (await shared_bench.stored(tenant))[ids[0]]["version"] == 3


async def test_two_bookings_change_places_through_a_free_slot(shared_bench: Bench) -> None:
    tenant, (one, other) = uuid4(), [uuid4(), uuid4()]
    await book(shared_bench, tenant, [one, other])
    answers = await shared_bench.handle(
        ask(tenant, move(7), one), ask(tenant, move(0), other), ask(tenant, move(1), one)
    )
    assert [status for status, _ in answers] == [200] * 3
    assert await nights(shared_bench, tenant, [one, other]) == ["2027-05-09", "2027-05-08"]


async def test_a_slot_cancelled_is_booked_cancelled_and_booked_again_in_one_batch(shared_bench: Bench) -> None:
    tenant, first, second, third = (uuid4() for _ in range(4))
    artist = await book(shared_bench, tenant, [first])
    answers = await shared_bench.handle(
        ask(tenant, commands.CancelBooking(), first),
        ask(tenant, night(artist), second),
        ask(tenant, commands.CancelBooking(), second),
        ask(tenant, night(artist, status="confirmed"), third),
    )
    assert [status for status, _ in answers] == [200, 201, 200, 201]
    stored = await shared_bench.stored(tenant)
    assert [stored[booking]["status"] for booking in (first, second, third)] == ["cancelled", "cancelled", "confirmed"]


async def test_a_booking_that_went_away_and_came_back_is_where_it_was(shared_bench: Bench) -> None:
    tenant, booking = uuid4(), uuid4()
    await book(shared_bench, tenant, [booking])
    await shared_bench.handle(ask(tenant, move(3), booking), ask(tenant, move(0), booking))
    stored = (await shared_bench.stored(tenant))[booking]
    assert (stored["start_time"], stored["version"], stored["position"]) == ("2027-05-08T20:00:00.000Z", 3, 3)
