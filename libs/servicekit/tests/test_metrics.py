"""Metrics: counted by the route's template, never by who asks."""

import aiohttp
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from servicekit import metrics
from servicekit.health import Health
from servicekit.testing import running


async def _show(_request: Request) -> Response:
    return PlainTextResponse("x")


async def test_requests_are_counted_by_template_and_status() -> None:
    app = Starlette(
        routes=[Route("/metered/{id}", _show), metrics.route(Health())], middleware=[Middleware(metrics.RequestMetrics)]
    )
    async with running(app) as url, aiohttp.ClientSession(url) as session:
        for path in ("/metered/1", "/metered/2", "/elsewhere"):
            async with session.get(path):
                pass
        async with session.get("/metrics") as response:
            text = await response.text()
    assert 'http_requests_total{method="GET",route="/metered/{id}",status="200"} 2.0' in text
    assert "/metered/1" not in text
    assert "/elsewhere" not in text


async def test_the_checks_of_readiness_are_made_whenever_metrics_are_asked() -> None:
    there = True
    health = Health()
    health.add("metered", lambda: there)
    health.add("metered-too", lambda: False, required=False)
    async with running(Starlette(routes=[metrics.route(health)])) as url, aiohttp.ClientSession(url) as session:
        async with session.get("/metrics") as response:
            first = await response.text()
        there = False
        async with session.get("/metrics") as response:
            second = await response.text()
    assert 'health_check_passed{check="metered",required="yes"} 1.0' in first
    assert 'health_check_passed{check="metered-too",required="no"} 0.0' in first
    assert 'health_check_passed{check="metered",required="yes"} 0.0' in second


async def test_a_route_of_any_kind_is_named_by_its_template() -> None:
    app = FastAPI(openapi_url=None)
    app.router.routes.extend([Route("/metered/plain/{id}", _show), metrics.route(Health())])
    router = APIRouter(prefix="/metered")

    @router.get("/included/{number}")
    async def included(number: int) -> int:
        return number

    app.include_router(router)
    app.add_middleware(metrics.RequestMetrics)
    async with running(app) as url, aiohttp.ClientSession(url) as session:
        for path in ("/metered/plain/7", "/metered/included/7", "/metered/nothing"):
            async with session.get(path):
                pass
        async with session.post("/metered/plain/7"):
            pass
        async with session.get("/metrics") as response:
            text = await response.text()
    for said in (
        'method="GET",route="/metered/plain/{id}",status="200"',
        'method="GET",route="/metered/included/{number}",status="200"',
        'method="GET",route="unmatched",status="404"',
        'method="POST",route="/metered/plain/{id}",status="405"',
    ):
        assert f"http_requests_total{{{said}}}" in text
    assert "/7" not in text
