"""Who sees and does what: roles, the two forms of a token, and tenants apart."""

import asyncio
from typing import Literal
from uuid import uuid4

import pytest

from local_stack.clients.caller import Answer, Caller, expect
from local_stack.clients.nights import night
from local_stack.clients.tenant import Tenant, wish


@pytest.mark.parametrize("version", [1, 2])
async def test_both_forms_of_a_token_name_the_same_tenant_user_and_role(tenant: Tenant, version: Literal[1, 2]) -> None:
    artist = await tenant.artist()
    booking = expect(await tenant.caller("mia", "member", version=version).post("/v1/bookings", wish(artist)), 201).body
    assert booking["created_by"] == "user_mia"
    other = tenant.caller("mia", "member", version=3 - version)
    assert expect(await other.get(f"/v1/bookings/{booking['id']}"), 200).body == booking
    viewer = tenant.caller("eva", "viewer", version=version)
    assert (await viewer.post("/v1/bookings", wish(artist, 1))).slug == "forbidden"
    async with tenant.watcher("eva", "viewer", version=version) as watcher:
        assert watcher.ready[0]["tenant_id"] == str(tenant.id)


async def test_all_of_a_tenant_see_each_others_bookings_and_do_what_their_role_allows(tenant: Tenant) -> None:
    admin = tenant.caller("ana", "admin")
    member, viewer = tenant.caller("mia", "member"), tenant.caller("eva", "viewer")
    artist = await tenant.artist()
    bookings = [
        expect(await admin.post("/v1/bookings", wish(artist, 0)), 201).body,
        expect(await member.post("/v1/bookings", wish(artist, 1)), 201).body,
    ]
    for reader in (admin, member, viewer):
        assert await reader.every("/v1/bookings") == bookings
        assert await reader.every("/v1/artists") == [artist]
        assert len(await reader.events()) == 2
        expect(await reader.get("/v1/tenant"), 200)
    window = {"from": "2027-05-01T00:00:00Z", "to": "2027-06-01T00:00:00Z"}
    expect(await viewer.get(f"/v1/artists/{artist['id']}/availability", window), 200)
    expect(await member.post(f"/v1/bookings/{bookings[0]['id']}/confirm"), 200)
    assert (await member.post("/v1/artists", {"name": "Ada"})).slug == "forbidden"
    assert (await viewer.post(f"/v1/bookings/{bookings[0]['id']}/cancel")).slug == "forbidden"


async def attempts(caller: Caller, booking: str, artist: str) -> list[Answer]:
    """Try everything that names a booking or an artist."""
    address = f"/v1/bookings/{booking}"
    window = {"from": "2027-05-01T00:00:00Z", "to": "2027-06-01T00:00:00Z"}
    return list(
        await asyncio.gather(
            caller.get(address),
            caller.get(f"{address}/events"),
            caller.patch(address, {"title": "Mine"}),
            caller.post(f"{address}/confirm"),
            caller.post(f"{address}/cancel", {"reason": "spite"}),
            caller.post(f"{address}/reschedule", night(5)),
            caller.post("/v1/bookings", wish({"id": artist}, 3)),
            caller.get(f"/v1/artists/{artist}"),
            caller.get(f"/v1/artists/{artist}/availability", window),
            caller.patch(f"/v1/artists/{artist}", {"name": "Mine"}),
            caller.post(f"/v1/artists/{artist}/archive"),
        )
    )


async def test_what_is_anothers_and_what_is_not_there_read_alike_byte_for_byte_but_for_the_id(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    artist = await other_tenant.artist()
    booking = await other_tenant.booking(artist)
    await tenant.artist()
    absent = str(uuid4())
    caller = tenant.caller()
    foreign = await attempts(caller, booking["id"], artist["id"])
    nothing = await attempts(caller, absent, absent)
    for theirs, none in zip(foreign, nothing, strict=True):
        assert (theirs.status, theirs.slug) == (404, "not-found")
        mine = theirs.raw.replace(booking["id"].encode(), b"").replace(artist["id"].encode(), b"")
        assert mine == none.raw.replace(absent.encode(), b"")
        differing = {"date", "ratelimit"}
        headers = [
            {name.lower(): value for name, value in answer.headers.items() if name.lower() not in differing}
            for answer in (theirs, none)
        ]
        assert headers[0] == headers[1]
    assert await other_tenant.caller().every("/v1/bookings") == [booking]
    assert await other_tenant.caller().every("/v1/artists") == [artist]
    assert len(await other_tenant.caller().events()) == 1


async def test_a_tenant_finds_nothing_of_another_in_any_list_stream_or_page(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    theirs = await other_tenant.artist()
    for number in range(3):
        await other_tenant.booking(theirs, number)
    mine = await tenant.artist()
    booking = await tenant.booking(mine)
    caller = tenant.caller()
    assert await caller.every("/v1/bookings") == [booking]
    assert await caller.every("/v1/bookings", {"artist_id": theirs["id"]}) == []
    assert await caller.every("/v1/artists") == [mine]
    assert [event["aggregate_id"] for event in await caller.events()] == [booking["id"]]
    assert {event["aggregate_id"] for event in await caller.events("tenancy")} == {str(tenant.id), mine["id"]}
    cursor = expect(await other_tenant.caller().get("/v1/bookings", {"limit": 1}), 200).body["next_cursor"]
    assert len(expect(await caller.get("/v1/bookings", {"cursor": cursor}), 200).body["items"]) <= 1
    for page in (await caller.get("/v1/bookings", {"cursor": cursor}), await caller.get("/v1/bookings")):
        assert theirs["id"] not in page.raw.decode()


async def test_two_tenants_have_the_same_night_of_artists_of_their_own(tenant: Tenant, other_tenant: Tenant) -> None:
    first, second = await tenant.booking(await tenant.artist()), await other_tenant.booking(await other_tenant.artist())
    assert (first["position"], second["position"]) == (1, 1)
    assert first["start_time"] == second["start_time"]


async def test_the_services_behind_the_gateway_verify_the_token_themselves(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    booking = await tenant.booking(await tenant.artist())
    urls = (tenant.at.booking_url, tenant.at.tenancy_url)
    for url in urls:
        stranger = Caller(session=tenant.session, url=url, token="not a token")
        assert (await stranger.get("/v1/events")).slug == "unauthenticated"
        assert expect(await other_tenant.caller(url=url).get("/v1/events"), 200).body["items"] == []
    answer = await other_tenant.caller(url=urls[0]).get(f"/v1/bookings/{booking['id']}")
    assert answer.slug == "not-found"
