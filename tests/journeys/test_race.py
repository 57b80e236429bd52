"""Many want one night."""

import asyncio
import itertools
from collections import Counter
from datetime import datetime, timedelta

from local_stack.clients.caller import expect
from local_stack.clients.nights import FIRST, stamp
from local_stack.clients.tenant import Tenant, wish

CLIENTS = 100


async def test_of_a_hundred_clients_who_want_one_night_exactly_one_has_it_and_the_others_are_shown_a_way(
    tenant: Tenant,
) -> None:
    artist = await tenant.artist()
    clients = [tenant.caller(f"client{number}", "member") for number in range(CLIENTS)]
    answers = await asyncio.gather(*(client.post("/v1/bookings", wish(artist)) for client in clients))

    assert Counter((answer.status, answer.slug) for answer in answers) == {(201, ""): 1, (409, "booking-conflict"): 99}
    [booking] = [answer.body for answer in answers if answer.status == 201]
    assert await tenant.caller().every("/v1/bookings") == [booking]
    assert [event["aggregate_id"] for event in await tenant.caller().events()] == [booking["id"]]

    refused = [answer.body for answer in answers if answer.status == 409]
    conflict = {"booking_id": booking["id"], **{name: booking[name] for name in ("status", "start_time", "end_time")}}
    assert all(problem["conflicts"] == [conflict] for problem in refused)
    windows = refused[0]["next_free"]
    assert all(problem["next_free"] == windows for problem in refused)
    length = timedelta(hours=3, minutes=30)
    assert len(windows) == 3
    for window in windows:
        start, end = datetime.fromisoformat(window["start_time"]), datetime.fromisoformat(window["end_time"])
        assert end - start == length
        assert FIRST < start <= FIRST + timedelta(days=90)
    taken = await asyncio.gather(*(tenant.caller().post("/v1/bookings", wish(artist) | window) for window in windows))
    assert [answer.status for answer in taken] == [201, 201, 201]


async def test_a_hundred_clients_who_want_nights_that_overlap_in_chains_never_share_a_minute(tenant: Tenant) -> None:
    artist = await tenant.artist()
    starts = [FIRST + timedelta(hours=number % 40) for number in range(CLIENTS)]
    slots = [{"start_time": stamp(start), "end_time": stamp(start + timedelta(hours=3))} for start in starts]
    client = tenant.caller()
    answers = await asyncio.gather(*(client.post("/v1/bookings", wish(artist) | slot) for slot in slots))

    assert {answer.status for answer in answers} == {201, 409}
    kept = await client.every("/v1/bookings")
    assert len(kept) == sum(answer.status == 201 for answer in answers)
    assert all(earlier["end_time"] <= later["start_time"] for earlier, later in itertools.pairwise(kept))


async def test_two_who_want_to_move_to_one_night_never_both_get_there(tenant: Tenant) -> None:
    artist = await tenant.artist()
    client = tenant.caller()
    movers = [await tenant.booking(artist, number) for number in range(1, 11)]
    target = {name: wish(artist)[name] for name in ("start_time", "end_time")}
    answers = await asyncio.gather(*(client.post(f"/v1/bookings/{mover['id']}/reschedule", target) for mover in movers))
    assert Counter(answer.status for answer in answers) == {200: 1, 409: 9}
    [moved] = [answer.body for answer in answers if answer.status == 200]
    kept = await client.every("/v1/bookings")
    assert [booking["id"] for booking in kept if booking["start_time"] == target["start_time"]] == [moved["id"]]
    assert len(kept) == 10


async def test_a_night_that_begins_when_another_ends_is_no_conflict(tenant: Tenant) -> None:
    artist = await tenant.artist()
    first = await tenant.booking(artist)
    after = {"start_time": first["end_time"], "end_time": stamp(FIRST + timedelta(hours=7))}
    before = {"start_time": stamp(FIRST - timedelta(hours=2)), "end_time": first["start_time"]}
    for slot in (after, before):
        expect(await tenant.caller().post("/v1/bookings", wish(artist) | slot), 201)


async def test_a_cancelled_night_is_free_again(tenant: Tenant) -> None:
    artist = await tenant.artist()
    first = await tenant.booking(artist)
    client = tenant.caller()
    assert (await client.post("/v1/bookings", wish(artist))).slug == "booking-conflict"
    expect(await client.post(f"/v1/bookings/{first['id']}/cancel"), 200)
    expect(await client.post("/v1/bookings", wish(artist)), 201)
