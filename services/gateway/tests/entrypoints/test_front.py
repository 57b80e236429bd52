"""The front: what holds for every request and every response."""

import asyncio
import itertools

import aiohttp
import pytest

from gateway.entrypoints.front import LARGEST_HEAD, accepts_json
from gateway.testing import FakeGateway, echo, fake_gateway, problem_of
from local_stack.issuer import Issuer
from production_contracts.commands import Command
from production_contracts.outcomes import Outcome
from servicekit.settings import IssuerSettings

ORIGIN = "https://app.example"


@pytest.mark.parametrize(
    ("accept", "accepted"),
    [
        ("", True),
        ("*/*", True),
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/*;q=0.1", True),
        ("application/problem+json", True),
        ("text/html, */*;q=0.1", True),
        ("text/html", False),
        ("application/json;q=0, */*", False),
        ("application/json;q=0", False),
        ("*/*;q=0, application/json", True),
        ("application/json;q=x", False),
        (",", False),
    ],
)
def test_an_accept_header_lets_json_through_or_not(accept: str, *, accepted: bool) -> None:
    assert accepts_json(accept) is accepted


async def test_who_accepts_no_json_is_told_before_anything_is_done(
    client: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    async with client.post("/v1/artists", json={"name": "x"}, headers={"Accept": "text/html"}) as response:
        assert problem_of(response, await response.read())["type"] == "/problems/not-acceptable"
        assert response.headers["Cache-Control"] == "private, no-cache"
    assert gateway.kafka.sent == []


async def test_a_head_that_is_too_large_is_refused(client: aiohttp.ClientSession) -> None:
    headers = {f"X-Filler-{number}": "x" * 4000 for number in range(LARGEST_HEAD // 4000 + 1)}
    for path, more in (("/v1/bookings", headers), ("/v1/bookings?cursor=" + "x" * LARGEST_HEAD, {})):
        async with client.get(path, headers=more) as response:
            assert problem_of(response, await response.read())["type"] == "/problems/headers-too-large"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Basic eA=="},
        {"Authorization": "Bearer x.y.z"},
        {"Authorization": "Bearer " + "x" * 9000},
    ],
)
async def test_without_a_token_nothing_is_answered(gateway: FakeGateway, headers: dict[str, str]) -> None:
    async with aiohttp.ClientSession(gateway.url) as session, session.get("/v1/tenant", headers=headers) as response:
        assert problem_of(response, await response.read())["type"] == "/problems/unauthenticated"
        assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_two_authorization_headers_are_none(gateway: FakeGateway, issuer: Issuer) -> None:
    headers = [("Authorization", f"Bearer {issuer.token()}")] * 2
    async with aiohttp.ClientSession(gateway.url) as session, session.get("/v1/tenant", headers=headers) as response:
        assert response.status == 401


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v1/bookings/", "/v2/bookings", "/v1/bookings/a/b/c", "/v1//x"])
async def test_an_unknown_path_answers_as_a_problem(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(path, allow_redirects=False) as response:
        assert problem_of(response, await response.read())["type"] == "/problems/not-found"


async def test_a_wrong_method_is_told_every_right_one(client: aiohttp.ClientSession) -> None:
    async with client.delete("/v1/bookings") as response:
        assert problem_of(response, await response.read())["type"] == "/problems/method-not-allowed"
        assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}


def _break(_: Command) -> Outcome:
    message = "NoneType has no attribute"
    raise AttributeError(message)


async def test_a_fault_of_ours_is_a_problem_that_browsers_may_read(accepted: IssuerSettings, issuer: Issuer) -> None:
    async with fake_gateway(accepted, cors_origins=[ORIGIN]) as gateway:
        gateway.kafka.decide = _break
        headers = {"Authorization": f"Bearer {issuer.token()}", "Origin": ORIGIN}
        async with (
            aiohttp.ClientSession(gateway.url, headers=headers) as session,
            session.post("/v1/artists", json={"name": "x"}) as response,
        ):
            problem = problem_of(response, await response.read())
            assert problem["type"] == "/problems/internal"
            assert "NoneType" not in str(problem)
            assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
            assert response.headers["Cache-Control"] == "private, no-cache"


async def test_browsers_may_call_from_the_configured_origins_only(accepted: IssuerSettings) -> None:
    preflight = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "authorization,if-match"}
    async with fake_gateway(accepted, cors_origins=[ORIGIN]) as gateway, aiohttp.ClientSession(gateway.url) as session:
        async with session.options("/v1/bookings/x", headers=preflight | {"Origin": ORIGIN}) as response:
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
            allowed = response.headers["Access-Control-Allow-Methods"].split(", ")
            assert set(allowed) == {"GET", "HEAD", "POST", "PATCH", "DELETE"}
        async with session.options(
            "/v1/bookings/x", headers=preflight | {"Origin": "https://evil.example"}
        ) as response:
            assert "Access-Control-Allow-Origin" not in response.headers
        async with session.get("/v1/bookings", headers={"Origin": ORIGIN}) as response:
            exposed = response.headers["Access-Control-Expose-Headers"].split(", ")
    assert exposed == [
        "ETag",
        "Link",
        "Location",
        "Position",
        "Retry-After",
        "Preference-Applied",
        "RateLimit",
        "RateLimit-Policy",
    ]


async def test_too_many_requests_are_told_when_to_come_back(accepted: IssuerSettings, issuer: Issuer) -> None:
    async with fake_gateway(accepted, rate_limit_user="2/second", rate_limit_tenant="3/second") as gateway:
        answers = []
        async with aiohttp.ClientSession(gateway.url) as session:
            for user in ("ana", "ana", "ana", "ben", "cat"):
                headers = {"Authorization": f"Bearer {issuer.token(user=user)}"}
                async with session.get("/v1/tenant", headers=headers) as response:
                    answers.append((problem_of(response, await response.read()), response.headers))
        slugs = [problem["type"].removeprefix("/problems/") for problem, _ in answers]
        assert slugs == ["unavailable", "unavailable", "rate-limited", "unavailable", "rate-limited"]
        policy = '"user";q=2;w=1, "tenant";q=3;w=1'
        assert [shown["RateLimit-Policy"] for _, shown in answers] == [policy, policy, '"user";q=2;w=1', policy, policy]
        assert [(answers[at][1]["Retry-After"], answers[at][1]["RateLimit"]) for at in (2, 4)] == [
            ("1", '"user";r=0;t=1'),
            ("1", '"user";r=1;t=1, "tenant";r=0;t=1'),
        ]


async def test_more_requests_than_are_borne_are_refused_unread_and_health_never_is(
    accepted: IssuerSettings, issuer: Issuer
) -> None:
    async with fake_gateway(accepted, requests_in_hand=2) as gateway:
        gateway.kafka.decide = lambda _: None
        gateway.owners.put("tenancy", "/v1/tenant", {"id": "x", "version": 1})
        headers = {"Authorization": f"Bearer {issuer.token()}"}
        async with aiohttp.ClientSession(gateway.url, headers=headers) as session:

            async def create() -> int:
                async with session.post("/v1/artists", json={"name": "x"}) as response:
                    return response.status

            writing = [asyncio.create_task(create()) for _ in range(2)]
            taken = [await gateway.kafka.arrivals.get() for _ in writing]
            for method, path in (("GET", "/v1/tenant"), ("POST", "/v1/artists"), ("GET", "/v1/nowhere")):
                async with session.request(method, path, headers={"Authorization": "nobody looks at it"}) as response:
                    assert problem_of(response, await response.read())["type"] == "/problems/unavailable"
                    assert response.headers["Retry-After"] == "1"
                    assert response.headers["Cache-Control"] == "private, no-cache"
            for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
                async with session.get(path) as response:
                    assert response.status == 200, path
            async with session.get("/metrics") as response:
                assert "gateway_requests_in_hand 2.0" in (await response.text()).splitlines()
            for command in taken:
                gateway.kafka.reply(command, echo(command))
            assert await asyncio.gather(*writing) == [201, 201]
            async with session.get("/v1/tenant") as response:
                assert response.status == 200
            async with session.get("/metrics") as response:
                assert "gateway_requests_in_hand 0.0" in (await response.text()).splitlines()


async def test_a_redis_outage_stops_no_request(accepted: IssuerSettings, issuer: Issuer) -> None:
    async with fake_gateway(accepted) as gateway:
        gateway.counts.fault = OSError("down")
        headers = {"Authorization": f"Bearer {issuer.token()}"}
        async with aiohttp.ClientSession(gateway.url, headers=headers) as session:
            for _ in range(3):
                async with session.post("/v1/artists", json={"name": "x"}) as response:
                    assert response.status == 201


async def test_health_docs_and_metrics_need_no_token(gateway: FakeGateway) -> None:
    async with aiohttp.ClientSession(gateway.url) as session:
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"):
            async with session.get(path, headers={"Accept": "text/html"}) as response:
                assert response.status == 200, path


async def test_odd_paths_and_headers_are_never_a_fault_of_ours(client: aiohttp.ClientSession) -> None:
    odd = ["%00", "%ff", "%ed%a0%80", "..%2f..", "%F0%9F%92%A9", "a" * 5000, "{id}", "%0d%0aX: y"]
    for piece, suffix in itertools.product(odd, ("", "/events", "/confirm")):
        async with client.get(f"/v1/bookings/{piece}{suffix}") as response:
            assert response.status in {404, 405}, piece
        async with client.get(f"/v1/commands/{piece}") as response:
            assert response.status == 404, piece
