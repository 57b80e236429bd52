"""The same request made again, and requests whose caller does not wait."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from local_stack.clients.caller import expect
from local_stack.clients.nights import night
from local_stack.clients.tenant import Tenant, wish


def key(value: str | None = None) -> dict[str, str]:
    return {"Idempotency-Key": value or str(uuid4())}


async def test_one_key_twenty_times_at_once_is_one_booking_with_one_outcome(tenant: Tenant) -> None:
    fee = {"amount": 150_000, "currency": "EUR"}
    asked, headers = wish(await tenant.artist(), notes="sealed anew each time", fee=fee), key()
    caller = tenant.caller()
    answers = await asyncio.gather(*(caller.post("/v1/bookings", asked, headers=headers) for _ in range(20)))
    assert {(answer.status, answer.raw, answer.headers["Location"]) for answer in answers} == {
        (201, answers[0].raw, answers[0].headers["Location"])
    }
    assert await caller.every("/v1/bookings") == [answers[0].body]
    assert len(await caller.events()) == 1


async def test_the_body_may_be_written_differently_as_long_as_it_says_the_same(tenant: Tenant) -> None:
    asked, headers = wish(await tenant.artist()), key()
    caller = tenant.caller()
    first = expect(await caller.post("/v1/bookings", asked, headers=headers), 201)
    shuffled = dict(reversed(asked.items()))
    again = expect(await caller.post("/v1/bookings", shuffled, headers=headers), 201)
    assert again.raw == first.raw


async def test_one_key_with_another_request_is_refused(tenant: Tenant) -> None:
    artist, headers = await tenant.artist(), key()
    caller = tenant.caller()
    booking = expect(await caller.post("/v1/bookings", wish(artist), headers=headers), 201).body
    address = f"/v1/bookings/{booking['id']}"
    for method, path, body, more in (
        ("POST", "/v1/bookings", wish(artist, 1), {}),
        ("POST", f"{address}/confirm", None, {}),
        ("PATCH", address, {"title": "Another"}, {}),
        ("PATCH", address, {"title": "Another"}, {"If-Match": '"1"'}),
    ):
        refused = await caller.call(method, path, body, headers=headers | more)
        assert (refused.status, refused.slug) == (422, "idempotency-key-reused")
    assert len(await caller.events()) == 1


async def test_if_match_is_part_of_the_request(tenant: Tenant) -> None:
    booking = await tenant.booking(await tenant.artist())
    caller = tenant.caller()
    address, headers = f"/v1/bookings/{booking['id']}", key()
    expect(await caller.patch(address, {"title": "A"}, headers=headers | {"If-Match": '"1"'}), 200)
    again = expect(await caller.patch(address, {"title": "A"}, headers=headers | {"If-Match": '"1"'}), 200)
    assert again.body["version"] == 2
    assert (await caller.patch(address, {"title": "A"}, headers=headers)).slug == "idempotency-key-reused"


async def test_a_key_is_its_users_and_its_tenants_own(tenant: Tenant, other_tenant: Tenant) -> None:
    headers = key()
    mine, theirs = await tenant.artist(), await other_tenant.artist()
    bookings = [
        expect(await caller.post("/v1/bookings", asked, headers=headers), 201).body
        for caller, asked in (
            (tenant.caller("ana"), wish(mine, 0)),
            (tenant.caller("ben"), wish(mine, 1)),
            (other_tenant.caller("ana"), wish(theirs, 0)),
        )
    ]
    assert len({booking["id"] for booking in bookings}) == 3
    # Nor does the roster, which another service decides, know the key.
    expect(await tenant.caller("ana").post("/v1/artists", {"name": "Ada"}, headers=headers), 201)


async def test_a_conflict_is_remembered_and_a_refusal_for_want_of_a_permission_is_not(tenant: Tenant) -> None:
    artist = await tenant.artist()
    taken = await tenant.booking(artist)
    caller, headers = tenant.caller("mia", "member"), key()
    conflict = await caller.post("/v1/bookings", wish(artist), headers=headers)
    expect(await caller.post(f"/v1/bookings/{taken['id']}/cancel"), 200)
    again = await caller.post("/v1/bookings", wish(artist), headers=headers)
    assert (again.status, again.slug, again.raw) == (409, "booking-conflict", conflict.raw)

    headers = key()
    viewer = tenant.caller("mia", "viewer")
    assert (await viewer.post("/v1/bookings", wish(artist), headers=headers)).slug == "forbidden"
    expect(await caller.post("/v1/bookings", wish(artist), headers=headers), 201)


async def test_who_may_no_longer_write_is_not_shown_an_outcome_of_before(tenant: Tenant) -> None:
    artist, headers = await tenant.artist(), key()
    expect(await tenant.caller("mia", "member").post("/v1/bookings", wish(artist), headers=headers), 201)
    viewer = tenant.caller("mia", "viewer")
    assert (await viewer.post("/v1/bookings", wish(artist), headers=headers)).slug == "forbidden"


async def test_a_caller_who_does_not_wait_is_told_where_to_ask(tenant: Tenant) -> None:
    artist = await tenant.artist()
    caller = tenant.caller()
    taken = expect(await caller.post("/v1/bookings", wish(artist), headers={"Prefer": "respond-async"}), 202)
    assert taken.headers["Preference-Applied"] == "respond-async"
    assert taken.headers["Location"] == f"/v1/commands/{taken.body['id']}"
    status = await caller.decided(taken.headers["Location"])
    assert (status["id"], status["status"], status["outcome"]["status"]) == (taken.body["id"], "accepted", 201)
    assert await caller.every("/v1/bookings") == [status["outcome"]["body"]]

    refused = expect(await caller.post("/v1/bookings", wish(artist), headers={"Prefer": "respond-async"}), 202)
    status = await caller.decided(refused.headers["Location"])
    assert (status["status"], status["outcome"]["body"]["type"]) == ("rejected", "/problems/booking-conflict")


async def test_a_caller_who_does_not_wait_gets_the_outcome_of_the_key_too(tenant: Tenant) -> None:
    asked = wish(await tenant.artist())
    caller, headers = tenant.caller(), key()
    created = expect(await caller.post("/v1/bookings", asked, headers=headers), 201)
    taken = expect(await caller.post("/v1/bookings", asked, headers=headers | {"Prefer": "respond-async"}), 202)
    status = await caller.decided(taken.headers["Location"])
    assert status["outcome"] == {"status": 201, "body": created.body}


@pytest.mark.parametrize("service", ["booking", "tenancy"])
async def test_a_command_is_its_tenants_own(tenant: Tenant, other_tenant: Tenant, service: str) -> None:
    artist = await tenant.artist()
    asked: dict[str, Any] = wish(artist) if service == "booking" else {"name": "Ada"}
    path = "/v1/bookings" if service == "booking" else "/v1/artists"
    caller = tenant.caller()
    location = expect(await caller.post(path, asked, headers={"Prefer": "respond-async"}), 202).headers["Location"]
    assert (await caller.decided(location))["status"] == "accepted"
    assert location.startswith(f"/v1/commands/{service}-")
    assert expect(await tenant.caller("eva", "viewer").get(location), 200).body["status"] == "accepted"
    other = await other_tenant.caller().get(location)
    forged = await caller.get(location[:-1] + ("A" if location[-1] != "A" else "B"))
    swapped = await caller.get(location.replace("booking-" if service == "booking" else "tenancy-", "gateway-"))
    assert [answer.slug for answer in (other, forged, swapped)] == ["not-found"] * 3
    assert other.raw == forged.raw


async def test_a_moves_outcome_is_remembered_when_the_booking_has_moved_on(tenant: Tenant) -> None:
    booking = await tenant.booking(await tenant.artist())
    caller, headers = tenant.caller(), key()
    address = f"/v1/bookings/{booking['id']}"
    moved = expect(await caller.post(f"{address}/reschedule", night(1), headers=headers), 200)
    expect(await caller.post(f"{address}/reschedule", night(2)), 200)
    again = expect(await caller.post(f"{address}/reschedule", night(1), headers=headers), 200)
    assert again.raw == moved.raw
    assert expect(await caller.get(address), 200).body["start_time"] == night(2)["start_time"]
