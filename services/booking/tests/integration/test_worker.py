"""Batches of commands on a real database."""

from uuid import uuid4

from services.booking.tests.bench import Bench, ask, night

from production_contracts import commands


async def test_a_booking_is_created_and_the_same_night_refused_with_what_would_work(bench: Bench) -> None:
    tenant = uuid4()
    artist = await bench.add_artist(tenant)
    created, refused = await bench.handle(ask(tenant, night(artist)), ask(tenant, night(artist)))
    assert bench.desk.dead == []
    assert created[0] == 201
    assert created[1]["version"] == created[1]["position"] == 1
    assert refused[0] == 409
    assert refused[1]["type"] == "/problems/booking-conflict"
    assert refused[1]["conflicts"][0]["booking_id"] == created[1]["id"]
    assert [free["start_time"] for free in refused[1]["next_free"]] == [
        "2027-05-08T23:30:00.000Z",
        "2027-05-09T03:00:00.000Z",
        "2027-05-09T06:30:00.000Z",
    ]


async def test_a_redelivered_batch_changes_nothing_and_answers_alike(bench: Bench) -> None:
    tenant = uuid4()
    artist = await bench.add_artist(tenant)
    create = ask(tenant, night(artist))
    batch = [create, ask(tenant, night(artist)), ask(tenant, commands.ConfirmBooking(), create.aggregate_id)]
    first = await bench.handle(*batch)
    rows = "select (select count(*) from events) as events, (select count(*) from command_log) as outcomes"
    before = await bench.rows([tenant], rows)
    assert [status for status, _ in first] == [201, 409, 200]
    assert await bench.handle(*batch) == first
    assert await bench.rows([tenant], rows) == before
