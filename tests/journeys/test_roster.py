"""Artists: known as soon as they are there, kept when they are archived."""

import asyncio
from collections import Counter
from collections.abc import Callable

from local_stack.clients.caller import expect
from local_stack.clients.tenant import Tenant, wish

ARTISTS = 1_000
IN_FLIGHT = 32


async def test_an_artist_created_and_booked_at_once_is_never_unknown_a_thousand_times(
    new_tenant: Callable[[], Tenant],
) -> None:
    callers = [new_tenant().caller() for _ in range(5)]
    waiting = iter(range(ARTISTS))
    statuses: Counter[tuple[int, str]] = Counter()

    async def create_and_book() -> None:
        for number in waiting:
            caller = callers[number % len(callers)]
            artist = expect(await caller.post("/v1/artists", {"name": f"Artist {number}"}), 201).body
            booked = await caller.post("/v1/bookings", wish(artist))
            statuses[booked.status, booked.slug] += 1

    await asyncio.gather(*(create_and_book() for _ in range(IN_FLIGHT)))
    assert statuses == {(201, ""): ARTISTS}


async def test_an_archived_artist_keeps_its_bookings_and_takes_no_new_ones(tenant: Tenant) -> None:
    caller = tenant.caller()
    artist = await tenant.artist()
    booking = await tenant.booking(artist)
    archived = expect(await caller.post(f"/v1/artists/{artist['id']}/archive"), 200)
    assert archived.body["status"] == "archived"
    assert expect(await caller.post(f"/v1/artists/{artist['id']}/archive"), 200).body == archived.body

    refused = await caller.post("/v1/bookings", wish(artist, 1))
    assert (refused.status, refused.slug) == (409, "artist-archived")
    assert await caller.every("/v1/bookings") == [booking]
    confirmed = expect(await caller.post(f"/v1/bookings/{booking['id']}/confirm"), 200).body
    assert confirmed["status"] == "confirmed"
    renamed = expect(await caller.patch(f"/v1/artists/{artist['id']}", {"name": "Renamed"}), 200).body
    assert (renamed["name"], renamed["status"]) == ("Renamed", "archived")
    assert [event["type"] for event in await caller.events("tenancy")] == [
        "TenantCreated",
        "ArtistCreated",
        "ArtistArchived",
        "ArtistAmended",
    ]


async def test_an_artist_is_read_back_amended_and_listed_by_name(tenant: Tenant) -> None:
    caller = tenant.caller()
    rosa = await tenant.artist("Rosa", time_zone="Europe/Berlin")
    ada = await tenant.artist("Ada")
    address = f"/v1/artists/{rosa['id']}"
    read = expect(await caller.get(address), 200)
    assert (read.body, read.headers["ETag"]) == (rosa, '"1"')
    assert rosa["time_zone"] == "Europe/Berlin"

    patched = expect(await caller.patch(address, {"name": "Bea", "time_zone": None}), 200)
    assert (patched.body["name"], patched.body["time_zone"], patched.body["version"]) == ("Bea", None, 2)
    again = expect(await caller.patch(address, {"name": "Bea"}), 200)
    assert again.body == patched.body
    stale = await caller.patch(address, {"name": "Cleo"}, headers={"If-Match": '"1"'})
    assert (stale.status, stale.slug) == (412, "version-mismatch")
    assert await caller.every("/v1/artists", {"limit": 1}) == [ada, patched.body]


async def test_the_first_artist_founds_the_tenant(tenant: Tenant) -> None:
    caller = tenant.caller()
    assert (await caller.get("/v1/tenant")).slug == "not-found"
    await tenant.artist()
    founded = expect(await caller.get("/v1/tenant"), 200).body
    assert (founded["id"], founded["position"]) == (str(tenant.id), 1)


async def test_availability_shows_what_is_taken_and_what_is_free(tenant: Tenant) -> None:
    artist = await tenant.artist()
    caller = tenant.caller()
    address = f"/v1/artists/{artist['id']}/availability"
    window = {"from": "2027-05-08T00:00:00.000Z", "to": "2027-05-10T00:00:00.000Z"}
    before = expect(await caller.get(address, window), 200).body
    assert before == {
        "artist_id": artist["id"],
        "from": window["from"],
        "to": window["to"],
        "busy": [],
        "free": [{"start_time": window["from"], "end_time": window["to"]}],
    }
    booking = await tenant.booking(artist)
    after = expect(await caller.get(address, window), 200).body
    slot = {name: booking[name] for name in ("start_time", "end_time")}
    assert after["busy"] == [{"booking_id": booking["id"], "status": "pencil", **slot}]
    assert after["free"] == [
        {"start_time": window["from"], "end_time": slot["start_time"]},
        {"start_time": slot["end_time"], "end_time": window["to"]},
    ]
    expect(await caller.post(f"/v1/bookings/{booking['id']}/cancel"), 200)
    assert expect(await caller.get(address, window), 200).body == before
