"""Batches of commands on a real database: outcomes, redelivery, rights, deadlines, versions."""

from datetime import timedelta
from uuid import uuid4

import pytest
from services.booking.tests.bench import Answer, Bench, ask, move, night, recorded

from production_contracts import commands
from production_contracts.roles import Role

COUNTS = "select (select count(*) from events) as events, (select count(*) from command_log) as outcomes"


def slug(answer: Answer) -> str:
    return str(answer[1].get("type", "accepted")).removeprefix("/problems/")


async def test_a_booking_is_created_and_the_same_night_refused_with_what_would_work(shared_bench: Bench) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    created, refused = await shared_bench.handle(ask(tenant, night(artist)), ask(tenant, night(artist)))
    assert shared_bench.desk.dead == []
    assert created[0] == 201
    assert created[1]["version"] == created[1]["position"] == 1
    assert slug(refused) == "booking-conflict"
    assert refused[1]["conflicts"][0]["booking_id"] == created[1]["id"]
    assert [free["start_time"] for free in refused[1]["next_free"]] == [
        "2027-05-08T23:30:00.000Z",
        "2027-05-09T03:00:00.000Z",
        "2027-05-09T06:30:00.000Z",
    ]


async def test_what_would_work_takes_the_rest_of_the_batch_into_account(shared_bench: Bench) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    await shared_bench.one(ask(tenant, night(artist)))
    right_after = night(artist).model_copy(
        update={"start_time": night(artist).end_time, "end_time": night(artist, 1).start_time}
    )
    refused, later = await shared_bench.handle(ask(tenant, night(artist)), ask(tenant, right_after))
    assert later[0] == 201
    assert refused[1]["next_free"][0]["start_time"] == "2027-05-09T20:00:00.000Z"


async def test_a_moved_booking_is_offered_windows_over_its_own_slot(shared_bench: Bench) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    booking = ask(tenant, night(artist))
    await shared_bench.handle(booking, ask(tenant, night(artist, 1)))
    refused = await shared_bench.one(ask(tenant, move(0, hours=23), booking.aggregate_id))
    assert slug(refused) == "booking-conflict"
    assert refused[1]["next_free"][0]["start_time"] == "2027-05-09T23:30:00.000Z"
    refused = await shared_bench.one(ask(tenant, night(artist, 1), uuid4()))
    assert refused[1]["next_free"][0]["start_time"] == "2027-05-09T23:30:00.000Z"


async def test_no_window_is_offered_that_the_contract_would_refuse(shared_bench: Bench) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    last = night(artist, start_time="2200-12-31T20:00:00Z", end_time="2200-12-31T22:00:00Z")
    created, refused = await shared_bench.handle(ask(tenant, last), ask(tenant, last))
    assert created[0] == 201
    assert refused[1]["next_free"] == []


async def test_a_redelivered_batch_changes_nothing_and_answers_alike(shared_bench: Bench) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    create = ask(tenant, night(artist))
    batch = [create, ask(tenant, night(artist)), ask(tenant, commands.ConfirmBooking(), create.aggregate_id)]
    first = await shared_bench.handle(*batch)
    before = await shared_bench.rows([tenant], COUNTS)
    assert [status for status, _ in first] == [201, 409, 200]
    assert await shared_bench.handle(*batch) == first
    assert await shared_bench.rows([tenant], COUNTS) == before


async def test_a_batch_redelivered_in_part_among_new_commands_decides_only_the_new(shared_bench: Bench) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    create, refused = ask(tenant, night(artist)), ask(tenant, night(artist))
    confirm = ask(tenant, commands.ConfirmBooking(), create.aggregate_id)
    first = await shared_bench.handle(create, refused)
    again = await shared_bench.handle(refused, confirm, create)
    assert again[0] == first[1]
    assert again[1][1]["status"] == "confirmed"
    assert again[2] == first[0], "the outcome it had, not what has become of the booking"
    assert await shared_bench.position(tenant) == 2


async def test_a_command_twice_in_one_batch_is_decided_once(shared_bench: Bench) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    create = ask(tenant, night(artist))
    first, second = await shared_bench.handle(create, create)
    assert first == second
    assert first[0] == 201
    assert len(await shared_bench.stored(tenant)) == await shared_bench.position(tenant) == 1


async def test_one_command_id_of_two_tenants_is_two_commands(shared_bench: Bench) -> None:
    tenants, identity, booking = [uuid4(), uuid4()], uuid4(), uuid4()
    artists = [await shared_bench.add_artist(tenant) for tenant in tenants]
    answers = await shared_bench.handle(
        *(
            ask(tenant, night(artist), booking, identity=identity)
            for tenant, artist in zip(tenants, artists, strict=True)
        )
    )
    assert [(status, body["artist_id"]) for status, body in answers] == [(201, str(artist)) for artist in artists]


async def test_replies_carry_the_position_from_which_the_caller_can_go_on(shared_bench: Bench) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    batch = [ask(tenant, night(artist)), ask(tenant, night(artist)), ask(tenant, night(artist, 1))]
    await shared_bench.handle(*batch)
    assert [one.position for one in shared_bench.desk.settled] == [1, 1, 2]
    assert [one.command.id for one in shared_bench.desk.settled] == [command.id for command in batch]


@pytest.mark.parametrize(
    "data", [commands.ConfirmBooking(), commands.CancelBooking(), commands.AmendBooking(), move(3)]
)
async def test_a_viewer_may_change_nothing(shared_bench: Bench, data: commands.CommandData) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    create = ask(tenant, night(artist))
    answers = await shared_bench.handle(
        create,
        ask(tenant, data, create.aggregate_id, role=Role.VIEWER),
        ask(tenant, night(artist, 5), role=Role.VIEWER),
    )
    assert [slug(answer) for answer in answers] == ["accepted", "forbidden", "forbidden"]
    assert await shared_bench.position(tenant) == 1


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MEMBER])
async def test_who_may_write_bookings_does(shared_bench: Bench, role: Role) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    assert (await shared_bench.one(ask(tenant, night(artist), role=role)))[0] == 201


async def test_a_command_past_its_time_is_expired_and_nothing_happens(shared_bench: Bench) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    late = ask(tenant, night(artist), expires_in=timedelta(seconds=-2))
    assert slug(await shared_bench.one(late)) == "expired"
    assert await shared_bench.stored(tenant) == {}
    assert slug(await shared_bench.one(late)) == "expired"


async def test_a_command_decided_in_time_and_delivered_again_late_keeps_its_outcome(shared_bench: Bench) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    booking, identity = uuid4(), uuid4()
    in_time = await shared_bench.one(ask(tenant, night(artist), booking, identity=identity))
    late = ask(tenant, night(artist), booking, identity=identity, expires_in=timedelta(days=-1))
    assert await shared_bench.one(late) == in_time


async def test_who_saw_an_older_version_is_told_so(shared_bench: Bench) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    create = ask(tenant, night(artist))
    booking = create.aggregate_id
    answers = await shared_bench.handle(
        create,
        ask(tenant, commands.ConfirmBooking(), booking, versions=[1]),
        ask(tenant, commands.AmendBooking(title="x"), booking, versions=[1]),
        ask(tenant, commands.AmendBooking(title="y"), booking, versions=[2]),
    )
    assert [slug(answer) for answer in answers] == ["accepted", "accepted", "version-mismatch", "accepted"]
    stale = await shared_bench.one(ask(tenant, commands.CancelBooking(), booking, versions=[2]))
    assert slug(stale) == "version-mismatch"
    assert (await shared_bench.stored(tenant))[booking]["title"] == "y"


async def test_an_archived_artist_keeps_its_bookings_and_takes_no_new_ones(shared_bench: Bench) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    create = ask(tenant, night(artist))
    await shared_bench.one(create)
    await shared_bench.rows([tenant], "update artists set status = 'archived' returning 1")
    answers = await shared_bench.handle(
        ask(tenant, night(artist, 1)), ask(tenant, commands.ConfirmBooking(), create.aggregate_id)
    )
    assert [slug(answer) for answer in answers] == ["artist-archived", "accepted"]


async def test_what_can_not_be_read_is_put_aside_and_its_neighbours_go_on(bench: Bench) -> None:
    tenant = uuid4()
    artist = await bench.add_artist(tenant)
    good, other, last = (ask(tenant, night(artist, day)) for day in range(3))
    broken = recorded(other, 1, headers=[("ce_id", b"\xff")])
    stray = ask(tenant, commands.ArchiveArtist())
    await bench.worker.handle([recorded(good, 0), broken, recorded(stray, 2), recorded(last, 3)])
    assert [one.status for one in bench.desk.settled] == [201, 201]
    assert [(record.offset, reason) for record, reason in bench.desk.dead] == [
        (1, "a header is not UTF-8"),
        (2, "production.artist.archive.v1 is not for this topic"),
    ]


async def test_a_batch_of_nothing_readable_needs_no_database(bench: Bench) -> None:
    await bench.database.stop()
    await bench.worker.handle([recorded(ask(uuid4(), commands.ConfirmBooking()), value=b"{")])
    await bench.worker.handle([])
    assert len(bench.desk.dead) == 1
    assert bench.desk.settled == []
