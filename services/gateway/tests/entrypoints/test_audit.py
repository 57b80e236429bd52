"""The audit trail at the gateway: from where a call came, calls that are refused, and who may read the trail."""

import asyncio
from collections.abc import AsyncIterator
from uuid import NAMESPACE_DNS, uuid5

import aiohttp
import pytest

from gateway.application import refusals
from gateway.testing import NAMESPACE, FakeGateway, problem_of, stated_settings
from local_stack.issuer import Issuer
from production_contracts import events
from production_contracts.audit import LONGEST_AGENT, CallOrigin
from production_contracts.commands import Command, RefusedBookingCall, RefusedTenancyCall
from production_contracts.envelope import ReceivedEvent
from production_contracts.roles import Role
from servicekit.removals import Removals
from servicekit.settings import IssuerSettings
from servicekit.testing import running
from servicekit.tokens import TokenVerifier

TENANT = uuid5(NAMESPACE, "org_acme")
BOOKING = uuid5(NAMESPACE_DNS, "booking.example")
NIGHT = {"start_time": "2027-05-08T20:00:00Z", "end_time": "2027-05-08T23:00:00Z", "title": "x"}
PAGE = {"items": [], "sequence": 0, "begins_at": 0}


async def arrives(gateway: FakeGateway) -> Command:
    async with asyncio.timeout(30):
        return await gateway.kafka.arrivals.get()


@pytest.fixture
def refused(gateway: FakeGateway) -> FakeGateway:
    """The gateway, of whose Kafka nothing waits to be looked at."""
    while not gateway.kafka.arrivals.empty():
        gateway.kafka.arrivals.get_nowait()
    return gateway


def bearer(issuer: Issuer, role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {issuer.token(role=role)}"}


async def test_a_command_says_from_where_it_comes(client: aiohttp.ClientSession, gateway: FakeGateway) -> None:
    agent = "x" * (LONGEST_AGENT + 1)
    for stated, told in (("curl/8.5.0", "curl/8.5.0"), ("a\tb \u00fc", "a?b ??"), (agent, agent[:-1])):
        gateway.kafka.sent.clear()
        async with client.post("/v1/artists", json={"name": "x"}, headers={"User-Agent": stated}) as response:
            assert response.status == 201
        (command,) = gateway.kafka.sent
        assert command.body.author.origin == CallOrigin(channel="api", address="127.0.0.1", agent=told)


@pytest.mark.parametrize(
    ("proxies", "address"),
    [([], "127.0.0.1"), (["127.0.0.1"], "203.0.113.9"), (["127.0.0.0/8"], "203.0.113.9"), (["10.0.0.1"], "127.0.0.1")],
)
async def test_who_is_behind_a_proxy_is_who_a_trusted_one_says(
    accepted: IssuerSettings, issuer: Issuer, proxies: list[str], address: str
) -> None:
    settings = stated_settings(auth_issuers=[accepted])
    gateway = FakeGateway(settings, TokenVerifier.of(settings))
    headers = bearer(issuer, "admin") | {"X-Forwarded-For": "198.51.100.7, 203.0.113.9"}
    async with (
        running(gateway.app, http_trusted_proxies=proxies) as url,
        aiohttp.ClientSession(url, headers=headers) as session,
        session.post("/v1/artists", json={"name": "x"}) as response,
    ):
        assert response.status == 201
    origin = gateway.kafka.sent[-1].body.author.origin
    assert origin is not None
    assert origin.address == address, "the last one before us counts, whatever a client wrote in front of it"


@pytest.mark.parametrize(
    ("method", "path", "operation", "about", "data"),
    [
        ("POST", "/v1/bookings", "POST /v1/bookings", TENANT, RefusedBookingCall),
        ("PATCH", f"/v1/bookings/{BOOKING}", "PATCH /v1/bookings/{id}", BOOKING, RefusedBookingCall),
        ("POST", f"/v1/bookings/{BOOKING}/cancel", "POST /v1/bookings/{id}/cancel", BOOKING, RefusedBookingCall),
        ("POST", "/v1/artists", "POST /v1/artists", TENANT, RefusedTenancyCall),
        ("PATCH", "/v1/artists/nonsense", "PATCH /v1/artists/{id}", TENANT, RefusedTenancyCall),
        ("GET", "/v1/audit?stream=booking", "GET /v1/audit", TENANT, RefusedBookingCall),
        ("GET", "/v1/audit?stream=tenancy", "GET /v1/audit", TENANT, RefusedTenancyCall),
    ],
)
async def test_a_call_that_its_role_may_not_make_is_on_record(
    refused: FakeGateway, issuer: Issuer, method: str, path: str, operation: str, about: object, data: type
) -> None:
    async with (
        aiohttp.ClientSession(refused.url, headers=bearer(issuer, "viewer")) as session,
        session.request(method, path, data=b"whatever") as response,
    ):
        assert problem_of(response, await response.read())["type"] == "/problems/forbidden"
    command = await arrives(refused)
    assert type(command.body.data) is data
    assert command.body.data.model_dump() == {"operation": operation}
    assert (command.tenant_id, command.aggregate_id, command.reply_partition) == (TENANT, about, None)
    author = command.body.author
    assert (author.role, author.origin and author.origin.address) == (Role.VIEWER, "127.0.0.1")
    assert refused.kafka.records[-1].topic == f"{command.type.service}.commands.v1"
    assert refused.owners.asked == []


@pytest.fixture
async def gone(issuer: Issuer, accepted: IssuerSettings) -> AsyncIterator[FakeGateway]:
    """A gateway that knows a tenant as deleted, and lets a user ask twice."""
    removals = Removals("unused:1", "test", 1, longest_token_seconds=3600)
    removals._loaded.set()
    told = {"data": {}, "position": 1}
    removals._book.take(ReceivedEvent(tenant_id=TENANT, type=events.TENANT_DELETED, position=1, event=told))
    settings = stated_settings(auth_issuers=[accepted], rate_limit_user="2/second")
    made = FakeGateway(settings, TokenVerifier.of(settings, removals))
    async with running(made.app) as made.url:
        yield made


async def test_who_is_removed_is_on_record_and_held_to_the_rate_limits(gone: FakeGateway, issuer: Issuer) -> None:
    async with aiohttp.ClientSession(gone.url, headers=bearer(issuer, "admin")) as session:
        statuses = []
        for _ in range(3):
            async with session.get(f"/v1/bookings/{BOOKING}") as response:
                statuses.append(response.status)
    assert statuses == [403, 403, 429]
    for _ in range(2):
        command = await arrives(gone)
        assert command.body.data == RefusedBookingCall(operation="GET /v1/bookings/{id}")
    assert gone.kafka.arrivals.empty(), "what is one too many was never an operation"


async def test_nobody_whom_we_do_not_know_is_on_record(refused: FakeGateway, issuer: Issuer) -> None:
    async with aiohttp.ClientSession(refused.url) as session:
        for headers, status in (({}, 401), ({"Authorization": "Bearer x"}, 401), (bearer(issuer, "admin"), 422)):
            async with session.post("/v1/bookings", json={}, headers=headers) as response:
                assert response.status == status
    assert refused.kafka.arrivals.empty()


async def test_a_refusal_is_answered_though_kafka_is_away_and_counted_as_lost(
    refused: FakeGateway, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = refusals.REFUSALS.labels("lost")
    before = lost._value.get()
    monkeypatch.setattr(refused.kafka, "away", True)
    async with aiohttp.ClientSession(refused.url, headers=bearer(issuer, "viewer")) as session:
        async with session.post("/v1/bookings", json=NIGHT) as response:
            assert response.status == 403
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "refusal"))
        assert lost._value.get() == before + 1
        monkeypatch.setattr(refused.kafka, "away", False)
        monkeypatch.setattr(refusals, "MOST_IN_HAND", 0)
        async with session.post("/v1/bookings", json=NIGHT) as response:
            assert response.status == 403
    assert lost._value.get() == before + 2
    assert refused.kafka.arrivals.empty()


async def test_an_admin_reads_the_trail_of_the_stream_that_is_asked_for(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    entry = {"sequence": 8, "data": {"notes": {"kid": "k1", "ct": "sealed"}}}
    gateway.owners.put("booking", "/v1/audit", PAGE | {"items": [entry], "sequence": 8})
    gateway.owners.put("tenancy", "/v1/audit", PAGE)
    query = {"stream": "booking", "after": "7", "limit": "500"}
    async with client.get("/v1/audit", params=query, headers={"Min-Position": "3"}) as response:
        assert (await response.json())["items"] == [entry], "sealed fields stay as they are chained"
        assert response.headers["Position"] == "41"
        tag = response.headers["ETag"]
    (asked,) = gateway.owners.asked
    assert (asked.service, asked.query["after"], asked.query["limit"]) == ("booking", "7", "500")
    assert asked.headers["Min-Position"] == "3"
    async with client.get("/v1/audit", params=query, headers={"If-None-Match": tag}) as response:
        assert response.status == 304
    async with client.get("/v1/audit?stream=tenancy") as response:
        assert await response.json() == PAGE


@pytest.mark.parametrize("query", ["", "?stream=other", "?stream=booking&after=-1", "?stream=booking&limit=501"])
async def test_the_trail_is_asked_for_as_the_contract_says(client: aiohttp.ClientSession, query: str) -> None:
    async with client.get(f"/v1/audit{query}") as response:
        assert problem_of(response, await response.read())["type"] == "/problems/invalid-request"


@pytest.mark.parametrize("role", ["member", "viewer"])
async def test_nobody_but_an_admin_reads_the_trail(gateway: FakeGateway, issuer: Issuer, role: str) -> None:
    gateway.owners.put("booking", "/v1/audit", PAGE)
    async with (
        aiohttp.ClientSession(gateway.url, headers=bearer(issuer, role)) as session,
        session.get("/v1/audit?stream=booking") as response,
    ):
        assert problem_of(response, await response.read())["type"] == "/problems/forbidden"
    assert gateway.owners.asked == []
