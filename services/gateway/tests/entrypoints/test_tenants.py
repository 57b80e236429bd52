"""The tenant itself: shown with its version, and deleted only by who may, and who names it."""

from typing import Any
from uuid import uuid4, uuid5

import aiohttp
import pytest

from gateway.testing import NAMESPACE, FakeGateway, problem_of
from local_stack.issuer import Issuer
from production_contracts import problems
from production_contracts.commands import CloseTenant, Command
from production_contracts.outcomes import Outcome
from production_contracts.problems import problem_body

PATH = "/v1/tenant"
TENANT = uuid5(NAMESPACE, "org_acme")
OTHER = uuid5(NAMESPACE, "org_other")
SHOWN = {"id": str(TENANT), "name": "Acme", "status": "active", "version": 3}


def deleted(_: Command) -> Outcome:
    return Outcome(status=200, body=SHOWN | {"status": "deleted", "version": 4})


async def delete(
    client: aiohttp.ClientSession,
    confirm: object = TENANT,
    **more: Any,  # noqa: ANN401 - as aiohttp takes it
) -> tuple[aiohttp.ClientResponse, Any]:
    async with client.delete(PATH, params={"confirm": str(confirm)}, **more) as response:
        return response, await response.json(content_type=None)


async def test_it_is_shown_with_its_version_as_tag(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    gateway.owners.put("tenancy", PATH, SHOWN)
    async with client.get(PATH) as response:
        assert (response.status, response.headers["ETag"], await response.json()) == (200, '"3"', SHOWN)
    async with client.get(PATH, headers={"If-None-Match": '"3"'}) as response:
        assert response.status == 304


async def test_an_admin_deletes_it_by_its_id(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    gateway.kafka.decide = deleted
    response, body = await delete(client, headers={"If-Match": '"3"', "Idempotency-Key": "k"})
    assert (response.status, response.headers["ETag"], body["status"]) == (200, '"4"', "deleted")
    assert response.headers["Position"] == "41"
    (command,) = gateway.kafka.sent
    assert command.body.data == CloseTenant()
    assert (command.tenant_id, command.aggregate_id, command.body.expected_versions) == (TENANT, TENANT, [3])
    assert command.body.idempotency is not None


async def test_the_deletion_can_be_asked_for_later(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    gateway.kafka.decide = lambda _: None
    response, body = await delete(client, headers={"Prefer": "respond-async"})
    assert (response.status, body["status"]) == (202, "pending")
    assert response.headers["Location"] == f"/v1/commands/{body['id']}"


@pytest.mark.parametrize("query", ["", "?confirm=", f"?confirm={OTHER}", "?confirm=acme", f"?confirm={TENANT}&x=1"])
async def test_without_its_id_nothing_is_deleted(
    client: aiohttp.ClientSession, gateway: FakeGateway, query: str
) -> None:
    async with client.delete(PATH + query) as response:
        problem = problem_of(response, await response.read())
    assert (response.status, problem["type"]) == (422, "/problems/invalid-request")
    assert problem["errors"][0]["pointer"] == ("#/query/x" if "x=1" in query else "#/query/confirm")
    assert gateway.kafka.sent == []


@pytest.mark.parametrize("role", ["member", "viewer"])
async def test_nobody_but_an_admin_deletes_it(
    client: aiohttp.ClientSession, gateway: FakeGateway, issuer: Issuer, role: str
) -> None:
    headers = {"Authorization": f"Bearer {issuer.token(role=role)}"}
    response, problem = await delete(client, headers=headers)
    assert (response.status, problem["type"]) == (403, "/problems/forbidden")
    assert [command.type.is_refusal for command in gateway.kafka.sent] == [True]


async def test_an_admin_of_another_tenant_deletes_it_under_no_name(
    client: aiohttp.ClientSession, gateway: FakeGateway, issuer: Issuer
) -> None:
    headers = {"Authorization": f"Bearer {issuer.token(tenant='other')}"}
    answers = [await delete(client, confirm, headers=headers) for confirm in (TENANT, uuid4())]
    assert [response.status for response, _ in answers] == [422, 422]
    assert answers[0][1] == answers[1][1], "whether there is such a tenant is not told"
    assert gateway.kafka.sent == []


async def test_a_body_with_something_in_it_is_refused(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    response, problem = await delete(client, json={"name": "Acme"})
    assert (response.status, problem["errors"][0]["pointer"]) == (422, "#/name")
    assert gateway.kafka.sent == []


async def test_a_refusal_is_told_as_it_was_decided(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    kind = problems.VERSION_MISMATCH
    gateway.kafka.decide = lambda _: Outcome(status=kind.status, body=problem_body(kind, "It is at version 4."))
    response, problem = await delete(client, headers={"If-Match": '"3"'})
    assert (response.status, problem["detail"]) == (412, "It is at version 4.")


async def test_other_methods_are_told_what_there_is(client: aiohttp.ClientSession) -> None:
    async with client.post(PATH) as response:
        assert response.status == 405
        assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "DELETE"}
