"""Each error that a request can meet on a healthy system: its slug, status, media type and what it says."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from local_stack.clients.caller import Answer, Caller, expect
from local_stack.clients.tenant import Tenant, wish

READS = [
    "/v1/bookings",
    "/v1/bookings/{id}",
    "/v1/bookings/{id}/events",
    "/v1/events?stream=booking",
    "/v1/commands/booking-x",
    "/v1/artists",
    "/v1/artists/{id}",
    "/v1/artists/{id}/availability",
    "/v1/tenant",
    "/v1/members",
]
WRITES = [
    ("POST", "/v1/bookings"),
    ("PATCH", "/v1/bookings/{id}"),
    ("POST", "/v1/bookings/{id}/confirm"),
    ("POST", "/v1/bookings/{id}/cancel"),
    ("POST", "/v1/bookings/{id}/reschedule"),
    ("POST", "/v1/artists"),
    ("PATCH", "/v1/artists/{id}"),
    ("POST", "/v1/artists/{id}/archive"),
]
EVERYTHING = [("GET", path) for path in READS] + WRITES


def is_problem(answer: Answer, status: int, slug: str) -> dict[str, Any]:
    """Hold that an answer is this problem, as RFC 9457 and our contract write it, and give it."""
    assert (answer.status, answer.slug) == (status, slug), str(answer)
    problem: dict[str, Any] = answer.body
    assert problem["type"] == f"/problems/{slug}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem


def pointers(answer: Answer) -> set[str]:
    problem = is_problem(answer, 422, "invalid-request")
    assert all(error["detail"] for error in problem["errors"])
    return {error["pointer"] for error in problem["errors"]}


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
async def test_nothing_is_answered_without_a_token(tenant: Tenant, method: str, path: str) -> None:
    answer = await tenant.caller().call(method, path.format(id=uuid4()), headers={"Authorization": ""})
    is_problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize(
    "words",
    [
        {"ttl": timedelta(seconds=-60)},
        {"iss": "https://elsewhere.example"},
        {"exp": None},
        {"sub": None},
        {"nbf": 99_999_999_999},
    ],
    ids=["run out", "of another issuer", "for ever", "of nobody", "not valid yet"],
)
async def test_a_token_that_is_not_right_is_unauthenticated(tenant: Tenant, words: dict[str, Any]) -> None:
    is_problem(await tenant.caller(**words).get("/v1/bookings"), 401, "unauthenticated")


async def test_a_token_signed_by_a_stranger_is_unauthenticated(tenant: Tenant) -> None:
    stranger = type(tenant.at.issuer).new(tenant.at.issuer_url)
    forged = {"Authorization": f"Bearer {stranger.token(tenant=tenant.name)}"}
    is_problem(await tenant.caller().get("/v1/bookings", headers=forged), 401, "unauthenticated")


async def test_a_user_without_an_active_organisation_is_forbidden(tenant: Tenant) -> None:
    nobody = Caller(session=tenant.session, url=tenant.at.gateway_url, token=tenant.at.token(tenant=None))
    is_problem(await nobody.get("/v1/bookings"), 403, "forbidden")


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_viewer_changes_nothing(tenant: Tenant, method: str, path: str) -> None:
    is_problem(await tenant.caller("eva", "viewer").call(method, path.format(id=uuid4()), {}), 403, "forbidden")


@pytest.mark.parametrize(("method", "path"), [write for write in WRITES if "artists" in write[1]])
async def test_a_member_does_not_change_the_roster(tenant: Tenant, method: str, path: str) -> None:
    is_problem(await tenant.caller("mia", "member").call(method, path.format(id=uuid4()), {}), 403, "forbidden")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/",
        "/v2/bookings",
        "/v1/bookings/",
        "/v1/bookings/not-an-id",
        "/v1/bookings/%00",
        "/v1/bookings/1/2/3",
        "/v1/commands/booking-x",
        "/favicon.ico",
    ],
)
async def test_where_nothing_is_nothing_is_found(tenant: Tenant, path: str) -> None:
    is_problem(await tenant.caller().get(path), 404, "not-found")


async def test_a_booking_for_an_artist_that_is_not_there_is_not_found(tenant: Tenant, other_tenant: Tenant) -> None:
    theirs = await other_tenant.artist()
    absent = {"id": str(uuid4())}
    answers = [await tenant.caller().post("/v1/bookings", wish(artist)) for artist in (absent, theirs)]
    for answer in answers:
        is_problem(answer, 404, "not-found")
    assert answers[0].raw.replace(absent["id"].encode(), b"") == answers[1].raw.replace(theirs["id"].encode(), b"")


async def in_pieces(raw: bytes) -> AsyncIterator[bytes]:
    """Send a body without saying before how long it is."""
    for start in range(0, len(raw), 16_384):
        yield raw[start : start + 16_384]


BODY = {"artist_id": "018f0000-0000-7000-8000-000000000000", "title": "A night"}
SLOT = {"start_time": "2027-05-08T20:00:00.000Z", "end_time": "2027-05-08T23:30:00.000Z"}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"title": None}, "#/title"),
        ({"title": ""}, "#/title"),
        ({"title": " "}, "#/title"),
        ({"title": "x" * 201}, "#/title"),
        ({"title": "a\x00b"}, "#/title"),
        ({"title": 7}, "#/title"),
        ({"venue": "x" * 201}, "#/venue"),
        ({"notes": "x" * 10_001}, "#/notes"),
        ({"contact": {"email": "nobody"}}, "#/contact/email"),
        ({"contact": {"fax": "1"}}, "#/contact/fax"),
        ({"fee": {"amount": 1}}, "#/fee/currency"),
        ({"fee": {"amount": 1.5, "currency": "EUR"}}, "#/fee/amount"),
        ({"fee": {"amount": 1, "currency": "EUX"}}, "#/fee/currency"),
        ({"status": "cancelled"}, "#/status"),
        ({"artist_id": "somebody"}, "#/artist_id"),
        ({"colour": "red"}, "#/colour"),
        ({"a/b~c": 1}, "#/a~1b~0c"),
        ({"start_time": "2027-05-08 20:00:00Z"}, "#/start_time"),
        ({"start_time": "2027-05-08T20:00:00"}, "#/start_time"),
        ({"start_time": "2027-05-08T20:00:00.0001Z"}, "#/start_time"),
        ({"start_time": "2027-02-30T20:00:00Z"}, "#/start_time"),
        ({"start_time": "1899-12-31T23:59:59Z"}, "#/start_time"),
        ({"end_time": "2201-01-01T00:00:00Z"}, "#/end_time"),
        ({"start_time": 1_800_000_000}, "#/start_time"),
        ({"start_time": "1800000000"}, "#/start_time"),
        ({"end_time": "2027-05-08T20:00:00Z"}, "#"),
        ({"end_time": "2027-05-08T19:00:00Z"}, "#"),
        ({"end_time": "2028-05-09T20:00:00.001Z"}, "#"),
    ],
)
async def test_what_the_contract_refuses_is_an_invalid_request_that_points_at_it(
    tenant: Tenant, change: dict[str, Any], pointer: str
) -> None:
    assert pointers(await tenant.caller().post("/v1/bookings", BODY | SLOT | change)) == {pointer}


async def test_all_that_is_wrong_is_said_at_once(tenant: Tenant) -> None:
    answer = await tenant.caller().post("/v1/bookings", {"title": "", "colour": "red"})
    assert pointers(answer) == {"#/artist_id", "#/start_time", "#/end_time", "#/title", "#/colour"}


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b'"text"', b'{"title": NaN}', b'{"a": 1, "a": 2}', b"\xff", b"[" * 9000]
)
async def test_a_body_that_is_no_json_object_is_an_invalid_request(tenant: Tenant, raw: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert pointers(await tenant.caller().post("/v1/bookings", raw, headers=headers)) == {"#"}


@pytest.mark.parametrize(
    ("path", "query", "pointer"),
    [
        ("/v1/bookings", {"limit": "0"}, "#/query/limit"),
        ("/v1/bookings", {"limit": "201"}, "#/query/limit"),
        ("/v1/bookings", {"limit": "ten"}, "#/query/limit"),
        ("/v1/bookings", {"cursor": "mine"}, "#/query/cursor"),
        ("/v1/bookings", {"status": "lost"}, "#/query/status"),
        ("/v1/bookings", {"from": "today"}, "#/query/from"),
        ("/v1/bookings", {"colour": "red"}, "#/query/colour"),
        ("/v1/bookings", {"artist_id": "x"}, "#/query/artist_id"),
        ("/v1/events", {}, "#/query/stream"),
        ("/v1/events", {"stream": "gateway"}, "#/query/stream"),
        ("/v1/events", {"stream": "booking", "after": "-1"}, "#/query/after"),
        ("/v1/events", {"stream": "booking", "limit": "501"}, "#/query/limit"),
        ("/v1/artists", {"cursor": "mine"}, "#/query/cursor"),
    ],
)
async def test_a_query_that_the_contract_refuses_is_an_invalid_request(
    tenant: Tenant, path: str, query: dict[str, str], pointer: str
) -> None:
    assert pointers(await tenant.caller().get(path, query)) == {pointer}


@pytest.mark.parametrize(
    ("name", "value"), [("Idempotency-Key", "a b"), ("Idempotency-Key", "x" * 256), ("If-Match", "3")]
)
async def test_a_header_that_the_contract_refuses_is_an_invalid_request(tenant: Tenant, name: str, value: str) -> None:
    answer = await tenant.caller().post(f"/v1/bookings/{uuid4()}/confirm", headers={name: value})
    assert pointers(answer) == {f"#/header/{name.lower()}"}


async def test_a_move_onto_another_booking_is_a_booking_conflict(tenant: Tenant) -> None:
    artist = await tenant.artist()
    first, second = [await tenant.booking(artist, number) for number in (0, 1)]
    slot = {name: first[name] for name in ("start_time", "end_time")}
    answer = await tenant.caller().post(f"/v1/bookings/{second['id']}/reschedule", slot)
    problem = is_problem(answer, 409, "booking-conflict")
    assert problem["conflicts"] == [{"booking_id": first["id"], "status": "pencil", **slot}]
    assert len(problem["next_free"]) == 3


async def test_a_change_of_what_has_moved_on_is_a_version_mismatch(tenant: Tenant) -> None:
    booking = await tenant.booking(await tenant.artist())
    address = f"/v1/bookings/{booking['id']}"
    caller = tenant.caller()
    stale = {"If-Match": '"7"'}
    for answer in (
        await caller.patch(address, {"title": "Another"}, headers=stale),
        await caller.post(f"{address}/confirm", headers=stale),
        await caller.post(f"{address}/cancel", headers=stale),
        await caller.post(f"{address}/reschedule", SLOT, headers=stale),
    ):
        is_problem(answer, 412, "version-mismatch")
    confirmed = expect(await caller.post(f"{address}/confirm", headers={"If-Match": '"7", "1"'}), 200)
    assert confirmed.headers["ETag"] == '"2"'


async def test_a_body_over_256_kib_is_too_large_however_it_comes(tenant: Tenant) -> None:
    caller = tenant.caller()
    raw = b'{"notes": "' + b"x" * 256 * 1024 + b'"}'
    headers = {"Content-Type": "application/json"}
    is_problem(await caller.post("/v1/bookings", raw, headers=headers), 413, "payload-too-large")
    is_problem(await caller.post("/v1/bookings", in_pieces(raw), headers=headers), 413, "payload-too-large")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "br"},
    ],
)
async def test_a_body_of_another_media_type_is_unsupported(tenant: Tenant, headers: dict[str, str]) -> None:
    is_problem(await tenant.caller().post("/v1/bookings", b"{}", headers=headers), 415, "unsupported-media-type")


async def test_who_does_not_take_json_gets_nothing_acceptable(tenant: Tenant) -> None:
    caller = tenant.caller()
    for accept in ("text/html", "application/json;q=0", "image/*"):
        is_problem(await caller.get("/v1/bookings", headers={"Accept": accept}), 406, "not-acceptable")
    for accept in ("*/*", "application/json", "text/html, application/*;q=0.1"):
        expect(await caller.get("/v1/bookings", headers={"Accept": accept}), 200)


async def test_a_method_that_an_address_does_not_know_is_not_allowed(tenant: Tenant) -> None:
    for method, path, allowed in (
        ("DELETE", "/v1/bookings", {"GET", "HEAD", "POST"}),
        ("PUT", f"/v1/bookings/{uuid4()}", {"GET", "HEAD", "PATCH"}),
        ("GET", f"/v1/bookings/{uuid4()}/confirm", {"POST"}),
        ("POST", "/v1/events", {"GET", "HEAD"}),
    ):
        answer = await tenant.caller().call(method, path)
        is_problem(answer, 405, "method-not-allowed")
        assert set(answer.headers["Allow"].replace(" ", "").split(",")) == allowed


@pytest.mark.parametrize("size", [20_000, 200_000])
async def test_headers_beyond_all_measure_are_too_large(tenant: Tenant, size: int) -> None:
    answer = await tenant.caller().get("/v1/bookings", headers={"X-Filler": "x" * size})
    is_problem(answer, 431, "headers-too-large")


async def test_problems_of_many_callers_at_once_are_each_their_own(tenant: Tenant) -> None:
    artist = await tenant.artist()
    taken = await asyncio.gather(*(tenant.booking(artist, number) for number in range(50)))
    caller = tenant.caller()
    answers = await asyncio.gather(*(caller.post("/v1/bookings", wish(artist, number)) for number in range(50)))
    for booking, answer in zip(taken, answers, strict=True):
        problem = is_problem(answer, 409, "booking-conflict")
        assert [one["booking_id"] for one in problem["conflicts"]] == [booking["id"]]
