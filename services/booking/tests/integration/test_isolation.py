"""A batch of two tenants who name each other's artists and bookings leaks nothing."""

from datetime import timedelta
from uuid import UUID, uuid4

import orjson
from services.booking.tests.bench import NIGHT, Answer, Bench, ask, move, night

from booking.adapters import bookings
from booking.domain.booking import Slot
from production_contracts import commands


def without(answer: Answer, *ids: UUID) -> str:
    """An answer as text, without ids that the caller named himself."""
    written = orjson.dumps([answer[0], answer[1]]).decode()
    for known in ids:
        written = written.replace(str(known), "-")
    return written


async def test_tenants_who_name_each_others_artists_and_bookings_learn_nothing(shared_bench: Bench) -> None:
    mine, theirs = uuid4(), uuid4()
    my_artist, their_artist = await shared_bench.add_artist(mine), await shared_bench.add_artist(theirs)
    my_booking, their_booking = uuid4(), uuid4()
    answers = await shared_bench.handle(
        ask(mine, night(my_artist), my_booking),
        ask(theirs, night(their_artist, title="Secret show", venue="Secret place"), their_booking),
        ask(mine, night(their_artist)),
        ask(mine, commands.ConfirmBooking(), their_booking),
        ask(mine, commands.CancelBooking(), their_booking),
        ask(mine, commands.AmendBooking(title="Mine now"), their_booking),
        ask(mine, move(4), their_booking),
        ask(theirs, commands.ConfirmBooking(), my_booking),
        ask(theirs, night(my_artist, 1)),
    )
    assert [status for status, _ in answers] == [201, 201, *[404] * 7]
    nowhere = await shared_bench.handle(
        ask(mine, night(uuid4())),
        *(
            ask(mine, data, uuid4())
            for data in (
                commands.ConfirmBooking(),
                commands.CancelBooking(),
                commands.AmendBooking(title="x"),
                move(4),
            )
        ),
    )
    assert answers[2:7] == nowhere, "what is another's and what is nowhere read alike, byte for byte"
    for answer in (answers[0], *answers[2:7]):
        for trace in (theirs, their_artist, their_booking, "Secret"):
            assert str(trace) not in without(answer)
    assert (await shared_bench.stored(theirs))[their_booking]["status"] == "pencil"
    assert set(await shared_bench.stored(mine)) == {my_booking}


async def test_two_tenants_whose_artists_and_bookings_share_ids_do_not_meet(shared_bench: Bench) -> None:
    tenants, artist, booking = [uuid4(), uuid4()], uuid4(), uuid4()
    for tenant in tenants:
        await shared_bench.add_artist(tenant, artist)
    answers = await shared_bench.handle(
        *(ask(tenant, night(artist, title=f"of {tenant}"), booking) for tenant in tenants),
        *(ask(tenant, night(artist, title="too late")) for tenant in tenants),
        ask(tenants[0], commands.CancelBooking(), booking),
        ask(tenants[0], night(artist)),
        ask(tenants[1], night(artist)),
    )
    assert [status for status, _ in answers] == [201, 201, 409, 409, 200, 201, 409]
    for refused in (answers[2], answers[3], answers[6]):
        assert [one["booking_id"] for one in refused[1]["conflicts"]] == [str(booking)]
    assert [(await shared_bench.stored(tenant))[booking]["title"] for tenant in tenants] == [
        f"of {tenant}" for tenant in tenants
    ]


async def test_a_booking_in_the_way_is_found_behind_one_of_a_tenant_whose_artist_shares_the_id(bench: Bench) -> None:
    tenants, artist = [uuid4(), uuid4()], uuid4()
    for tenant in tenants:
        await bench.add_artist(tenant, artist)

    def hours(first: int, last: int) -> commands.CreateBooking:
        return night(artist, start_time=f"2027-05-08T{first}:00:00Z", end_time=f"2027-05-08T{last}:00:00Z")

    await bench.handle(ask(tenants[0], hours(10, 20)), ask(tenants[1], hours(12, 14)))
    answers = await bench.handle(ask(tenants[0], hours(15, 16)), ask(tenants[1], hours(15, 16)))
    assert [status for status, _ in answers] == [409, 201]
    assert bench.desk.dead == []


async def test_neighbours_asked_of_another_tenants_artist_are_none(shared_bench: Bench) -> None:
    mine, theirs = uuid4(), uuid4()
    artist = await shared_bench.add_artist(theirs)
    await shared_bench.handle(*(ask(theirs, night(artist, day)) for day in range(3)))
    slot = Slot(NIGHT, NIGHT + timedelta(days=9))
    async with shared_bench.database.transaction([mine, theirs]) as connection:
        assert await bookings.neighbours(connection, [(mine, artist, slot)], 100) == []
        assert len(await bookings.neighbours(connection, [(theirs, artist, slot)], 100)) == 3


async def test_a_conflict_names_only_bookings_of_the_own_tenant(shared_bench: Bench) -> None:
    tenants, artist = [uuid4(), uuid4()], uuid4()
    for tenant in tenants:
        await shared_bench.add_artist(tenant, artist)
    theirs = [ask(tenants[1], night(artist, day)) for day in range(3)]
    await shared_bench.handle(*theirs)
    own = ask(tenants[0], night(artist))
    *_, refused = await shared_bench.handle(own, ask(tenants[0], night(artist)))
    assert [one["booking_id"] for one in refused[1]["conflicts"]] == [str(own.aggregate_id)]
    assert [free["start_time"] for free in refused[1]["next_free"]] == [
        "2027-05-08T23:30:00.000Z",
        "2027-05-09T03:00:00.000Z",
        "2027-05-09T06:30:00.000Z",
    ], "as if the other tenant's nights were not there"
    for command in theirs:
        assert str(command.aggregate_id) not in without(refused)
