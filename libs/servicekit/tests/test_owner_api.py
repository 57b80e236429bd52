"""The read API of a stream, over HTTP with real tokens."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4, uuid5

import aiohttp
import psycopg
import pytest
from fastapi import FastAPI
from libs.servicekit.tests.broker import until
from libs.servicekit.tests.store import happen, stored

from local_stack.databases import Database as FreshDatabase
from local_stack.issuer import Issuer
from production_contracts.roles import Permission
from servicekit import journal, owner_api, problems
from servicekit.audit import chain
from servicekit.database import Database
from servicekit.owner_api import Owner, journal_routes
from servicekit.settings import IssuerSettings
from servicekit.testing import running
from servicekit.tokens import TokenVerifier

NAMESPACE = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


@dataclass
class Answer:
    status: int
    body: Any
    headers: Any


@dataclass
class Api:
    """The API of one stream, and who asks it."""

    url: str
    http: aiohttp.ClientSession
    issuer: Issuer
    database: Database

    async def get(self, path: str, org: str, *, role: str = "viewer", at_least: int | None = None) -> Answer:
        headers = {"Authorization": f"Bearer {self.issuer.token(tenant=org, role=role)}"}
        if at_least is not None:
            headers["Min-Position"] = str(at_least)
        async with self.http.get(self.url + path, headers=headers) as response:
            return Answer(response.status, await response.json(content_type=None), response.headers)


def new_tenant() -> tuple[str, UUID]:
    """An organisation and the id of its tenant."""
    org = uuid4().hex
    return org, uuid5(NAMESPACE, f"org_{org}")


@pytest.fixture(scope="module")
async def fresh(fresh_database: Callable[..., FreshDatabase]) -> AsyncIterator[FreshDatabase]:
    with fresh_database("booking") as made:
        yield made


async def serving(
    fresh: FreshDatabase, issuer: Issuer, *, after_publication: bool, replica: str | None = None
) -> AsyncIterator[Api]:
    database = Database(fresh.url, replica=replica)
    issuers = [IssuerSettings(issuer=issuer.url, jwks_url=issuer.jwks_url, namespace=NAMESPACE)]
    verifier = TokenVerifier(issuers)
    app = FastAPI(openapi_url=None)
    owner = Owner("booking", database, verifier, Permission.BOOKINGS_READ)
    app.include_router(journal_routes(owner, answers_after_publication=after_publication))
    problems.install(app)
    owner_api.install(app)
    await verifier.start()
    async with running(app) as url, aiohttp.ClientSession() as http:
        yield Api(url, http, issuer, database)
    await verifier.stop()
    await database.stop()


@pytest.fixture(scope="module")
async def api(fresh: FreshDatabase, issuer: Issuer) -> AsyncIterator[Api]:
    async for made in serving(fresh, issuer, after_publication=False):
        yield made


@pytest.fixture(scope="module")
async def careful_api(fresh: FreshDatabase, issuer: Issuer) -> AsyncIterator[Api]:
    """One that tells no outcome before its events are on Kafka."""
    async for made in serving(fresh, issuer, after_publication=True):
        yield made


async def test_events_are_paged_in_order_from_any_position(api: Api) -> None:
    org, tenant = new_tenant()
    await happen(api.database, tenant, 7)
    found, after = [], 0
    while True:
        answer = await api.get(f"/v1/events?after={after}&limit=3", org)
        assert answer.status == 200
        assert answer.headers["Position"] == "7"
        if not answer.body["items"]:
            break
        found += answer.body["items"]
        after = answer.body["position"]
        assert after == found[-1]["position"]
    assert found == await stored(api.database, tenant)
    assert [event["position"] for event in found] == [1, 2, 3, 4, 5, 6, 7]


async def test_past_the_head_there_is_nothing_and_the_position_is_the_heads(api: Api) -> None:
    org, tenant = new_tenant()
    assert (await api.get("/v1/events", org)).body == {"items": [], "position": 0}
    await happen(api.database, tenant, 2)
    assert (await api.get("/v1/events?after=2", org)).body == {"items": [], "position": 2}
    ahead = await api.get("/v1/events?after=99", org)
    assert (ahead.body, ahead.headers["Position"]) == ({"items": [], "position": 2}, "2")


async def test_a_page_holds_a_hundred_events_unless_told_otherwise_and_five_hundred_at_most(api: Api) -> None:
    org, tenant = new_tenant()
    await happen(api.database, tenant, 501)
    assert len((await api.get("/v1/events", org)).body["items"]) == 100
    assert len((await api.get("/v1/events?limit=500", org)).body["items"]) == 500


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "#/query/limit"),
        ("limit=501", "#/query/limit"),
        ("limit=ten", "#/query/limit"),
        ("after=-1", "#/query/after"),
        ("after=9223372036854775808", "#/query/after"),
        ("after=1.5", "#/query/after"),
    ],
)
async def test_a_page_that_can_not_be_is_an_invalid_request(api: Api, query: str, pointer: str) -> None:
    answer = await api.get(f"/v1/events?{query}", new_tenant()[0])
    assert (answer.status, answer.body["type"]) == (422, "/problems/invalid-request")
    assert [error["pointer"] for error in answer.body["errors"]] == [pointer]


async def test_a_tenant_is_shown_its_own_events_and_no_others(api: Api) -> None:
    (org, tenant), (other_org, other) = new_tenant(), new_tenant()
    await happen(api.database, tenant, 2, title="mine")
    commands = await happen(api.database, other, 3, title="theirs")
    mine = await api.get("/v1/events", org)
    assert [event["data"]["title"] for event in mine.body["items"]] == ["mine", "mine"]
    assert mine.headers["Position"] == "2"
    assert (await api.get("/v1/head", other_org)).body["position"] == 3
    foreign = await api.get(f"/v1/commands/{commands[0]}", org)
    nowhere = await api.get(f"/v1/commands/{uuid4()}", org)
    assert (foreign.status, foreign.body) == (nowhere.status, nowhere.body) == (404, nowhere.body)


async def test_a_command_is_answered_with_its_outcome_and_position(api: Api) -> None:
    org, tenant = new_tenant()
    _, command = await happen(api.database, tenant, 2)
    answer = await api.get(f"/v1/commands/{command}", org)
    assert (answer.status, answer.body["command_id"], answer.body["position"]) == (200, str(command), 2)
    assert answer.body["outcome"] == {"status": 201, "body": {"title": "A night", "number": 2}}


@pytest.mark.parametrize("command", ["not-an-id", "8a0b1c2d-0000-4000-8000-00000000000a"])
async def test_a_command_that_is_in_no_log_is_not_found(api: Api, command: str) -> None:
    answer = await api.get(f"/v1/commands/{command}", new_tenant()[0])
    assert (answer.status, answer.body["type"]) == (404, "/problems/not-found")


async def test_where_asked_for_a_command_has_no_outcome_before_its_events_are_published(careful_api: Api) -> None:
    org, tenant = new_tenant()
    early, late = await happen(careful_api.database, tenant, 2)
    assert (await careful_api.get(f"/v1/commands/{early}", org)).status == 404
    async with careful_api.database.transaction() as connection:
        await journal.mark_published(connection, {tenant: 1})
    assert (await careful_api.get(f"/v1/commands/{early}", org)).status == 200
    assert (await careful_api.get(f"/v1/commands/{late}", org)).status == 404


async def test_the_head_says_where_the_stream_stands_and_which_history_it_is(api: Api, fresh: FreshDatabase) -> None:
    org, tenant = new_tenant()
    await happen(api.database, tenant, 4)
    answer = await api.get("/v1/head", org)
    with psycopg.connect(fresh.superuser_dsn) as superuser:
        epoch = superuser.execute("select name::text from epoch").fetchone()
    assert epoch is not None
    assert answer.body == {"stream": "booking", "position": 4, "epoch": epoch[0]}


async def test_who_names_a_position_is_answered_from_it_on(api: Api) -> None:
    org, tenant = new_tenant()
    await happen(api.database, tenant, 2)
    assert (await api.get("/v1/events", org, at_least=2)).status == 200
    waiting = asyncio.create_task(api.get("/v1/events", org, at_least=3))
    await happen(api.database, tenant)
    answer = await waiting
    assert (answer.status, answer.headers["Position"]) == (200, "3")
    assert [event["position"] for event in answer.body["items"]] == [1, 2, 3]


async def test_a_position_that_does_not_come_in_time_is_unavailable(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner_api, "POSITION_WAIT_S", 0.1)
    org, tenant = new_tenant()
    await happen(api.database, tenant, 2)
    answer = await api.get("/v1/events", org, at_least=3)
    assert (answer.status, answer.body["type"]) == (503, "/problems/unavailable")
    assert answer.headers["Retry-After"] == "1"


async def test_a_position_that_is_none_is_an_invalid_request(api: Api) -> None:
    answer = await api.get("/v1/events", new_tenant()[0], at_least=-1)
    assert (answer.status, answer.body["type"]) == (422, "/problems/invalid-request")


async def test_without_a_valid_token_nobody_is_told_anything(api: Api) -> None:
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic x"}):
        async with api.http.get(f"{api.url}/v1/events", headers=headers) as response:
            assert response.status == 401
            assert (await response.json(content_type=None))["type"] == "/problems/unauthenticated"


async def test_without_an_organisation_or_a_role_that_we_know_it_is_forbidden(api: Api) -> None:
    for token in (api.issuer.token(tenant=None), api.issuer.token(tenant="acme", role="owner")):
        async with api.http.get(f"{api.url}/v1/events", headers={"Authorization": f"Bearer {token}"}) as response:
            assert response.status == 403
            assert (await response.json(content_type=None))["type"] == "/problems/forbidden"


async def test_while_the_database_is_away_it_is_unavailable_and_then_it_is_back(api: Api, fresh: FreshDatabase) -> None:
    org, tenant = new_tenant()
    await happen(api.database, tenant)
    with psycopg.connect(fresh.engines.postgres_dsn(), autocommit=True) as superuser:
        superuser.execute(f'alter database "{fresh.name}" allow_connections false'.encode())
        superuser.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (fresh.name,))
        try:
            away = await api.get("/v1/events", org)
        finally:
            superuser.execute(f'alter database "{fresh.name}" allow_connections true'.encode())
    assert (away.status, away.body["type"]) == (503, "/problems/unavailable")

    async def back() -> bool:
        return (await api.get("/v1/events", org)).status == 200

    await until(back, "it answers again")


async def test_the_audit_trail_is_paged_in_order_to_an_admin_as_it_is_chained(api: Api) -> None:
    org, tenant = new_tenant()
    empty = await api.get("/v1/audit", org, role="admin")
    assert (empty.status, empty.body) == (200, {"items": [], "sequence": 0, "begins_at": 0})
    await happen(api.database, tenant, 7)
    found, after = [], 0
    while True:
        answer = await api.get(f"/v1/audit?after={after}&limit=3", org, role="admin", at_least=7)
        assert (answer.status, answer.headers["Position"]) == (200, "7")
        if not answer.body["items"]:
            assert answer.body["sequence"] == 7
            break
        found += answer.body["items"]
        after = answer.body["sequence"]
    assert [entry["sequence"] for entry in found] == [1, 2, 3, 4, 5, 6, 7]
    end, flaws = chain.examine(chain.begin("booking", tenant, 0), found)
    assert (end.sequence, flaws) == (7, [])
    assert (await api.get("/v1/audit?after=9", org, role="admin")).body["sequence"] == 7, "never past the end"


@pytest.mark.parametrize("role", ["member", "viewer"])
async def test_the_audit_trail_is_read_by_nobody_but_an_admin(api: Api, role: str) -> None:
    org, tenant = new_tenant()
    await happen(api.database, tenant)
    answer = await api.get("/v1/audit", org, role=role)
    assert (answer.status, answer.body["type"]) == (403, "/problems/forbidden")


@pytest.fixture
async def replica(fresh_database: Callable[..., FreshDatabase]) -> AsyncIterator[Database]:
    """A replica as far as a reader can tell: this one is behind until the test lets things happen there too."""
    with fresh_database("booking") as made:
        opened = Database(made.url)
        yield opened
        await opened.stop()


@pytest.fixture
async def replicated_api(fresh: FreshDatabase, replica: Database, issuer: Issuer) -> AsyncIterator[Api]:
    replica_url = replica.engine.url.render_as_string(hide_password=False)
    async for made in serving(fresh, issuer, after_publication=False, replica=replica_url):
        yield made


async def test_a_replica_is_read_once_it_holds_what_the_database_does(replicated_api: Api, replica: Database) -> None:
    org, tenant = new_tenant()
    await happen(replicated_api.database, tenant, 2, title="At the primary")
    await happen(replica, tenant, 2, title="At the replica")
    answer = await replicated_api.get("/v1/events", org)
    assert [event["data"]["title"] for event in answer.body["items"]] == ["At the replica"] * 2
    assert answer.headers["Position"] == "2"


async def test_who_has_written_reads_it_though_the_replica_is_behind(replicated_api: Api, replica: Database) -> None:
    org, tenant = new_tenant()
    await happen(replicated_api.database, tenant, 2, title="At the primary")
    await happen(replica, tenant, 1, title="At the replica")
    answer = await replicated_api.get("/v1/events", org)
    assert [event["data"]["title"] for event in answer.body["items"]] == ["At the primary"] * 2


async def test_a_replica_that_catches_up_in_time_is_waited_for(
    replicated_api: Api, replica: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner_api, "REPLICA_WAIT_S", 60.0)
    org, tenant = new_tenant()
    await happen(replicated_api.database, tenant, 1, title="At the primary")
    asked = asyncio.create_task(replicated_api.get("/v1/events", org))
    await happen(replica, tenant, 1, title="At the replica")
    answer = await asked
    assert [event["data"]["title"] for event in answer.body["items"]] == ["At the replica"]


async def test_without_its_replica_the_database_itself_is_read(fresh: FreshDatabase, issuer: Issuer) -> None:
    nowhere = fresh.url.replace(fresh.name, "nowhere")
    async for api in serving(fresh, issuer, after_publication=False, replica=nowhere):
        org, tenant = new_tenant()
        await happen(api.database, tenant, 1, title="At the primary")
        assert (await api.get("/v1/events", org)).body["position"] == 1


async def test_what_became_of_a_command_is_never_read_from_a_replica(replicated_api: Api, replica: Database) -> None:
    org, tenant = new_tenant()
    (command,) = await happen(replicated_api.database, tenant)
    await happen(replica, tenant)
    assert (await replicated_api.get(f"/v1/commands/{command}", org)).status == 200


async def test_a_deleted_tenant_is_refused_though_the_replica_has_not_heard(
    replicated_api: Api, replica: Database
) -> None:
    org, tenant = new_tenant()
    await happen(replicated_api.database, tenant)
    await happen(replica, tenant)
    async with replicated_api.database.transaction([tenant]) as connection:
        await journal.mark_deleted(connection, [tenant])
    answer = await replicated_api.get("/v1/events", org)
    assert (answer.status, answer.body["type"]) == (403, "/problems/forbidden")
