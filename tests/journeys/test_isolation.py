"""Who sees and does what: roles, and the two forms of a token. What tenants see of each other: `tests/isolation`."""

from typing import Literal

import pytest

from local_stack.clients.caller import expect
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


async def test_two_tenants_have_the_same_night_of_artists_of_their_own(tenant: Tenant, other_tenant: Tenant) -> None:
    first, second = await tenant.booking(await tenant.artist()), await other_tenant.booking(await other_tenant.artist())
    assert (first["position"], second["position"]) == (1, 1)
    assert first["start_time"] == second["start_time"]
