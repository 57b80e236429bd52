"""Every route of every service, crossed with own, foreign and absent ids, and with each role."""

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute
from starlette.routing import Route as StarletteRoute
from tests.isolation.asking import ask, caller_of, headers_of, nameless, url_of, without
from tests.isolation.estates import Estate, NewEstate, absent, untouched, vars_of
from tests.isolation.rows import ROUTES, Route

from local_stack.clients.caller import Caller
from local_stack.contract.applications import assembled
from production_contracts.roles import Role, may

ROLES = [role.removeprefix("org:") for role in Role]
BEHIND_TOKENS = [row for row in ROUTES if row.door == "token"]
CROSSED = [row for row in BEHIND_TOKENS if row.crossed]

Found = tuple[str, str, str]


def routes_of(service: str, routes: list[BaseRoute]) -> Iterator[Found]:
    """Walk an application's routes; a kind that we do not know how to walk is no route at all, and fails."""
    for route in routes:
        if isinstance(route, StarletteRoute):
            yield from ((service, method, route.path) for method in route.methods or ())
        else:
            included: FastAPI = route.original_router  # type: ignore[attr-defined] # what FastAPI wraps a router in
            yield from routes_of(service, included.routes)


def walked() -> set[Found]:
    services = assembled()
    found = {
        route for name in ("gateway", "booking", "tenancy") for route in routes_of(name, getattr(services, name).routes)
    }
    served = services.notifications.app._app  # type: ignore[attr-defined] # Socket.IO, and behind it HTTP
    found |= set(routes_of("notifications", served.other_asgi_app.routes))
    return found | {("notifications", "GET", served.engineio_path + "/" * (not served.engineio_path.endswith("/")))}


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    found = walked()
    heads = {route for route in found if route[1] == "HEAD"}
    assert {(service, "GET", path) for service, _, path in heads} <= found, "a HEAD is its GET's"
    rows = {(row.service, row.method, row.path) for row in ROUTES}
    assert found - heads == rows


@pytest.mark.parametrize("row", BEHIND_TOKENS, ids=str)
async def test_nobody_gets_in_without_a_token(row: Route, mine: Estate, theirs: Estate) -> None:
    caller = caller_of(row, mine, "admin")
    for authorization in ("", "Bearer x", f"Basic {caller.token}"):
        answers = [await ask(row, caller, ids, Authorization=authorization) for ids in (mine.ids, theirs.ids)]
        assert [(answer.status, answer.slug) for answer in answers] == [(401, "unauthenticated")] * 2
        assert answers[0].raw == answers[1].raw


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", BEHIND_TOKENS, ids=str)
async def test_each_role_does_with_its_own_what_it_may_and_no_more(
    row: Route, role: str, mine: Estate, new_estate: NewEstate
) -> None:
    assert row.needs is not None, "who holds a token holds no permission by that alone"
    own = await new_estate() if row.ends else mine
    ids = own.ids if row.method == "GET" else await own.more()
    answer = await ask(row, caller_of(row, own, role), ids)
    if may(Role(f"org:{role}"), row.needs):
        assert 200 <= answer.status < 300, answer
        shown = row.shows or row.of
        assert shown is None or getattr(ids, shown).encode() in answer.raw, "an empty answer proves nothing"
    else:
        assert (answer.status, answer.slug) == (403, "forbidden")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", [row for row in BEHIND_TOKENS if row.method == "GET"], ids=str)
async def test_nothing_of_another_tenant_is_in_what_is_ones_own(
    row: Route, role: str, mine: Estate, theirs: Estate
) -> None:
    answer = await ask(row, caller_of(row, mine, role), mine.ids)
    assert theirs.left_in(answer.raw) | theirs.left_in(headers_of(answer)) == set()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", CROSSED, ids=str)
async def test_what_is_anothers_and_what_is_nowhere_read_alike_byte_for_byte_but_for_the_id(
    row: Route, role: str, mine: Estate, theirs: Estate
) -> None:
    caller, nowhere = caller_of(row, mine, role), absent()
    assert row.needs is not None
    allowed = may(Role(f"org:{role}"), row.needs)
    foreign, none = await ask(row, caller, theirs.ids), await ask(row, caller, nowhere)
    assert without(foreign, theirs.ids) == without(none, nowhere)
    said = foreign.raw.decode() + headers_of(foreign)
    assert theirs.left_in(said, *vars_of(theirs.ids).values()) == set()
    assert foreign.status == (row.foreign if allowed else 403)
    if allowed and row.foreign == 200:
        assert foreign.body["items"] == []
    if row.method == "GET" and row.service == "gateway":
        answers = [await ask(row, caller, ids, method="HEAD") for ids in (theirs.ids, nowhere)]
        assert answers[0].status == answers[1].status == foreign.status
        assert without(answers[0], theirs.ids)[2] == without(answers[1], nowhere)[2]


async def test_nothing_of_anothers_is_changed_by_all_that_can_be_asked(mine: Estate, theirs: Estate) -> None:
    async with untouched(theirs):
        rows = [row for row in BEHIND_TOKENS if not row.ends]
        tried = [ask(row, caller_of(row, mine, role), theirs.ids) for row in rows for role in ROLES]
        assert len(await asyncio.gather(*tried)) == len(rows) * len(ROLES)


WAYS_TO_ASK = {
    "a version": lambda: {"If-Match": '"1"'},
    "a key": lambda: {"Idempotency-Key": secrets.token_hex(8)},
    "later": lambda: {"Prefer": "respond-async"},
}


@pytest.mark.parametrize("way", WAYS_TO_ASK)
@pytest.mark.parametrize("row", [row for row in CROSSED if row.method != "GET"], ids=str)
async def test_no_way_to_ask_tells_what_is_anothers_from_what_is_nowhere(
    row: Route, way: str, mine: Estate, theirs: Estate
) -> None:
    caller, nowhere = caller_of(row, mine, "admin"), absent()
    outcomes = []
    for ids in (theirs.ids, nowhere):
        answer = await ask(row, caller, ids, **WAYS_TO_ASK[way]())
        if answer.status == 202:
            decided = await caller.decided(answer.headers["Location"])
            outcomes.append((decided["outcome"]["status"], nameless(str(decided["outcome"]["body"]), ids)))
        else:
            outcomes.append((answer.status, nameless(answer.raw.decode(), ids)))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0] == row.foreign


@pytest.mark.parametrize("row", [row for row in ROUTES if row.door == "anybody"], ids=str)
async def test_an_address_for_anybody_tells_nothing_of_any_tenant(row: Route, mine: Estate, theirs: Estate) -> None:
    asked = Caller(session=mine.tenant.session, url=url_of(row, mine), token="")
    answer = await asked.get(row.path, headers={"Authorization": ""})
    assert answer.status in {200, 400}, answer
    for estate in (mine, theirs):
        assert estate.left_in(answer.raw) == set()
        assert "user_ana" not in answer.raw.decode(errors="replace")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", [row for row in ROUTES if row.door == "others"], ids=str)
async def test_a_users_token_opens_no_door_that_is_for_others(
    row: Route, role: str, mine: Estate, theirs: Estate
) -> None:
    caller = caller_of(row, mine, role)
    answers = [await ask(row, caller, ids) for ids in (mine.ids, theirs.ids, absent())]
    assert {answer.status for answer in answers} <= {401, 403, 404}
    assert len({answer.raw for answer in answers}) == 1


async def test_a_page_of_another_tenant_is_no_way_into_its_list(mine: Estate, theirs: Estate) -> None:
    await theirs.more()
    for path in ("/v1/bookings", "/v1/artists"):
        page = (await theirs.tenant.caller().get(path, {"limit": 1})).body
        answer = await mine.tenant.caller().get(path, {"cursor": page["next_cursor"]})
        assert answer.status == 200
        assert theirs.left_in(answer.raw) == set()


@dataclass
class Race:
    """Times of two kinds of requests, taken in turn."""

    foreign: list[float]
    absent: list[float]

    @property
    def ratio(self) -> float:
        """How many times longer the slower kind takes."""
        first, second = median(self.foreign), median(self.absent)
        return max(first, second) / min(first, second)


ROUNDS, PAIRS, ROUGHLY = 4, 15, 3.0


@pytest.mark.parametrize("row", CROSSED, ids=str)
async def test_what_is_anothers_takes_roughly_as_long_as_what_is_nowhere(
    row: Route, mine: Estate, theirs: Estate
) -> None:
    """Medians of requests made in turn, in one of several rounds: a neighbour's noise passes, a difference stays."""
    caller, ratios = caller_of(row, mine, "admin"), []
    for _ in range(ROUNDS):
        race = Race([], [])
        for _ in range(PAIRS):
            for ids, times in ((theirs.ids, race.foreign), (absent(), race.absent)):
                began = perf_counter()
                await ask(row, caller, ids)
                times.append(perf_counter() - began)
        ratios.append(race.ratio)
        if race.ratio < ROUGHLY:
            return
    pytest.fail(f"{ratios}: one can tell by the clock")
