"""A booking from its first pencil to its end, as every reader sees it."""

import itertools
from typing import Any

import pytest

from local_stack.clients.caller import Caller, expect
from local_stack.clients.nights import night
from local_stack.clients.tenant import Tenant, wish
from local_stack.clients.topic import Topic

NOTES = "The promoter's number is under the mat."
CONTACT = {"name": "Ana Sommer", "email": "ana@example.org", "phone": "+49 30 12345678"}
FEE = {"amount": 150_000, "currency": "EUR"}
CONFIDENTIAL: dict[str, Any] = {"notes": NOTES, "contact": CONTACT, "fee": FEE}


async def types_of(caller: Caller, booking: dict[str, Any]) -> list[str]:
    """Name the events of a booking, in order."""
    page = expect(await caller.get(f"/v1/bookings/{booking['id']}/events"), 200).body
    return [event["type"] for event in page["items"]]


async def test_a_pencil_is_answered_with_all_that_was_asked_and_where_it_stands(tenant: Tenant) -> None:
    artist = await tenant.artist()
    asked = wish(artist, venue="Barton Hall", **CONFIDENTIAL)
    created = expect(await tenant.caller().post("/v1/bookings", asked), 201)
    booking = created.body
    assert {name: booking[name] for name in asked} == asked
    assert (booking["status"], booking["version"], booking["position"]) == ("pencil", 1, 1)
    assert booking["created_by"] == "user_ana"
    assert booking["created_at"] == booking["updated_at"]
    assert created.headers["Location"] == f"/v1/bookings/{booking['id']}"
    assert (created.headers["ETag"], created.headers["Position"]) == ('"1"', "1")
    read = expect(await tenant.caller().get(created.headers["Location"]), 200)
    assert read.body == booking
    assert (read.headers["ETag"], read.headers["Position"]) == ('"1"', "1")
    assert read.headers["Cache-Control"] == "private, no-cache"


async def test_what_is_left_out_is_null_and_a_pencil(tenant: Tenant) -> None:
    booking = await tenant.booking(await tenant.artist())
    assert [booking[name] for name in ("venue", *CONFIDENTIAL)] == [None] * 4
    assert booking["status"] == "pencil"


async def test_a_booking_may_begin_as_a_deal(tenant: Tenant) -> None:
    booking = await tenant.booking(await tenant.artist(), status="confirmed")
    assert (booking["status"], booking["version"]) == ("confirmed", 1)
    assert await types_of(tenant.caller(), booking) == ["BookingCreated"]


async def test_times_with_any_offset_come_back_in_utc_to_the_millisecond(tenant: Tenant) -> None:
    times: dict[str, Any] = {"start_time": "2027-05-08T20:00:00.5+02:00", "end_time": "2027-05-08T23:30:00-01:30"}
    booking = await tenant.booking(await tenant.artist(), **times)
    assert booking["start_time"] == "2027-05-08T18:00:00.500Z"
    assert booking["end_time"] == "2027-05-09T01:00:00.000Z"


async def test_who_has_what_we_would_send_is_told_so(tenant: Tenant) -> None:
    booking = await tenant.booking(await tenant.artist())
    caller = tenant.caller()
    for path in (f"/v1/bookings/{booking['id']}", "/v1/bookings", "/v1/events?stream=booking", "/v1/tenant"):
        etag = expect(await caller.get(path), 200).headers["ETag"]
        known = await caller.get(path, headers={"If-None-Match": etag})
        assert (known.status, known.raw) == (304, b"")
        assert known.headers["ETag"] == etag
        expect(await caller.get(path, headers={"If-None-Match": '"other"'}), 200)


async def test_a_reader_who_names_a_position_is_never_shown_less(tenant: Tenant) -> None:
    artist = await tenant.artist()
    caller = tenant.caller()
    for number in range(10):
        created = expect(await caller.post("/v1/bookings", wish(artist, number)), 201)
        read = await caller.get("/v1/bookings", headers={"Min-Position": created.headers["Position"]})
        assert len(expect(read, 200).body["items"]) == number + 1
        assert int(read.headers["Position"]) >= number + 1
    ahead = await caller.get("/v1/bookings", headers={"Min-Position": "99"})
    assert (ahead.status, ahead.slug) == (503, "unavailable")


async def test_confirm_makes_a_deal_and_confirming_again_changes_nothing(tenant: Tenant) -> None:
    booking = await tenant.booking(await tenant.artist())
    caller = tenant.caller("mia", "member")
    first, second = [expect(await caller.post(f"/v1/bookings/{booking['id']}/confirm"), 200) for _ in range(2)]
    assert (first.body["status"], first.body["version"], first.body["position"]) == ("confirmed", 2, 2)
    assert first.body["created_by"] == "user_ana"
    assert (second.body, second.headers["ETag"]) == (first.body, first.headers["ETag"])
    assert await types_of(caller, booking) == ["BookingCreated", "BookingConfirmed"]
    actors = [event["actor"] for event in await caller.events()]
    assert actors == ["user_ana", "user_mia"]


async def test_a_merge_patch_changes_what_it_names_and_null_clears(tenant: Tenant) -> None:
    booking = await tenant.booking(await tenant.artist(), venue="Barton Hall", notes=NOTES)
    caller = tenant.caller()
    address = f"/v1/bookings/{booking['id']}"
    steps = [
        ({"title": "Another"}, {"title": "Another"}),
        ({"venue": None, "notes": "Ring twice."}, {"venue": None, "notes": "Ring twice."}),
        ({"notes": None}, {"notes": None}),
    ]
    expected = booking
    for version, (patch, change) in enumerate(steps, start=2):
        amended = expect(
            await caller.call("PATCH", address, patch, headers={"Content-Type": "application/merge-patch+json"}), 200
        ).body
        expected = expected | change | {"version": version, "position": version, "updated_at": amended["updated_at"]}
        assert amended == expected
    for same in ({}, {"title": "Another"}, {"notes": None}):
        assert expect(await caller.patch(address, same), 200).body == expected
    assert await types_of(caller, booking) == ["BookingCreated", *["BookingAmended"] * 3]
    refused = await caller.patch(address, {"title": None})
    assert (refused.slug, refused.body["errors"][0]["pointer"]) == ("invalid-request", "#/title")


async def test_a_patch_merges_into_the_contact_and_states_the_fee_whole(tenant: Tenant) -> None:
    booking = await tenant.booking(await tenant.artist(), contact={"name": "Ana", "email": "ana@example.org"})
    caller = tenant.caller()
    address = f"/v1/bookings/{booking['id']}"
    ana = {"name": "Ana", "email": "ana@example.org", "phone": None}
    assert booking["contact"] == ana
    steps: list[tuple[dict[str, Any], Any, Any]] = [
        ({"contact": {"phone": "110"}, "fee": FEE}, ana | {"phone": "110"}, FEE),
        ({"contact": {"email": None}}, {"name": "Ana", "email": None, "phone": "110"}, FEE),
        ({"fee": FEE | {"amount": 0}}, {"name": "Ana", "email": None, "phone": "110"}, FEE | {"amount": 0}),
        ({"contact": {"name": None, "phone": None}}, None, FEE | {"amount": 0}),
        ({"contact": CONTACT, "fee": None}, CONTACT, None),
        ({"contact": None}, None, None),
    ]
    amended = booking
    for version, (patch, contact, fee) in enumerate(steps, start=2):
        for _ in range(2):  # said again it is so already
            amended = expect(await caller.patch(address, patch), 200).body
            assert (amended["contact"], amended["fee"], amended["version"]) == (contact, fee, version)
        assert expect(await caller.get(address), 200).body == amended
    already: list[dict[str, Any]] = [{"contact": {}}, {"contact": {"email": None}}, {"contact": None, "fee": None}]
    for same in already:
        assert expect(await caller.patch(address, same), 200).body == amended
    assert await types_of(caller, booking) == ["BookingCreated", *["BookingAmended"] * len(steps)]
    for half in ({"amount": 1}, {"currency": "EUR"}):
        refused = await caller.patch(address, {"fee": half})
        assert (refused.status, refused.slug) == (422, "invalid-request")


async def test_what_was_said_of_a_booking_stays_with_it_through_every_change(tenant: Tenant) -> None:
    booking = await tenant.booking(await tenant.artist(), **CONFIDENTIAL)
    caller = tenant.caller()
    address = f"/v1/bookings/{booking['id']}"
    for verb, body in (("confirm", None), ("reschedule", night(1)), ("cancel", None)):
        changed = expect(await caller.post(f"{address}/{verb}", body), 200).body
        assert changed.items() >= CONFIDENTIAL.items()
    assert expect(await caller.get(address), 200).body.items() >= CONFIDENTIAL.items()


def leaves(part: Any) -> list[Any]:  # noqa: ANN401 - JSON
    """Give the sealed values that a field holds."""
    if isinstance(part, dict) and "ct" not in part:
        return [leaf for inner in part.values() for leaf in leaves(inner)]
    return [part]


async def test_what_is_sensitive_is_open_to_readers_and_sealed_everywhere_behind_the_gateway(tenant: Tenant) -> None:
    caller = tenant.caller()
    async with tenant.watcher() as watcher, Topic(tenant.at.downstream, "booking.events.v1") as topic:
        booking = await tenant.booking(await tenant.artist(), **CONFIDENTIAL)
        viewer = tenant.caller("eva", "viewer")
        for told in (
            booking,
            expect(await viewer.get(f"/v1/bookings/{booking['id']}"), 200).body,
            *await caller.every("/v1/bookings"),
            *(event["data"] for event in await caller.events()),
        ):
            assert told.items() >= CONFIDENTIAL.items()
        [record] = await topic.of_tenant(tenant.id)
        await watcher.reached("booking", 1)
    behind = Caller(session=tenant.session, url=tenant.at.booking_url, token=caller.token)
    for kept in (
        record.event["data"],
        expect(await behind.get(f"/v1/bookings/{booking['id']}"), 200).body,
        expect(await behind.get("/v1/events"), 200).body["items"][0]["data"],
    ):
        sealed = [leaf for name in CONFIDENTIAL for leaf in leaves(kept[name])]
        assert [set(leaf) for leaf in sealed] == [{"kid", "ct"}] * 6
        assert len({leaf["ct"] for leaf in sealed}) == len(sealed)
    assert not CONFIDENTIAL.keys() & watcher.of("booking")[0].message["data"].keys()


async def test_a_reschedule_says_where_the_booking_was(tenant: Tenant) -> None:
    booking = await tenant.booking(await tenant.artist())
    caller = tenant.caller()
    address = f"/v1/bookings/{booking['id']}"
    async with tenant.watcher() as watcher:
        moved = expect(await caller.post(f"{address}/reschedule", night(1)), 200).body
        assert {name: moved[name] for name in night(1)} == night(1)
        assert expect(await caller.post(f"{address}/reschedule", night(1)), 200).body == moved
        await watcher.reached("booking", 2)
    [event] = await caller.events(after=1)
    assert (event["type"], event["data"]["previous"]) == ("BookingRescheduled", night(0))
    assert {name: event["data"][name] for name in moved} == moved
    assert watcher.of("booking")[0].message["data"]["previous"] == night(0)


async def test_a_booking_moves_by_less_than_its_length_past_itself(tenant: Tenant) -> None:
    booking = await tenant.booking(await tenant.artist())
    later = {"start_time": "2027-05-08T21:00:00.000Z", "end_time": "2027-05-09T00:30:00.000Z"}
    expect(await tenant.caller().post(f"/v1/bookings/{booking['id']}/reschedule", later), 200)


async def test_a_cancelled_booking_keeps_its_reason_in_its_history_and_moves_no_more(tenant: Tenant) -> None:
    artist = await tenant.artist()
    booking = await tenant.booking(artist)
    caller = tenant.caller()
    address = f"/v1/bookings/{booking['id']}"
    first = expect(await caller.post(f"{address}/cancel", {"reason": "rain"}), 200)
    second = expect(await caller.post(f"{address}/cancel", {"reason": "snow"}), 200)
    assert first.body["status"] == "cancelled"
    assert second.body == first.body
    for verb, body in (("confirm", None), ("reschedule", night(1))):
        refused = await caller.post(f"{address}/{verb}", body)
        assert (refused.status, refused.slug) == (409, "invalid-transition")
    refused = await caller.patch(address, {"title": "Another"})
    assert (refused.status, refused.slug) == (409, "invalid-transition")
    [created, cancelled] = await caller.events()
    assert (created["type"], cancelled["type"]) == ("BookingCreated", "BookingCancelled")
    assert cancelled["data"]["reason"] == "rain"
    assert expect(await caller.get(address), 200).body == first.body


async def test_the_list_shows_what_overlaps_and_pages_in_order(tenant: Tenant) -> None:
    artists = [await tenant.artist(f"Artist {number}") for number in range(3)]
    bookings = [await tenant.booking(artist, number) for number in (4, 0, 3, 1, 2) for artist in artists]
    caller = tenant.caller()
    in_order = sorted(bookings, key=lambda booking: (booking["start_time"], booking["id"]))
    for limit in (1, 4, 15, 200):
        pages = [page async for page in caller.pages("/v1/bookings", {"limit": limit})]
        assert all(len(page) == limit for page in pages[:-1])
        assert list(itertools.chain.from_iterable(pages)) == in_order

    of_one = await caller.every("/v1/bookings", {"artist_id": artists[1]["id"], "limit": 2})
    assert of_one == [booking for booking in in_order if booking["artist_id"] == artists[1]["id"]]
    # Half-open: what ends when the window begins, or begins when it ends, does not overlap it.
    window = {"from": night(1)["end_time"], "to": night(3)["start_time"]}
    assert [booking["start_time"] for booking in await caller.every("/v1/bookings", window)] == [
        night(2)["start_time"]
    ] * 3
    inside: dict[str, str | int] = {"from": "2027-05-09T21:00:00Z", "to": "2027-05-09T21:00:00.001Z", "limit": 1}
    assert len(await caller.every("/v1/bookings", inside)) == 3

    expect(await caller.post(f"/v1/bookings/{in_order[0]['id']}/confirm"), 200)
    confirmed = await caller.every("/v1/bookings", {"status": "confirmed"})
    assert [booking["id"] for booking in confirmed] == [in_order[0]["id"]]


async def test_a_socket_goes_on_from_the_position_of_a_list_and_misses_nothing(tenant: Tenant) -> None:
    artist = await tenant.artist()
    await tenant.booking(artist)
    page = expect(await tenant.caller().get("/v1/bookings"), 200)
    missed = [await tenant.booking(artist, number) for number in (1, 2)]
    async with tenant.watcher(after={"booking": int(page.headers["Position"])}) as watcher:
        await watcher.reached("booking", missed[-1]["position"])
    assert [message.message["data"]["id"] for message in watcher.of("booking")] == [one["id"] for one in missed]


@pytest.mark.parametrize("limit", [1, 3, 500])
async def test_the_events_are_paged_without_a_gap_and_the_head_is_told(tenant: Tenant, limit: int) -> None:
    artist = await tenant.artist()
    for number in range(7):
        await tenant.booking(artist, number)
    caller = tenant.caller()
    page = expect(await caller.get("/v1/events", {"stream": "booking", "limit": limit}), 200)
    assert (page.headers["Position"], page.body["position"]) == ("7", min(limit, 7))
    assert [event["position"] for event in await caller.events(limit=limit)] == list(range(1, 8))
    beyond = expect(await caller.get("/v1/events", {"stream": "booking", "after": 7}), 200).body
    assert beyond == {"items": [], "position": 7}
