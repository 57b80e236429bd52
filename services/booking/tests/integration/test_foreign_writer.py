"""A writer who does not take the stream's lock: the database has the last word, and everyone a right answer."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from services.booking.tests.bench import HOURS, NIGHT, Answer, Bench, ask, move, night

from production_contracts import commands
from servicekit.worker import FOREIGN_WRITERS

INSERT = """
    insert into bookings (tenant_id, id, artist_id, start_time, end_time, status, title, version, position, created_by,
                          created_at, updated_at)
    values (%s, %s, %s, %s, %s, 'confirmed', 'by hand', 1, 0, 'somebody', now(), now())
"""


def by_hand(tenant: UUID, artist: UUID, day: int = 0) -> tuple[Any, ...]:
    start = NIGHT + timedelta(days=day)
    return tenant, uuid4(), artist, start, start + HOURS


def met() -> float:
    return float(FOREIGN_WRITERS.labels(stream="booking")._value.get())


def slugs(answers: list[Answer]) -> list[str]:
    return [str(body.get("type", "accepted")).removeprefix("/problems/") for _, body in answers]


async def test_a_row_written_past_the_lock_is_in_the_way_as_any_other(shared_bench: Bench) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    foreign = by_hand(tenant, artist)
    await shared_bench.as_superuser(INSERT, *foreign)
    before = met()
    refused = await shared_bench.one(ask(tenant, night(artist)))
    assert refused[1]["conflicts"][0]["booking_id"] == str(foreign[1])
    assert met() == before


async def test_a_row_written_between_decision_and_write_is_explained_and_the_rest_of_the_batch_stands(
    shared_bench: Bench,
) -> None:
    tenant, other = uuid4(), uuid4()
    artist, theirs = await shared_bench.add_artist(tenant), await shared_bench.add_artist(other)
    foreign = by_hand(tenant, artist, 1)

    async def write() -> None:
        await shared_bench.as_superuser(INSERT, *foreign)

    shared_bench.decider.after_load = write
    before = met()
    batch = [ask(tenant, night(artist, day)) for day in range(3)] + [ask(other, night(theirs, 1))]
    answers = await shared_bench.handle(*batch)
    assert slugs(answers) == ["accepted", "booking-conflict", "accepted", "accepted"]
    assert answers[1][1]["conflicts"][0]["booking_id"] == str(foreign[1])
    assert [body["position"] for status, body in answers if status == 201] == [1, 2, 1]
    assert met() == before + 1
    assert shared_bench.desk.dead == []
    assert [event["position"] for event in await shared_bench.events(tenant)] == [1, 2]
    assert await shared_bench.handle(*batch) == answers


async def test_a_writer_who_has_not_committed_yet_is_waited_for(shared_bench: Bench) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    foreign = by_hand(tenant, artist)
    connection = await psycopg.AsyncConnection.connect(shared_bench.fresh.superuser_dsn)
    async with connection:
        await connection.execute(INSERT.encode(), foreign)
        deciding = asyncio.create_task(shared_bench.handle(ask(tenant, night(artist)), ask(tenant, night(artist, 1))))
        deadline = asyncio.get_running_loop().time() + 30
        while not await shared_bench.waits_for_a_lock():
            assert asyncio.get_running_loop().time() < deadline
        await connection.commit()
    assert slugs(await deciding) == ["booking-conflict", "accepted"]
    assert shared_bench.desk.dead == []


async def test_a_booking_deleted_behind_our_back_is_not_there(shared_bench: Bench) -> None:
    tenant, gone, kept = uuid4(), uuid4(), uuid4()
    artist = await shared_bench.add_artist(tenant)
    await shared_bench.handle(ask(tenant, night(artist), gone), ask(tenant, night(artist, 1), kept))

    async def delete() -> None:
        await shared_bench.as_superuser("delete from bookings where id = %s", gone)

    before = met()
    shared_bench.decider.after_load = delete
    answers = await shared_bench.handle(
        ask(tenant, commands.AmendBooking(title="x"), gone),
        ask(tenant, move(4), kept),
        ask(tenant, commands.ConfirmBooking(), gone),
    )
    assert slugs(answers) == ["not-found", "accepted", "not-found"]
    assert met() == before + 1


async def test_a_move_into_a_slot_taken_behind_our_back_leaves_the_booking_where_it_was(shared_bench: Bench) -> None:
    tenant, booking = uuid4(), uuid4()
    artist = await shared_bench.add_artist(tenant)
    await shared_bench.one(ask(tenant, night(artist), booking))

    async def write() -> None:
        await shared_bench.as_superuser(INSERT, *by_hand(tenant, artist, 1))

    shared_bench.decider.after_load = write
    answers = await shared_bench.handle(ask(tenant, move(1), booking), ask(tenant, commands.ConfirmBooking(), booking))
    assert slugs(answers) == ["booking-conflict", "accepted"]
    stored = (await shared_bench.stored(tenant))[booking]
    assert (stored["start_time"], stored["status"], stored["version"]) == ("2027-05-08T20:00:00.000Z", "confirmed", 2)
