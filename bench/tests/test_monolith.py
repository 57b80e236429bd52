"""The monolith really does what it is compared with: it books, refuses, remembers and reads as we do."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from bench.baselines.monolith.app import Monolith
from bench.baselines.monolith.settings import Settings
from bench.stage import add_artists, tenant_id

from booking.adapters import bookings
from local_stack.databases import Database as FreshDatabase
from local_stack.engines import Addresses
from local_stack.environment import NAMESPACE
from local_stack.issuer import Issuer
from servicekit import journal
from servicekit.audit.verification import verify
from servicekit.database import Database
from servicekit.settings import IssuerSettings
from servicekit.testing import running

TENANT = tenant_id("acme")
ARTIST = UUID("018f0000-0000-7000-8000-00000000a111")


def night(day: int = 8) -> dict[str, Any]:
    times = {"start_time": f"2027-05-{day:02}T20:00:00.000Z", "end_time": f"2027-05-{day:02}T23:30:00.000Z"}
    return {"artist_id": str(ARTIST), "title": "A night", **times}


@pytest.fixture(scope="module")
async def database(fresh_database: Callable[..., FreshDatabase]) -> AsyncIterator[FreshDatabase]:
    with fresh_database("booking") as fresh:
        await add_artists(fresh, {TENANT: [ARTIST]})
        yield fresh


@pytest.fixture(scope="module")
async def client(database: FreshDatabase, engines: Addresses, issuer: Issuer) -> AsyncIterator[aiohttp.ClientSession]:
    accepted = IssuerSettings(issuer=issuer.url, jwks_url=issuer.jwks_url, namespace=UUID(NAMESPACE))
    settings = Settings(database_url=database.url, redis_url=engines.redis_url, auth_issuers=[accepted])
    headers = {"Authorization": f"Bearer {issuer.token(tenant='acme', role='member')}"}
    async with running(Monolith(settings).app()) as url, aiohttp.ClientSession(url, headers=headers) as session:
        yield session


async def test_a_booking_is_stored_with_its_event_and_its_outcome(
    client: aiohttp.ClientSession, database: FreshDatabase
) -> None:
    async with client.post("/v1/bookings", json=night(), headers={"Idempotency-Key": "k1"}) as response:
        assert response.status == 201, await response.text()
        made, position = await response.json(), int(response.headers["Position"])
    own = Database(database.url, pool_size=1)
    try:
        async with own.reading(TENANT) as connection:
            stored = (await bookings.load(connection, [(TENANT, UUID(made["id"]))])).get((TENANT, UUID(made["id"])))
            events = await journal.events_after(connection, "booking", TENANT, position - 1, 10)
            assert await journal.head(connection, TENANT) == position
    finally:
        await own.stop()
    assert stored is not None
    assert (stored.title, stored.position) == ("A night", position)
    assert [(event["type"], event["position"], event["data"]) for event in events] == [
        ("BookingCreated", position, made)
    ]


async def test_a_night_that_is_taken_is_refused_with_what_is_in_the_way_and_leaves_no_gap(
    client: aiohttp.ClientSession,
) -> None:
    async with client.post("/v1/bookings", json=night(9)) as response:
        made, position = await response.json(), int(response.headers["Position"])
    async with client.post("/v1/bookings", json=night(9)) as response:
        refused = await response.json(content_type=None)
        assert response.status == 409
    assert [conflict["booking_id"] for conflict in refused["conflicts"]] == [made["id"]]
    assert len(refused["next_free"]) == 3
    async with client.post("/v1/bookings", json=night(10)) as response:
        assert int(response.headers["Position"]) == position + 1


async def test_an_artist_that_is_not_there_is_not_found(client: aiohttp.ClientSession) -> None:
    async with client.post("/v1/bookings", json=night() | {"artist_id": str(uuid4())}) as response:
        assert response.status == 404


async def test_its_audit_trail_holds(client: aiohttp.ClientSession, database: FreshDatabase) -> None:
    for status in (201, 409):
        async with client.post("/v1/bookings", json=night(11)) as response:
            assert response.status == status
    own = Database(database.url, pool_size=1)
    try:
        report = await verify(own, "booking", tenant_id=TENANT)
    finally:
        await own.stop()
    assert report.entries >= 2
    assert report.flaws == {}


async def test_a_key_is_remembered(client: aiohttp.ClientSession) -> None:
    answers = []
    for _ in range(2):
        async with client.post("/v1/bookings", json=night(12), headers={"Idempotency-Key": "k2"}) as response:
            answers.append((response.status, await response.json()))
    assert answers[0] == answers[1]
    async with client.post("/v1/bookings", json=night(13), headers={"Idempotency-Key": "k2"}) as response:
        assert response.status == 422


async def test_a_booking_and_a_month_are_read(client: aiohttp.ClientSession) -> None:
    async with client.post("/v1/bookings", json=night(14)) as response:
        made = await response.json()
    async with client.get(f"/v1/bookings/{made['id']}") as response:
        assert (response.status, await response.json()) == (200, made)
        tag = response.headers["ETag"]
    async with client.get(f"/v1/bookings/{made['id']}", headers={"If-None-Match": tag}) as response:
        assert response.status == 304
    query = f"artist_id={ARTIST}&from=2027-05-14T00:00:00Z&to=2027-05-15T00:00:00Z"
    async with client.get(f"/v1/bookings?{query}") as response:
        assert [item["id"] for item in (await response.json())["items"]] == [made["id"]]


async def test_another_tenant_sees_nothing_and_may_book_nobody(client: aiohttp.ClientSession, issuer: Issuer) -> None:
    other = {"Authorization": f"Bearer {issuer.token(tenant='umbrella', role='member')}"}
    async with client.get("/v1/bookings", headers=other) as response:
        assert (await response.json())["items"] == []
    async with client.post("/v1/bookings", json=night(15), headers=other) as response:
        assert response.status == 404


async def test_who_may_not_book_and_who_is_nobody_are_refused(client: aiohttp.ClientSession, issuer: Issuer) -> None:
    viewer = {"Authorization": f"Bearer {issuer.token(tenant='acme', role='viewer')}"}
    for headers, status in ((viewer, 403), ({"Authorization": "Bearer x"}, 401)):
        async with client.post("/v1/bookings", json=night(16), headers=headers) as response:
            assert response.status == status


async def test_a_body_with_an_unknown_field_is_refused(client: aiohttp.ClientSession) -> None:
    async with client.post("/v1/bookings", json=night(17) | {"colour": "red"}) as response:
        assert response.status == 422
