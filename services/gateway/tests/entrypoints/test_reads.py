"""Reads: passed on with the caller's token, opened, tagged, and refused as the owner refuses."""

from typing import Any
from uuid import NAMESPACE_DNS, uuid4, uuid5

import aiohttp
import pytest

from gateway.domain.command_ids import CommandIds
from gateway.testing import KEY, NAMESPACE, FakeGateway, problem_of
from local_stack.issuer import Issuer
from production_contracts import problems
from servicekit.problems import NOT_THERE

TENANT = uuid5(NAMESPACE, "org_acme")
# Not random: they stand in the names of tests, which have to be the same on every worker.
BOOKING = uuid5(NAMESPACE_DNS, "booking.example")
ARTIST = uuid5(NAMESPACE_DNS, "artist.example")
COMMAND = uuid5(NAMESPACE_DNS, "command.example")
PATH = f"/v1/bookings/{BOOKING}"
NOTES = "by the back gate"
OPEN = {
    "notes": NOTES,
    "contact": {"name": "Ana", "email": "ana@example.org", "phone": None},
    "fee": {"amount": 0, "currency": "EUR"},
}
TEXT = CommandIds(KEY).write(COMMAND, TENANT, "booking")


def booking(gateway: FakeGateway) -> dict[str, Any]:
    def seal(path: str, text: str) -> dict[str, str]:
        return gateway.vault.seal(TENANT, BOOKING, path, text).model_dump()

    return {
        "id": str(BOOKING),
        "title": "Tour \u00fc",
        "version": 3,
        "notes": seal("notes", NOTES),
        "contact": {
            "name": seal("contact.name", "Ana"),
            "email": seal("contact.email", "ana@example.org"),
            "phone": None,
        },
        "fee": {"amount": seal("fee.amount", "000000000000000"), "currency": seal("fee.currency", "EUR")},
    }


async def get(client: aiohttp.ClientSession, path: str, **headers: str) -> tuple[aiohttp.ClientResponse, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.get(path, headers=named) as response:
        if response.status >= 400:
            return response, problem_of(response, await response.read())
        return response, await response.json(content_type=None)


async def test_a_booking_is_read_from_its_owner_with_the_callers_token(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    gateway.owners.put("booking", PATH, booking(gateway))
    response, body = await get(client, PATH.upper().replace("/V1/BOOKINGS", "/v1/bookings"), Min_Position="7")
    assert body == booking(gateway) | OPEN
    assert (response.headers["ETag"], response.headers["Position"]) == ('"3"', "41")
    assert response.headers["Cache-Control"] == "private, no-cache"
    (asked,) = gateway.owners.asked
    assert asked.headers["Authorization"] == client.headers["Authorization"]
    assert asked.headers["Min-Position"] == "7"


async def test_a_reader_who_has_it_is_told_so(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    gateway.owners.put("booking", PATH, booking(gateway))
    gateway.owners.put("booking", "/v1/bookings", {"items": [], "next_cursor": None})
    for path in (PATH, "/v1/bookings"):
        first, _ = await get(client, path)
        second, body = await get(client, path, If_None_Match=f'"x", {first.headers["ETag"]}')
        assert (second.status, body) == (304, None)
        assert second.headers["ETag"] == first.headers["ETag"]
        assert second.headers["Position"] == "41"
        assert second.headers["Cache-Control"] == "private, no-cache"


async def test_the_tag_of_a_list_changes_with_it(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    tags = []
    for title in ("a", "b"):
        gateway.owners.put("booking", "/v1/bookings", {"items": [{"title": title}], "next_cursor": None})
        response, _ = await get(client, "/v1/bookings")
        tags.append(response.headers["ETag"])
    assert tags[0] != tags[1]


async def test_lists_and_events_are_opened(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    event = {"stream": "booking", "position": 3, "aggregate_id": str(BOOKING), "data": booking(gateway)}
    gateway.owners.put("booking", "/v1/bookings", {"items": [booking(gateway)], "next_cursor": None})
    gateway.owners.put("booking", "/v1/events", {"items": [event], "position": 3})
    gateway.owners.put("booking", f"{PATH}/events", {"items": [event], "position": 3})
    _, page = await get(client, "/v1/bookings")
    assert page["items"] == [booking(gateway) | OPEN]
    for path in ("/v1/events?stream=booking", f"{PATH}/events"):
        _, page = await get(client, path)
        assert [item["data"] for item in page["items"]] == [booking(gateway) | OPEN]


async def test_what_was_said_before_a_booking_had_a_contact_and_a_fee_is_read_as_it_is(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    old = {name: value for name, value in booking(gateway).items() if name not in {"contact", "fee"}}
    event = {"stream": "booking", "position": 3, "aggregate_id": str(BOOKING), "data": old}
    gateway.owners.put("booking", "/v1/events", {"items": [event], "position": 3})
    reply = {"command_id": str(COMMAND), "position": 9, "outcome": {"status": 201, "body": old}}
    gateway.owners.put("booking", f"/v1/commands/{COMMAND}", reply)
    _, page = await get(client, "/v1/events?stream=booking")
    assert page["items"][0]["data"] == old | {"notes": NOTES}
    _, body = await get(client, f"/v1/commands/{TEXT}")
    assert body["outcome"]["body"] == old | {"notes": NOTES}


async def test_the_past_is_asked_of_the_owner_opened_and_tagged_as_it_was(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    gateway.owners.put("booking", PATH, booking(gateway), position=12)
    gateway.owners.put("booking", "/v1/bookings", {"items": [booking(gateway)], "next_cursor": None}, position=12)
    moment = "as_of=2026-01-01T01:00:00.5%2B01:00"
    response, body = await get(client, f"{PATH}?{moment}")
    assert (body["notes"], response.headers["ETag"], response.headers["Position"]) == (NOTES, '"3"', "12")
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert (await get(client, f"{PATH}?{moment}", If_None_Match='"3"'))[0].status == 304
    response, page = await get(client, f"/v1/bookings?{moment}&limit=5")
    assert ([item["notes"] for item in page["items"]], response.headers["Position"]) == ([NOTES], "12")
    assert [asked.query for asked in gateway.owners.asked[1:]] == [
        {"as_of": "2026-01-01T00:00:00.500Z"},
        {"as_of": "2026-01-01T00:00:00.500Z", "limit": "5"},
    ]


async def test_a_query_is_passed_on_in_its_one_form(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    gateway.owners.put("booking", "/v1/bookings", {"items": [], "next_cursor": None})
    gateway.owners.put("tenancy", "/v1/artists", {"items": [], "next_cursor": None})
    gateway.owners.put("tenancy", "/v1/events", {"items": [], "position": 5})
    gateway.owners.put("booking", f"/v1/artists/{ARTIST}/availability", {})
    query = f"artist_id={str(ARTIST).upper()}&from=2027-01-01T00:00:00%2B01:00&status=pencil&limit=7&cursor=a%2Bb"
    for path in (
        f"/v1/bookings?{query}",
        "/v1/artists",
        "/v1/events?stream=tenancy&after=5",
        f"/v1/artists/{ARTIST}/availability?from=2027-01-01T00:00:00Z&to=2027-02-01T00:00:00.5Z",
    ):
        response, _ = await get(client, path)
        assert response.status == 200
    assert [asked.query for asked in gateway.owners.asked] == [
        {
            "artist_id": str(ARTIST),
            "from": "2026-12-31T23:00:00.000Z",
            "status": "pencil",
            "limit": "7",
            "cursor": "a+b",
        },
        {"limit": "50"},
        {"stream": "tenancy", "after": "5", "limit": "100"},
        {"from": "2027-01-01T00:00:00.000Z", "to": "2027-02-01T00:00:00.500Z"},
    ]


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/v1/bookings?limit=0", "#/query/limit"),
        ("/v1/bookings?limit=201", "#/query/limit"),
        ("/v1/bookings?limit=%2B5", "#/query/limit"),
        ("/v1/bookings?limit=5.0", "#/query/limit"),
        ("/v1/bookings?limit=", "#/query/limit"),
        ("/v1/bookings?limit=5&limit=6", "#/query/limit"),
        ("/v1/bookings?from=2027-01-01", "#/query/from"),
        ("/v1/bookings?from=2027-01-01T00:00:00+01:00", "#/query/from"),
        ("/v1/bookings?from=2027-01-02T00:00:00Z&to=2027-01-02T00:00:00Z", "#/query"),
        ("/v1/bookings?start_time=2027-01-01T00:00:00Z", "#/query/start_time"),
        ("/v1/bookings?status=done", "#/query/status"),
        ("/v1/bookings?artist_id=7", "#/query/artist_id"),
        ("/v1/bookings?cursor=", "#/query/cursor"),
        ("/v1/bookings?cursor=%00", "#/query/cursor"),
        ("/v1/bookings?colour=red", "#/query/colour"),
        ("/v1/bookings?as_of=2026-01-01", "#/query/as_of"),
        ("/v1/bookings?as_of=", "#/query/as_of"),
        (f"{PATH}?as_of=2026-01-01T00:00:00", "#/query/as_of"),
        (f"{PATH}?as_of=2026-01-01T00:00:00.0001Z", "#/query/as_of"),
        (f"{PATH}/events?as_of=2026-01-01T00:00:00Z", "#/query/as_of"),
        ("/v1/bookings?%ff=1", "#/query/%EF%BF%BD"),
        (f"{PATH}?x=1", "#/query/x"),
        ("/v1/events", "#/query/stream"),
        ("/v1/events?stream=other", "#/query/stream"),
        ("/v1/events?stream=booking&limit=501", "#/query/limit"),
        ("/v1/events?stream=booking&after=-1", "#/query/after"),
        ("/v1/events?stream=booking&after=9223372036854775808", "#/query/after"),
        (f"/v1/artists/{ARTIST}/availability?from=2027-01-01T00:00:00Z", "#/query/to"),
        (f"/v1/artists/{ARTIST}/availability?from=2027-01-01T00:00:00Z&to=2029-01-01T00:00:00Z", "#/query"),
        ("/v1/tenant?x=", "#/query/x"),
    ],
)
async def test_a_wrong_query_is_pointed_at(
    client: aiohttp.ClientSession, gateway: FakeGateway, path: str, pointer: str
) -> None:
    response, problem = await get(client, path)
    assert response.status == 422
    assert pointer in [error["pointer"] for error in problem["errors"]]
    assert gateway.owners.asked == []


@pytest.mark.parametrize("stated", ["x", "-1", "", "1.0", "9" * 19])
async def test_a_wrong_min_position_is_pointed_at(client: aiohttp.ClientSession, stated: str) -> None:
    _, problem = await get(client, PATH, Min_Position=stated)
    assert problem["errors"][0]["pointer"] == "#/header/min-position"


async def test_the_owners_problem_is_passed_on_as_it_is(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    gateway.owners.refuse("booking", PATH, problems.NOT_FOUND, NOT_THERE)
    gateway.owners.refuse("booking", "/v1/bookings", problems.INVALID_REQUEST, "no such cursor")
    response, absent = await get(client, PATH)
    _, malformed = await get(client, "/v1/bookings/7")
    assert absent == malformed
    assert response.headers["Cache-Control"] == "private, no-cache"
    _, problem = await get(client, "/v1/bookings?cursor=x")
    assert problem["detail"] == "no such cursor"


async def test_an_owner_that_is_away_or_talks_nonsense_is_unavailable(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    gateway.owners.put("booking", "/v1/bookings", {})
    gateway.owners.answers["booking", PATH] = type(gateway.owners.answers["booking", "/v1/bookings"])(
        status=502, headers={"content-type": "text/html"}, body=b"<html>"
    )
    for path in (PATH, "/v1/artists"):
        response, problem = await get(client, path)
        assert (problem["type"], response.headers["Retry-After"]) == ("/problems/unavailable", "2")


@pytest.mark.parametrize("name", ["notes", "contact", "fee"])
@pytest.mark.parametrize("sealed", [{"kid": "lost", "ct": "AAAA"}, {"kid": "k1", "ct": "AAAA"}, {"ct": 7}, "plain"])
async def test_what_can_not_be_opened_is_unavailable_and_never_shown_wrong(
    client: aiohttp.ClientSession,
    gateway: FakeGateway,
    name: str,
    sealed: Any,  # noqa: ANN401 - JSON
) -> None:
    broken = booking(gateway)
    if name == "notes":
        broken[name] = sealed
    else:
        broken[name][{"contact": "phone", "fee": "amount"}[name]] = sealed
    gateway.owners.put("booking", PATH, broken)
    _, problem = await get(client, PATH)
    assert problem["type"] == "/problems/unavailable"


async def test_notes_sealed_for_another_booking_do_not_open(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    other = gateway.vault.seal(TENANT, uuid4(), "notes", NOTES)
    gateway.owners.put("booking", PATH, booking(gateway) | {"notes": other.model_dump()})
    assert (await get(client, PATH))[1]["type"] == "/problems/unavailable"


async def test_what_was_sealed_for_one_member_of_a_contact_does_not_open_as_another(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    swapped = booking(gateway)
    swapped["contact"]["name"], swapped["contact"]["email"] = swapped["contact"]["email"], swapped["contact"]["name"]
    gateway.owners.put("booking", PATH, swapped)
    assert (await get(client, PATH))[1]["type"] == "/problems/unavailable"


async def test_a_command_that_is_in_no_log_is_pending(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    gateway.owners.refuse("booking", f"/v1/commands/{COMMAND}", problems.NOT_FOUND, NOT_THERE)
    response, body = await get(client, f"/v1/commands/{TEXT}")
    assert response.status == 200
    assert body == {"id": TEXT, "status": "pending", "outcome": None}
    assert "Position" not in response.headers


async def test_a_decided_command_tells_its_outcome(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    reply = {"command_id": str(COMMAND), "position": 9, "outcome": {"status": 201, "body": booking(gateway)}}
    gateway.owners.put("booking", f"/v1/commands/{COMMAND}", reply)
    response, body = await get(client, f"/v1/commands/{TEXT}")
    assert body["status"] == "accepted"
    assert response.headers["Position"] == "9", "as if the caller had waited"
    assert body["outcome"] == {"status": 201, "body": booking(gateway) | OPEN}
    gateway.owners.put("booking", f"/v1/commands/{COMMAND}", reply | {"outcome": {"status": 409, "body": {"a": 1}}})
    _, body = await get(client, f"/v1/commands/{TEXT}")
    assert (body["status"], body["outcome"]) == ("rejected", {"status": 409, "body": {"a": 1}})


async def test_an_id_that_we_did_not_issue_to_this_tenant_is_not_found(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    foreign = CommandIds(KEY).write(COMMAND, uuid4(), "booking")
    for text in (foreign, str(COMMAND), TEXT[:-1] + ("A" if TEXT[-1] != "A" else "B"), "x"):
        assert (await get(client, f"/v1/commands/{text}"))[1]["type"] == "/problems/not-found"
    assert gateway.owners.asked == []


async def test_an_owner_that_is_away_does_not_make_a_command_pending(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    gateway.owners.away = True
    assert (await get(client, f"/v1/commands/{TEXT}"))[1]["type"] == "/problems/unavailable"


async def test_every_role_reads(gateway: FakeGateway, issuer: Issuer) -> None:
    gateway.owners.put("booking", PATH, booking(gateway))
    for role in ("admin", "member", "viewer"):
        headers = {"Authorization": f"Bearer {issuer.token(role=role)}"}
        async with aiohttp.ClientSession(gateway.url, headers=headers) as session:
            assert (await get(session, PATH))[0].status == 200


async def test_head_answers_as_get_without_a_body(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    gateway.owners.put("booking", PATH, booking(gateway))
    async with client.head(PATH) as response:
        assert (response.status, response.headers["ETag"], await response.read()) == (200, '"3"', b"")
