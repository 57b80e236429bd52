"""Webhooks: whose they are is proven by a signature, and what they tell becomes commands of tenancy."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from standardwebhooks import Webhook

from gateway.entrypoints import bodies
from gateway.testing import NAMESPACE, FakeGateway, fake_gateway, problem_of
from production_contracts import commands, members
from production_contracts.commands import Command
from production_contracts.outcomes import Outcome
from production_contracts.records import Record
from production_contracts.roles import Role
from servicekit.settings import IssuerSettings

SECRETS = ["whsec_" + "b2xk" * 8, "whsec_" + "bmV3" * 8]
PATH = "/v1/webhooks/clerk"
TENANT = members.tenant_id(NAMESPACE, "org_acme")
PERSON = members.person_id(NAMESPACE, "user_ben")
AT = datetime(2027, 5, 8, 20, tzinfo=UTC)
MS = int(AT.timestamp() * 1000)
ORGANISATION = {"id": "org_acme", "name": "Acme", "slug": "acme", "updated_at": MS - 1}
MEMBERSHIP = {
    "id": "orgmem_1",
    "organization": ORGANISATION,
    "public_user_data": {
        "user_id": "user_ben",
        "first_name": "Ben",
        "last_name": "Frost",
        "identifier": "ben@example.org",
    },
    "role": "org:member",
    "created_at": MS - 5,
    "updated_at": MS - 5,
}
INVITATION = {
    "id": "orginv_1",
    "organization_id": "org_acme",
    "role": "org:viewer",
    "email_address": "cleo@example.org",
}
USER = {
    "id": "user_ben",
    "first_name": "Ben",
    "last_name": None,
    "email_addresses": [
        {"id": "a", "email_address": "old@example.org"},
        {"id": "b", "email_address": "new@example.org"},
    ],
    "primary_email_address_id": "b",
}


@pytest.fixture(scope="module")
async def webhooks(accepted: IssuerSettings) -> AsyncIterator[FakeGateway]:
    async with fake_gateway(accepted, clerk_webhook_secrets=SECRETS, wait_seconds=0.2) as gateway:
        yield gateway


@pytest.fixture
async def session(webhooks: FakeGateway) -> AsyncIterator[aiohttp.ClientSession]:
    webhooks.kafka.decide = lambda command: Outcome(status=200, body={"id": str(command.aggregate_id)})
    webhooks.kafka.sent.clear()
    webhooks.kafka.away = False
    async with aiohttp.ClientSession(webhooks.url) as session:
        yield session


def signed(body: bytes, *, secret: str = SECRETS[1], at: datetime | None = None, id_: str = "msg_1") -> dict[str, str]:
    moment = at or datetime.now(UTC)
    return {
        "svix-id": id_,
        "svix-timestamp": str(int(moment.timestamp())),
        "svix-signature": Webhook(secret).sign(id_, moment, body.decode()),
        "content-type": "application/json",
    }


def told(kind: str, data: object, **more: object) -> bytes:
    return json.dumps({"object": "event", "type": kind, "timestamp": MS, "data": data} | more).encode()


async def send(session: aiohttp.ClientSession, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, str]:
    async with session.post(PATH, data=body, headers=headers or signed(body)) as response:
        raw = await response.read()
        return response.status, problem_of(response, raw)["type"].rpartition("/")[2] if response.status >= 400 else ""


def opened(gateway: FakeGateway, command: Command, field: str) -> str | None:
    sealed = getattr(command.body.data, field)
    return None if sealed is None else gateway.vault.open(PERSON, PERSON, field, sealed)


async def test_a_membership_becomes_a_member_and_a_person(
    session: aiohttp.ClientSession, webhooks: FakeGateway
) -> None:
    assert await send(session, told("organizationMembership.created", MEMBERSHIP)) == (200, "")
    member, person = webhooks.kafka.sent
    assert member.body.data == commands.RecordMember(
        sub="user_ben", role=Role.MEMBER, joined_at=AT - timedelta(milliseconds=5), as_of=AT
    )
    assert (member.tenant_id, member.aggregate_id) == (TENANT, members.member_id(TENANT, "user_ben"))
    assert (person.tenant_id, person.aggregate_id) == (PERSON, PERSON)
    assert (opened(webhooks, person, "name"), opened(webhooks, person, "email")) == ("Ben Frost", "ben@example.org")
    assert {(c.body.author.sub, c.body.author.role) for c in (member, person)} == {("clerk", Role.ADMIN)}
    keys = [c.body.idempotency.key for c in (member, person) if c.body.idempotency]
    assert keys == ["msg_1:0", "msg_1:1"]
    assert all(c.body.expires_at - datetime.now(UTC) > timedelta(days=6) for c in (member, person))


async def test_no_name_or_address_leaves_the_gateway_open(
    session: aiohttp.ClientSession, webhooks: FakeGateway
) -> None:
    for body in (
        told("organizationMembership.created", MEMBERSHIP),
        told("organizationInvitation.created", INVITATION),
        told("user.updated", USER),
    ):
        assert await send(session, body) == (200, "")
    everything = b"".join(record.value for record in webhooks.kafka.records)
    assert not any(word in everything for word in (b"example.org", b"Ben", b"Frost", b"cleo"))


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        (
            "organization.updated",
            ORGANISATION,
            commands.RecordTenant(org_id="org_acme", name="Acme", slug="acme", as_of=AT),
        ),
        ("organization.deleted", {"id": "org_acme", "deleted": True}, commands.DeleteTenant(as_of=AT)),
        ("organizationMembership.deleted", MEMBERSHIP, commands.RemoveMember(sub="user_ben", as_of=AT)),
        (
            "organizationInvitation.revoked",
            INVITATION | {"status": "pending"},
            commands.RecordInvitation(invitation="orginv_1", role=Role.VIEWER, status="revoked", as_of=AT),
        ),
        ("user.deleted", {"id": "user_ben", "deleted": True}, commands.ForgetPerson(sub="user_ben", as_of=AT)),
    ],
)
async def test_each_type_becomes_its_command(
    session: aiohttp.ClientSession, webhooks: FakeGateway, kind: str, data: object, expected: Record
) -> None:
    assert await send(session, told(kind, data)) == (200, "")
    assert [command.body.data for command in webhooks.kafka.sent] == [expected]


async def test_a_user_is_known_by_the_primary_address(session: aiohttp.ClientSession, webhooks: FakeGateway) -> None:
    assert await send(session, told("user.created", USER)) == (200, "")
    (person,) = webhooks.kafka.sent
    assert (opened(webhooks, person, "name"), opened(webhooks, person, "email")) == ("Ben", "new@example.org")


async def test_a_role_that_we_do_not_know_is_none(session: aiohttp.ClientSession, webhooks: FakeGateway) -> None:
    assert await send(session, told("organizationMembership.updated", MEMBERSHIP | {"role": "basic_member"})) == (
        200,
        "",
    )
    data = webhooks.kafka.sent[0].body.data
    assert isinstance(data, commands.RecordMember)
    assert data.role is None


async def test_without_a_time_of_its_own_that_of_the_object_counts(
    session: aiohttp.ClientSession, webhooks: FakeGateway
) -> None:
    assert await send(session, told("organization.created", ORGANISATION, timestamp=None)) == (200, "")
    data = webhooks.kafka.sent[0].body.data
    assert isinstance(data, commands.RecordTenant)
    assert data.as_of == AT - timedelta(milliseconds=1)


@pytest.mark.parametrize("kind", ["session.created", "organizationDomain.created", "whatever"])
async def test_an_unknown_type_is_accepted_and_nothing_comes_of_it(
    session: aiohttp.ClientSession, webhooks: FakeGateway, kind: str
) -> None:
    assert await send(session, told(kind, {"id": "x"})) == (200, "")
    assert webhooks.kafka.sent == []


@pytest.mark.parametrize("secret", SECRETS)
async def test_each_secret_of_a_rotation_counts(session: aiohttp.ClientSession, secret: str) -> None:
    body = told("user.deleted", {"id": "user_ben"})
    assert await send(session, body, signed(body, secret=secret)) == (200, "")


_BODY = told("organization.deleted", {"id": "org_acme"})


@pytest.mark.parametrize(
    "make_headers",  # made when the test runs: a timestamp of the collection is an old one by then
    [
        dict,
        lambda: signed(_BODY, secret="whsec_" + "YmFk" * 8),
        lambda: signed(_BODY, at=datetime.now(UTC) - timedelta(minutes=6)),
        lambda: signed(_BODY, at=datetime.now(UTC) + timedelta(minutes=6)),
        lambda: signed(_BODY + b" "),
        lambda: signed(_BODY) | {"svix-id": "msg_2"},
        lambda: signed(_BODY) | {"svix-signature": "v1"},
        lambda: signed(_BODY) | {"svix-signature": "v1,%%%"},
        lambda: signed(_BODY) | {"svix-signature": "v1a,AAAA"},
        lambda: signed(_BODY) | {"svix-timestamp": "soon"},
        lambda: signed(_BODY) | {"svix-timestamp": "nan"},
        lambda: signed(_BODY) | {"svix-timestamp": "1e400"},
        lambda: signed(_BODY) | {"svix-signature": "v1," + "A" * 2000},
    ],
)
async def test_what_is_not_signed_as_it_must_be_is_unauthenticated(
    session: aiohttp.ClientSession, webhooks: FakeGateway, make_headers: Callable[[], dict[str, str]]
) -> None:
    headers = make_headers() or {"content-type": "application/json"}
    assert await send(session, _BODY, headers) == (401, "unauthenticated")
    assert webhooks.kafka.sent == []


async def test_a_signed_body_that_is_no_text_or_no_object_is_refused(session: aiohttp.ClientSession) -> None:
    assert await send(session, b"[]") == (422, "invalid-request")
    assert await send(session, b"\xff", signed(b"")) == (401, "unauthenticated")
    assert await send(session, told("organization.created", {"name": "no id"})) == (422, "invalid-request")
    assert await send(session, told("organizationMembership.created", {"organization": {}})) == (422, "invalid-request")


@pytest.mark.parametrize(
    ("stated", "changes"),
    [
        ({"timestamp": None}, {"updated_at": 1e300}),
        ({"timestamp": None}, {"updated_at": "yesterday"}),
        ({"timestamp": "9999-12-31T23:59:59-23:59"}, {}),
        ({"timestamp": "2027-05-08T20:00:00"}, {}),
    ],
    ids=["no such time", "no time", "past the last year", "without an offset"],
)
async def test_a_signed_time_that_there_is_not_is_refused(
    session: aiohttp.ClientSession, stated: dict[str, Any], changes: dict[str, Any]
) -> None:
    body = told("user.deleted", {"id": "user_ben", **changes}, **stated)
    assert await send(session, body) == (422, "invalid-request")


async def test_a_role_that_is_no_text_is_none(session: aiohttp.ClientSession, webhooks: FakeGateway) -> None:
    assert await send(session, told("organizationMembership.created", MEMBERSHIP | {"role": []})) == (200, "")
    data = webhooks.kafka.sent[0].body.data
    assert isinstance(data, commands.RecordMember)
    assert data.role is None


async def test_a_body_too_large_is_refused_before_it_is_verified(session: aiohttp.ClientSession) -> None:
    body = told("organization.created", ORGANISATION | {"padding": "x" * 300_000})
    assert await send(session, body) == (413, "payload-too-large")


async def test_svix_sends_again_what_kafka_has_not_taken(session: aiohttp.ClientSession, webhooks: FakeGateway) -> None:
    webhooks.kafka.away = True
    assert await send(session, told("organization.created", ORGANISATION)) == (503, "unavailable")


async def test_what_kafka_has_and_nobody_decided_yet_is_accepted(
    session: aiohttp.ClientSession, webhooks: FakeGateway
) -> None:
    webhooks.kafka.decide = lambda _: None
    assert await send(session, told("organization.created", ORGANISATION)) == (202, "")


async def test_webhooks_whose_bodies_do_not_come_take_so_many_places_and_no_more(
    session: aiohttp.ClientSession, webhooks: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.5)
    monkeypatch.setattr("gateway.entrypoints.webhooks.MOST_IN_HAND", 1)
    host, port = webhooks.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".encode())
    answered = (200, "")
    while answered == (200, ""):  # until the one without a body has come
        answered = await send(session, told("organization.created", ORGANISATION))
    assert answered == (503, "unavailable")
    answer = (await reader.read()).decode()
    assert answer.startswith("HTTP/1.1 503 ")
    assert "\r\nretry-after: 1\r\n" in answer
    assert await send(session, told("organization.created", ORGANISATION)) == (200, "")
    writer.close()


async def test_without_secrets_there_are_no_webhooks(gateway: FakeGateway) -> None:
    async with aiohttp.ClientSession(gateway.url) as session:
        assert await send(session, _BODY) == (404, "not-found")


async def test_members_are_read_with_their_names_opened(gateway: FakeGateway, client: aiohttp.ClientSession) -> None:
    sealed = {
        field: gateway.vault.seal(PERSON, PERSON, field, text).model_dump()
        for field, text in (("name", "Ben Frost"), ("email", "ben@example.org"))
    }
    ben = {"id": "user_ben", "role": "org:member", "joined_at": None, "updated_at": "2027-05-08T20:00:00.000Z"}
    unnamed = ben | {"id": "user_x", "name": None, "email": None}
    gateway.owners.put("tenancy", "/v1/members", {"items": [ben | sealed, unnamed], "next_cursor": None})
    async with client.get("/v1/members", params={"limit": "2"}) as response:
        page = await response.json()
    assert page["items"] == [ben | {"name": "Ben Frost", "email": "ben@example.org"}, unnamed]
    assert gateway.owners.asked[0].query == {"limit": "2"}


async def test_a_name_sealed_for_somebody_else_is_not_shown(
    gateway: FakeGateway, client: aiohttp.ClientSession
) -> None:
    other = UUID(int=7)
    name = gateway.vault.seal(other, other, "name", "Eve").model_dump()
    gateway.owners.put("tenancy", "/v1/members", {"items": [{"id": "user_ben", "name": name}], "next_cursor": None})
    async with client.get("/v1/members") as response:
        assert problem_of(response, await response.read())["type"] == "/problems/unavailable"
