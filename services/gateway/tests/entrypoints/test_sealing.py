"""Keys of sealed fields: asked for only where something is sealed, and what is answered where they can't be had."""

from typing import Any
from uuid import uuid5

import aiohttp
import pytest

from gateway.application.sealing import kids_in
from gateway.testing import NAMESPACE, FakeGateway, fake_gateway, problem_of
from local_stack import clerk
from local_stack.clerk import Clerk
from production_contracts import commands
from production_contracts.commands import Command
from production_contracts.members import person_id
from production_contracts.outcomes import Outcome
from servicekit.settings import IssuerSettings

TENANT = uuid5(NAMESPACE, "org_acme")
BOOKING = uuid5(NAMESPACE, "a booking")
PATH = f"/v1/bookings/{BOOKING}"
NOTES = "by the back gate"
ASKED = {
    "artist_id": str(BOOKING),
    "start_time": "2027-05-08T20:00:00Z",
    "end_time": "2027-05-08T23:00:00Z",
    "title": "Spring tour",
}
Told = tuple[int, Any, str | None]
SECRET = "whsec_bG9jYWwtc3RhY2stb25seS13ZWJob29r"


@pytest.fixture(autouse=True)
def as_new(gateway: FakeGateway) -> None:
    gateway.keyring.away = False
    gateway.keyring.destroyed.clear()
    gateway.keyring.asked.clear()


def sealed(gateway: FakeGateway) -> dict[str, Any]:
    notes = gateway.vault.seal(TENANT, BOOKING, "notes", NOTES).model_dump()
    return {"id": str(BOOKING), "title": "t", "version": 3, "notes": notes}


async def call(
    client: aiohttp.ClientSession, method: str, path: str, body: object = None
) -> tuple[int, Any, str | None]:
    async with client.request(method, path, json=body) as response:
        retry_after = response.headers.get("Retry-After")
        if response.status >= 400:
            return response.status, problem_of(response, await response.read()), retry_after
        return response.status, await response.json(content_type=None), retry_after


async def test_what_holds_nothing_sealed_needs_no_key(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    gateway.keyring.away = True
    plain = {"id": str(BOOKING), "title": "t", "version": 3, "notes": None}
    gateway.owners.put("booking", PATH, plain)
    gateway.owners.put("booking", "/v1/bookings", {"items": [plain], "next_cursor": None})
    for method, path, body in (
        ("GET", PATH, None),
        ("GET", "/v1/bookings", None),
        ("POST", "/v1/bookings", ASKED),
        ("PATCH", PATH, {"title": "x", "notes": None}),
        ("POST", f"{PATH}/cancel", {"reason": "rain"}),
        ("POST", "/v1/artists", {"name": "Rosa"}),
    ):
        assert (await call(client, method, path, body))[0] in {200, 201}
    assert gateway.keyring.asked == []


async def test_while_keys_can_not_be_had_nothing_is_sealed_published_or_shown(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    gateway.keyring.away = True
    event = {"stream": "booking", "position": 3, "data": sealed(gateway)}
    gateway.owners.put("booking", PATH, sealed(gateway))
    gateway.owners.put("booking", "/v1/events", {"items": [event], "position": 3})
    for method, path, body in (
        ("POST", "/v1/bookings", ASKED | {"notes": NOTES}),
        ("PATCH", PATH, {"notes": NOTES}),
        ("GET", PATH, None),
        ("GET", "/v1/events?stream=booking", None),
    ):
        status, problem, retry_after = await call(client, method, path, body)
        assert (status, problem["type"], retry_after) == (503, "/problems/unavailable", "2")
        assert "command_id" not in problem
    assert gateway.kafka.sent == []


async def test_a_change_that_is_done_and_can_not_be_shown_names_its_command(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    gateway.keyring.away = True
    gateway.kafka.decide = lambda _: Outcome(status=200, body=sealed(gateway))
    status, problem, _ = await call(client, "PATCH", PATH, {"title": "x"})
    assert (status, len(gateway.kafka.sent)) == (503, 1)
    gateway.keyring.away = False
    command = gateway.kafka.sent[0]
    decided = {"command_id": str(command.id), "outcome": {"status": 200, "body": sealed(gateway)}, "position": 4}
    gateway.owners.put("booking", f"/v1/commands/{command.id}", decided)
    status, told, _ = await call(client, "GET", f"/v1/commands/{problem['command_id']}")
    assert (status, told["status"], told["outcome"]["body"]["notes"]) == (200, "accepted", NOTES)


async def test_what_is_sealed_with_keys_that_are_destroyed_is_neither_sealed_nor_shown(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    gateway.keyring.destroyed.add(TENANT)
    gateway.owners.put("booking", PATH, sealed(gateway))
    for method, path, body in (("GET", PATH, None), ("POST", "/v1/bookings", ASKED | {"notes": NOTES})):
        status, problem, _ = await call(client, method, path, body)
        assert (status, problem["type"]) == (403, "/problems/forbidden")
    assert gateway.kafka.sent == []


async def test_who_was_forgotten_while_a_page_was_read_has_no_name(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    people = {name: person_id(NAMESPACE, f"user_{name}") for name in ("ana", "ben")}
    items = [
        {"id": f"user_{name}", "name": gateway.vault.seal(person, person, "name", name).model_dump(), "email": None}
        for name, person in people.items()
    ]
    gateway.owners.put("tenancy", "/v1/members", {"items": items, "next_cursor": None})
    gateway.keyring.destroyed.add(people["ben"])
    _, page, _ = await call(client, "GET", "/v1/members")
    assert [member["name"] for member in page["items"]] == ["ana", None]
    assert sorted(gateway.keyring.asked) == sorted(people.values()), "of all on the page at once"


def names(told: list[Command]) -> list[type]:
    return [type(command.body.data) for command in told]


async def test_a_webhook_that_names_somebody_comes_again_while_keys_can_not_be_had_and_a_removal_is_taken(
    accepted: IssuerSettings,
) -> None:
    async with (
        fake_gateway(accepted, clerk_webhook_secrets=[SECRET]) as gateway,
        aiohttp.ClientSession() as session,
    ):
        gateway.kafka.decide = lambda command: Outcome(status=200, body={"id": str(command.aggregate_id)})
        tell = Clerk(session=session, gateway_url=gateway.url, secret=SECRET).tell
        gateway.keyring.away = True
        assert await tell("organizationMembership.created", clerk.membership("acme", "ben")) == 503
        assert await tell("user.updated", clerk.user("ben")) == 503
        assert gateway.kafka.sent == []
        assert await tell("organizationMembership.deleted", clerk.membership("acme", "ben")) == 200
        assert await tell("organization.deleted", {"id": "org_acme", "deleted": True}) == 200
        assert await tell("user.deleted", {"id": "user_ben", "deleted": True}) == 200
        gateway.keyring.away = False
        gateway.keyring.destroyed.add(person_id(NAMESPACE, "user_ben"))
        gateway.kafka.sent.clear()
        assert await tell("organizationMembership.created", clerk.membership("acme", "ben")) == 200
        assert await tell("user.updated", clerk.user("ben")) == 200
        assert names(gateway.kafka.sent) == [commands.RecordMember], "of who is forgotten no name is taken any more"


def test_keys_are_named_at_any_depth_and_what_has_none_by_none() -> None:
    one = {"kid": "a", "ct": "x"}
    document = {"notes": one, "contact": {"name": {"kid": "b", "ct": "y"}, "phone": None}, "list": [[{"ct": "z"}]]}
    assert list(kids_in({"items": [document, {"title": "kid"}]})) == ["a", "b", "None"]
