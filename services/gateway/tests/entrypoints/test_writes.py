"""Writes: from a request to a command, and from its outcome to the answer."""

import json
from typing import Any
from uuid import NAMESPACE_DNS, UUID, uuid4, uuid5

import aiohttp
import pytest

from gateway.testing import NAMESPACE, FakeGateway, problem_of
from local_stack.issuer import Issuer
from production_contracts import problems
from production_contracts.commands import AmendBooking, Command, CreateBooking
from production_contracts.outcomes import Outcome
from production_contracts.problems import ProblemType, problem_body
from servicekit.vault import SealBrokenError

# Not random: they stand in the names of tests, which have to be the same on every worker.
BOOKING = uuid5(NAMESPACE_DNS, "booking.example")
ASKED: dict[str, Any] = {
    "artist_id": str(uuid4()),
    "start_time": "2027-05-08T22:00:00+02:00",
    "end_time": "2027-05-08T23:30:00.500Z",
    "title": "Spring tour",
}


async def post(
    client: aiohttp.ClientSession,
    path: str,
    body: Any = None,  # noqa: ANN401 - any JSON
    **headers: str,
) -> tuple[aiohttp.ClientResponse, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.post(path, json=body, headers=named) as response:
        return response, await response.json(content_type=None)


def refuse(kind: ProblemType, **members: Any) -> Any:  # noqa: ANN401 - extension members
    return lambda _: Outcome(status=kind.status, body=problem_body(kind, "No.", **members))


async def test_a_booking_is_made_once_and_answers_where_it_stands(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    response, body = await post(client, "/v1/bookings", ASKED)
    (command,) = gateway.kafka.sent
    assert response.status == 201
    assert body["id"] == str(command.aggregate_id)
    assert UUID(body["id"]).version == 7
    assert response.headers["Location"] == f"/v1/bookings/{body['id']}"
    assert (response.headers["ETag"], response.headers["Position"]) == ('"1"', "41")
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert command.tenant_id == uuid5(NAMESPACE, "org_acme")
    data = command.body.data
    assert isinstance(data, CreateBooking)
    assert (data.status, data.model_fields_set & {"venue", "notes"}) == ("pencil", set())
    assert body["start_time"] == "2027-05-08T20:00:00.000Z"


async def test_notes_travel_sealed_and_come_back_open(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    _, body = await post(client, "/v1/bookings", ASKED | {"notes": "by the back gate"})
    assert body["notes"] == "by the back gate"
    assert b"back gate" not in gateway.kafka.records[0].value


CONTACT: dict[str, Any] = {"name": "Ana Sommer", "email": "ana@example.org", "phone": "+49 30 12345678"}
FEE: dict[str, Any] = {"amount": 150_000, "currency": "SEK"}


async def test_contact_and_fee_travel_sealed_and_come_back_open(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    _, body = await post(client, "/v1/bookings", ASKED | {"contact": CONTACT, "fee": FEE})
    assert (body["contact"], body["fee"]) == (CONTACT, FEE)
    for secret in (b"Ana", b"example", b"12345678", b"150", b"SEK"):
        assert secret not in json.dumps(json.loads(gateway.kafka.records[0].value)["data"]).encode()
    data = gateway.kafka.sent[0].body.data
    assert isinstance(data, CreateBooking)
    assert (data.contact is None, data.fee is None) == (False, False)


async def test_each_leaf_is_sealed_for_its_own_place(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    _, body = await post(client, "/v1/bookings", ASKED | {"contact": CONTACT, "fee": FEE})
    data = gateway.kafka.sent[0].body.data
    assert isinstance(data, CreateBooking)
    assert data.contact is not None
    assert data.contact.email is not None
    tenant, booking = gateway.kafka.sent[0].tenant_id, UUID(body["id"])
    assert gateway.vault.open(tenant, booking, "contact.email", data.contact.email) == CONTACT["email"]
    with pytest.raises(SealBrokenError):
        gateway.vault.open(tenant, booking, "contact.phone", data.contact.email)


async def test_a_patch_seals_the_members_that_it_names_and_clears_with_null(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    patches: list[dict[str, Any]] = [
        {"contact": {"email": None, "phone": "110"}},
        {"contact": {}},
        {"contact": None, "fee": None},
    ]
    for patch in patches:
        async with client.patch(f"/v1/bookings/{BOOKING}", json=patch) as response:
            assert (await response.json()).items() >= patch.items()
    stated = [command.body.data.model_dump(exclude_unset=True) for command in gateway.kafka.sent]
    assert stated[0]["contact"].keys() == {"email", "phone"}
    assert stated[0]["contact"]["email"] is None
    assert stated[1:] == patches[1:]


async def test_the_same_contact_and_fee_again_are_the_same_to_the_service(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    for _ in range(2):
        async with client.patch(f"/v1/bookings/{BOOKING}", json={"contact": CONTACT, "fee": FEE}) as response:
            assert (await response.json())["contact"] == CONTACT
    first, second = gateway.kafka.sent
    assert first.body.data == second.body.data


async def test_the_same_notes_again_are_the_same_to_the_service(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    for _ in range(2):
        async with client.patch(f"/v1/bookings/{BOOKING}", json={"notes": "by the back gate"}) as response:
            assert (await response.json())["notes"] == "by the back gate"
    first, second = gateway.kafka.sent
    assert first.body.data == second.body.data


async def test_a_patch_says_only_what_was_given(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    patch = '{"venue": null, "notes": null}'
    headers = {"Content-Type": "application/merge-patch+json"}
    async with client.patch(f"/v1/bookings/{BOOKING}", data=patch, headers=headers) as response:
        assert response.status == 200
    data = gateway.kafka.sent[0].body.data
    assert isinstance(data, AmendBooking)
    assert data.model_fields_set == {"venue", "notes"}
    assert data.notes is None


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        ("confirm", None, "production.booking.confirm.v1"),
        ("confirm", {}, "production.booking.confirm.v1"),
        ("cancel", None, "production.booking.cancel.v1"),
        ("cancel", {"reason": "ill"}, "production.booking.cancel.v1"),
        (
            "reschedule",
            {name: ASKED[name] for name in ("start_time", "end_time")},
            "production.booking.reschedule.v1",
        ),
    ],
)
async def test_each_verb_is_its_command(
    client: aiohttp.ClientSession, gateway: FakeGateway, path: str, body: dict[str, str] | None, name: str
) -> None:

    async with client.post(f"/v1/bookings/{BOOKING}/{path}", json=body) as response:
        assert (response.status, response.headers["ETag"]) == (200, '"2"')
    (command,) = gateway.kafka.sent
    assert (command.type.name, command.aggregate_id) == (name, BOOKING)
    assert command.body.data.model_dump(exclude_unset=True, mode="json").get("reason") == (body or {}).get("reason")


async def test_the_roster_is_tenancys(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    response, body = await post(client, "/v1/artists", {"name": "The Weather Girls", "time_zone": "Europe/Berlin"})
    assert (response.status, response.headers["Location"]) == (201, f"/v1/artists/{body['id']}")
    async with client.patch(f"/v1/artists/{body['id']}", json={"time_zone": None}) as response:
        assert response.status == 200
    async with client.post(f"/v1/artists/{body['id']}/archive") as response:
        assert response.status == 200
    assert [command.type.name for command in gateway.kafka.sent] == [
        "production.artist.create.v1",
        "production.artist.amend.v1",
        "production.artist.archive.v1",
    ]
    assert {record.topic for record in gateway.kafka.records} == {"tenancy.commands.v1"}


@pytest.mark.parametrize(
    "kind",
    [
        problems.BOOKING_CONFLICT,
        problems.NOT_FOUND,
        problems.INVALID_TRANSITION,
        problems.ARTIST_ARCHIVED,
        problems.VERSION_MISMATCH,
        problems.IDEMPOTENCY_KEY_REUSED,
        problems.FORBIDDEN,
        problems.EXPIRED,
        problems.UNAVAILABLE,
    ],
)
async def test_a_refusal_answers_as_the_problem_that_it_is(
    client: aiohttp.ClientSession, gateway: FakeGateway, kind: ProblemType
) -> None:
    gateway.kafka.decide = refuse(kind, conflicts=[{"booking_id": str(BOOKING)}])
    async with client.post("/v1/bookings", json=ASKED) as response:
        problem = problem_of(response, await response.read())
    assert problem == problem_body(kind, "No.", conflicts=[{"booking_id": str(BOOKING)}])
    assert response.headers["Position"] == "41"
    assert ("Retry-After" in response.headers) == (kind is problems.UNAVAILABLE)
    assert "ETag" not in response.headers


async def test_who_does_not_wait_is_told_where_to_ask(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    response, body = await post(client, "/v1/bookings", ASKED, Prefer="respond-async")
    assert response.status == 202
    assert response.headers["Preference-Applied"] == "respond-async"
    assert response.headers["Location"] == f"/v1/commands/{body['id']}"
    assert body == {"id": body["id"], "status": "pending", "outcome": None}
    assert gateway.kafka.sent[0].reply_partition is None


async def test_an_outcome_that_does_not_come_is_202_after_the_wait(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    def nobody(_: Command) -> None:
        return None

    gateway.kafka.decide = nobody
    async with client.post("/v1/bookings", json=ASKED, headers={"Prefer": "respond-async, wait=1"}) as response:
        assert (response.status, response.headers["Preference-Applied"]) == (202, "respond-async, wait=1")


async def test_if_match_says_which_versions_are_expected(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    for if_match, expected in [('"3"', [3]), ('"3", W/"4"', [3]), ('W/"4"', []), ("*", None)]:
        gateway.kafka.sent.clear()
        await post(client, f"/v1/bookings/{BOOKING}/cancel", {}, If_Match=if_match)
        assert gateway.kafka.sent[0].body.expected_versions == expected


async def test_the_same_request_has_the_same_fingerprint(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    later = ASKED | {"start_time": "2027-05-08T20:00:00.000Z"}
    requests: list[tuple[Any, dict[str, str]]] = [
        (ASKED, {}),
        (dict(reversed(ASKED.items())), {}),
        (later, {}),
        (ASKED | {"title": "Other"}, {}),
        (ASKED | {"status": "pencil"}, {}),
        (ASKED | {"fee": FEE, "contact": CONTACT}, {}),
        (ASKED | {"contact": dict(reversed(CONTACT.items())), "fee": dict(reversed(FEE.items()))}, {}),
        (ASKED | {"fee": FEE | {"amount": 150_001}, "contact": CONTACT}, {}),
    ]
    for body, headers in requests:
        await post(client, "/v1/bookings", body, Idempotency_Key="k-1", **headers)
    stated = [command.body.idempotency for command in gateway.kafka.sent]
    prints = [one.fingerprint for one in stated if one is not None and one.key == "k-1"]
    assert len(prints) == len(requests)
    assert prints[0] == prints[1] == prints[2]
    assert prints[5] == prints[6]
    assert len(set(prints)) == 5


async def test_a_fingerprint_covers_if_match_and_an_absent_body_is_an_empty_one(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    path = f"/v1/bookings/{BOOKING}/confirm"
    async with client.post(path, headers={"Idempotency-Key": "k"}):
        pass
    await post(client, path, {}, Idempotency_Key="k")
    await post(client, path, {}, Idempotency_Key="k", If_Match='"1"')
    prints = [one.fingerprint for one in (command.body.idempotency for command in gateway.kafka.sent) if one]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Idempotency-Key", ""),
        ("Idempotency-Key", "x" * 256),
        ("Idempotency-Key", "a b"),
        ("Idempotency-Key", "\u00e9"),
        ("If-Match", "3"),
        ("If-Match", '"3'),
        ("If-Match", ""),
    ],
)
async def test_a_malformed_header_is_pointed_at(
    client: aiohttp.ClientSession, gateway: FakeGateway, name: str, value: str
) -> None:
    async with client.post(f"/v1/bookings/{BOOKING}/confirm", headers={name: value}) as response:
        problem = problem_of(response, await response.read())
    assert problem["errors"][0]["pointer"] == f"#/header/{name.lower()}"
    assert gateway.kafka.sent == []


async def test_authorisation_comes_before_the_body(gateway: FakeGateway, issuer: Issuer) -> None:
    async with aiohttp.ClientSession(gateway.url) as session:
        for token, status in [(None, 401), (issuer.token(role="viewer"), 403), (issuer.token(role="member"), 422)]:
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            async with session.post("/v1/bookings", data=b"{", headers=headers | JSON) as response:
                problem_of(response, await response.read())
                assert response.status == status
    assert [command for command in gateway.kafka.sent if not command.type.is_refusal] == []


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(("role", "status"), [("admin", 201), ("member", 403), ("viewer", 403)])
async def test_only_an_admin_writes_the_roster(gateway: FakeGateway, issuer: Issuer, role: str, status: int) -> None:
    headers = {"Authorization": f"Bearer {issuer.token(role=role)}"}
    async with aiohttp.ClientSession(gateway.url, headers=headers) as session:
        response, _ = await post(session, "/v1/artists", {"name": "x"})
    assert response.status == status


@pytest.mark.parametrize("path", ["7", "not-an-id", str(BOOKING).replace("-", ""), f"{BOOKING}x", f"{{{BOOKING}}}"])
async def test_a_malformed_id_is_an_address_at_which_nothing_is(
    client: aiohttp.ClientSession, gateway: FakeGateway, path: str
) -> None:
    async with client.patch(f"/v1/bookings/{path}", json={"title": "x"}) as response:
        assert problem_of(response, await response.read())["type"] == "/problems/not-found"
    assert gateway.kafka.sent == []


async def test_kafka_away_is_unavailable_and_readable(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    gateway.kafka.away = True
    try:
        async with client.post("/v1/bookings", json=ASKED) as response:
            problem = problem_of(response, await response.read())
    finally:
        gateway.kafka.away = False
    assert (problem["type"], response.headers["Retry-After"]) == ("/problems/unavailable", "2")
    assert "command_id" not in problem


async def test_a_caller_who_hangs_up_changes_nothing(gateway: FakeGateway, issuer: Issuer) -> None:
    held: list[Command] = []
    gateway.kafka.decide = held.append
    while not gateway.kafka.arrivals.empty():
        gateway.kafka.arrivals.get_nowait()
    timeout = aiohttp.ClientTimeout(total=0.3)
    headers = {"Authorization": f"Bearer {issuer.token()}"}
    async with aiohttp.ClientSession(gateway.url, headers=headers, timeout=timeout) as session:
        with pytest.raises(TimeoutError):
            await post(session, "/v1/bookings", ASKED)
    command = await gateway.kafka.arrivals.get()
    assert gateway.kafka.waiting == 1
    gateway.kafka.reply(command, Outcome(status=201, body={"id": str(BOOKING), "version": 1}))
