"""The audit trail of the running whole: who did or tried what, from where; verified by us, and by those outside."""

import json
from typing import Any

import aiohttp

from local_stack import clerk
from local_stack.clerk import Clerk
from local_stack.clients.caller import Caller, expect
from local_stack.clients.tenant import Tenant, wish
from local_stack.clients.waiting import until


async def trail(admin: Caller, stream: str) -> list[dict[str, Any]]:
    """Read a trail page by page."""
    entries: list[dict[str, Any]] = []
    while True:
        query = {"stream": stream, "after": str(len(entries)), "limit": "3"}
        page = expect(await admin.get("/v1/audit", query), 200).body
        entries += page["items"]
        if not page["items"]:
            assert page["sequence"] == len(entries)
            return entries


async def test_who_did_or_tried_what_from_where_and_with_which_outcome_is_on_record(
    tenant: Tenant, session: aiohttp.ClientSession
) -> None:
    admin, member, viewer = tenant.caller(), tenant.caller("ben", "member"), tenant.caller("eve", "viewer")
    artist = await tenant.artist()
    booking = expect(await member.post("/v1/bookings", wish(artist, notes="by the back gate")), 201).body
    taken = await viewer.post("/v1/bookings", wish(artist))
    assert taken.slug == "forbidden"
    assert (await member.post("/v1/bookings", wish(artist))).slug == "booking-conflict"
    assert (await member.post(f"/v1/artists/{artist['id']}/archive")).slug == "forbidden"
    secret = tenant.at.engines.credentials.webhook_secret
    webhooks = Clerk(session=session, gateway_url=tenant.at.gateway_url, secret=secret)
    assert await webhooks.tell("organization.created", clerk.organization(tenant.name, name="Acme")) == 200

    async def recorded() -> bool:
        return len(await trail(admin, "booking")) == 3 and len(await trail(admin, "tenancy")) == 3

    await until(recorded, "the calls that the gateway refused are on record")
    of_booking = await trail(admin, "booking")
    told = {(one["actor"], one["operation"], one["status"], one["outcome"]) for one in of_booking}
    assert told == {
        ("user_ben", "production.booking.create.v1", 201, "accepted"),
        ("user_eve", "POST /v1/bookings", 403, "forbidden"),
        ("user_ben", "production.booking.create.v1", 409, "booking-conflict"),
    }
    created = next(one for one in of_booking if one["status"] == 201)
    assert (created["aggregate_id"], created["position"]) == (booking["id"], 1)
    assert (created["origin"]["channel"], created["origin"]["address"]) == ("api", "127.0.0.1")
    assert created["origin"]["agent"].startswith("Python/")
    assert created["data"]["notes"].keys() == {"kid", "ct"}
    assert "back gate" not in json.dumps(of_booking)
    of_tenancy = await trail(admin, "tenancy")
    assert {(one["operation"], one["origin"]["channel"], one["outcome"]) for one in of_tenancy} == {
        ("production.artist.create.v1", "api", "accepted"),
        ("POST /v1/artists/{id}/archive", "api", "forbidden"),
        ("production.tenant.record.v1", "webhook", "accepted"),
    }


async def test_no_tenant_reads_the_trail_of_another(tenant: Tenant, other_tenant: Tenant) -> None:
    await tenant.booking(await tenant.artist())
    page = expect(await other_tenant.caller().get("/v1/audit", {"stream": "booking"}), 200).body
    assert page == {"items": [], "sequence": 0, "begins_at": 0}
