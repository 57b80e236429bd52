"""The read API over HTTP, with real tokens, on what commands left behind: the past, and a tenant that is deleted."""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4, uuid5

import aiohttp
import orjson
import pytest
from fastapi import FastAPI
from services.booking.tests.bench import Bench, ask, move, night
from services.booking.tests.integration.test_history import a_clock

from booking.entrypoints.http import booking_routes
from local_stack.issuer import Issuer
from production_contracts import commands
from production_contracts.roles import Permission
from production_contracts.times import format_timestamp, parse_timestamp
from servicekit import journal, owner_api, problems
from servicekit.clock import now
from servicekit.owner_api import Owner, journal_routes
from servicekit.settings import IssuerSettings
from servicekit.testing import running
from servicekit.tokens import TokenVerifier

NAMESPACE = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


@dataclass
class Answer:
    status: int
    body: Any
    position: str | None

    @property
    def slug(self) -> str:
        return str(self.body["type"]).removeprefix("/problems/")


@dataclass
class Api:
    """The read API, a worker on the same database, and who asks."""

    url: str
    http: aiohttp.ClientSession
    issuer: Issuer
    bench: Bench

    async def get(self, path: str, org: str, **query: str | int) -> Answer:
        headers = {"Authorization": f"Bearer {self.issuer.token(tenant=org, role='viewer')}"}
        async with self.http.get(self.url + path, params=query, headers=headers) as response:
            body = await response.json(content_type=None)
            return Answer(response.status, body, response.headers.get("Position"))


@pytest.fixture(scope="module")
async def api(shared_bench: Bench, issuer: Issuer) -> AsyncIterator[Api]:
    verifier = TokenVerifier([IssuerSettings(issuer=issuer.url, jwks_url=issuer.jwks_url, namespace=NAMESPACE)])
    owner = Owner("booking", shared_bench.database, verifier, Permission.BOOKINGS_READ)
    app = FastAPI(openapi_url=None)
    app.include_router(booking_routes(owner))
    app.include_router(journal_routes(owner, answers_after_publication=False))
    problems.install(app)
    owner_api.install(app)
    await verifier.start()
    async with running(app) as url, aiohttp.ClientSession() as http:
        yield Api(url, http, issuer, shared_bench)
    await verifier.stop()


def new_tenant() -> tuple[str, UUID]:
    org = uuid4().hex
    return org, uuid5(NAMESPACE, f"org_{org}")


@dataclass
class Story:
    """A tenant of which two bookings are known, each changed a while later; one was made later still."""

    org: str
    tenant: UUID
    artist: UUID
    bookings: list[UUID]
    times: list[str]


@pytest.fixture
async def story(api: Api) -> Story:
    org, tenant = new_tenant()
    artist = await api.bench.add_artist(tenant)
    first, second, third = [ask(tenant, night(artist, day)) for day in range(3)]
    with a_clock() as clock:
        for command in (
            first,
            second,
            ask(tenant, move(7), first.aggregate_id),
            ask(tenant, commands.CancelBooking(reason="rain"), second.aggregate_id),
            third,
        ):
            clock.step(1000)
            await api.bench.one(command)
    times = [event["occurred_at"] for event in await api.bench.events(tenant)]
    return Story(org, tenant, artist, [one.aggregate_id for one in (first, second, third)], times)


async def test_a_booking_is_shown_as_it_was_with_the_position_from_which_to_go_on(api: Api, story: Story) -> None:
    path = f"/v1/bookings/{story.bookings[1]}"
    events = await api.bench.events(story.tenant)
    before = format_timestamp(parse_timestamp(story.times[1]) - timedelta(milliseconds=1))
    assert (await api.get(path, story.org, as_of=before)).slug == "not-found"
    for moment, position, status in ((1, 2, "pencil"), (2, 3, "pencil"), (3, 4, "cancelled"), (4, 5, "cancelled")):
        found = await api.get(path, story.org, as_of=story.times[moment])
        assert (found.status, found.position, found.body["status"]) == (200, str(position), status)
        since = await api.get("/v1/events", story.org, after=int(found.position or 0))
        assert since.body["items"] == events[position:]
    assert (await api.get(path, story.org, as_of=story.times[4])).body == (await api.get(path, story.org)).body


async def test_a_list_is_shown_as_it_was(api: Api, story: Story) -> None:
    async def titles(moment: int, **query: str) -> list[tuple[str, int]]:
        found = await api.get("/v1/bookings", story.org, as_of=story.times[moment], **query)
        return [(item["id"], item["version"]) for item in found.body["items"]]

    first, second, third = map(str, story.bookings)
    assert await titles(0) == [(first, 1)]
    assert await titles(1) == [(first, 1), (second, 1)]
    assert await titles(2) == [(second, 1), (first, 2)], "it has moved to the end"
    assert await titles(4) == [(second, 2), (third, 1), (first, 2)]
    assert await titles(4, status="cancelled") == [(second, 2)]
    assert await titles(2, status="cancelled") == []
    assert await titles(4, artist_id=str(uuid4())) == []
    now_listed = (await api.get("/v1/bookings", story.org)).body
    assert (await api.get("/v1/bookings", story.org, as_of=story.times[4])).body == now_listed


async def test_a_moment_that_is_not_past_is_an_invalid_request(api: Api, story: Story) -> None:
    for path in ("/v1/bookings", f"/v1/bookings/{story.bookings[0]}"):
        for moment in (format_timestamp(now() + timedelta(hours=1)), "2027-05-08", "yesterday", "2027-05-08T20:00:00"):
            refused = await api.get(path, story.org, as_of=moment)
            assert (refused.status, refused.slug) == (422, "invalid-request")
            assert [error["pointer"] for error in refused.body["errors"]] == ["#/query/as_of"]


async def test_the_time_of_the_last_event_is_no_future_though_our_clock_is_behind(api: Api, story: Story) -> None:
    ahead = now() + timedelta(minutes=5)
    with patch("servicekit.worker.now", lambda: ahead):
        await api.bench.one(ask(story.tenant, night(story.artist, 20), expires_in=timedelta(hours=1)))
    found = await api.get("/v1/bookings", story.org, as_of=format_timestamp(ahead))
    assert (found.status, found.position, len(found.body["items"])) == (200, "6", 4)
    refused = await api.get("/v1/bookings", story.org, as_of=format_timestamp(ahead + timedelta(milliseconds=1)))
    assert refused.slug == "invalid-request"


async def test_the_pages_of_a_list_are_of_one_state_though_something_happens_at_that_very_moment(
    api: Api, story: Story
) -> None:
    asked: dict[str, str | int] = {"as_of": story.times[4], "limit": 1}
    page = await api.get("/v1/bookings", story.org, **asked)
    with patch("servicekit.worker.now", lambda: parse_timestamp(story.times[4])):
        await api.bench.one(ask(story.tenant, commands.CancelBooking(), story.bookings[2]))
        await api.bench.one(ask(story.tenant, night(story.artist, 1)))
    found = [(page.body["items"][0]["id"], page.position)]
    while (cursor := page.body["next_cursor"]) is not None:
        page = await api.get("/v1/bookings", story.org, **asked, cursor=cursor)
        found += [(item["id"], page.position) for item in page.body["items"]]
    assert found == [(str(story.bookings[n]), "5") for n in (1, 2, 0)]
    again = await api.get("/v1/bookings", story.org, as_of=story.times[4])
    assert (len(again.body["items"]), again.position) == (4, "7"), "asked anew it counts as well"


async def test_a_cursor_is_of_one_list_and_no_other(api: Api, story: Story) -> None:
    past = (await api.get("/v1/bookings", story.org, as_of=story.times[4], limit=1)).body["next_cursor"]
    present = (await api.get("/v1/bookings", story.org, limit=1)).body["next_cursor"]
    parts = orjson.loads(base64.urlsafe_b64decode(past + "=="))
    forged: list[Any] = [
        [*parts[:2], -1, *parts[3:]],
        [*parts[:2], True, *parts[3:]],
        [*parts[:3], 2**63, parts[4]],
        ["now", *parts[1:]],
        parts[:4],
        {},
        7,
    ]
    written = [base64.urlsafe_b64encode(orjson.dumps(one)).decode() for one in forged]
    queries: list[dict[str, str]] = [
        {"cursor": past},
        {"as_of": story.times[4], "cursor": present},
        {"as_of": story.times[3], "cursor": past},
        {"as_of": story.times[4], "cursor": past, "status": "pencil"},
        {"as_of": story.times[4], "cursor": past, "artist_id": str(story.artist)},
        {"as_of": story.times[4], "cursor": past, "to": "2028-01-01T00:00:00Z"},
        *({"as_of": story.times[4], "cursor": one} for one in ["", "x", "%00", *written]),
    ]
    for query in queries:
        refused = await api.get("/v1/bookings", story.org, **query)
        assert (refused.status, refused.slug) == (422, "invalid-request"), query
        assert [error["pointer"] for error in refused.body["errors"]] == ["#/query/cursor"]
    more = await api.get("/v1/bookings", story.org, as_of=story.times[4], cursor=past, limit=9)
    assert len(more.body["items"]) == 2, "another size of page is the same list"


async def test_another_tenants_past_and_none_are_alike(api: Api, story: Story) -> None:
    org, _ = new_tenant()
    asked = {"as_of": story.times[4]}
    theirs = await api.get(f"/v1/bookings/{story.bookings[0]}", org, **asked)
    nowhere = await api.get(f"/v1/bookings/{uuid4()}", org, **asked)
    assert (theirs.status, theirs.body) == (nowhere.status, nowhere.body) == (404, theirs.body)
    assert (await api.get("/v1/bookings", org, **asked)).body == {"items": [], "next_cursor": None}


async def test_a_deleted_tenant_is_refused_for_good_without_any_memory_of_its_removal(api: Api, story: Story) -> None:
    async with api.bench.database.transaction() as connection:
        await journal.mark_deleted(connection, [story.tenant])
    for path in ("/v1/bookings", f"/v1/bookings/{story.bookings[0]}", "/v1/events", "/v1/head"):
        refused = await api.get(path, story.org)
        assert (refused.status, refused.slug, refused.body["detail"]) == (
            403,
            "forbidden",
            "This organisation is deleted.",
        )
    status, body = await api.bench.one(ask(story.tenant, night(story.artist, 30)))
    assert (status, body["type"], body["detail"]) == (403, "/problems/forbidden", "This organisation is deleted.")
    assert len(await api.bench.events(story.tenant)) == 5
    org, other = new_tenant()
    assert (await api.bench.one(ask(other, night(await api.bench.add_artist(other)))))[0] == 201
    assert (await api.get("/v1/bookings", org)).status == 200
