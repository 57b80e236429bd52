"""Health: the process itself, and what it needs."""

import asyncio

import aiohttp
from starlette.applications import Starlette

from servicekit.health import Health
from servicekit.testing import running


async def answers(health: Health) -> tuple[int, int, dict[str, object]]:
    async with running(Starlette(routes=health.routes)) as url, aiohttp.ClientSession(url) as session:
        async with session.get("/healthz") as alive:
            pass
        async with session.get("/readyz") as ready:
            return alive.status, ready.status, await ready.json(content_type=None)


async def test_without_checks_a_service_is_ready() -> None:
    assert (await answers(Health()))[:2] == (200, 200)


async def test_every_required_check_that_fails_is_named_and_liveness_stays() -> None:
    async def hang() -> bool:
        return bool(await asyncio.get_running_loop().create_future())

    def fail() -> bool:
        message = "down"
        raise OSError(message)

    async def there() -> bool:
        return True

    health = Health(deadline_seconds=0.05)
    health.add("kafka", lambda: False)
    health.add("database", fail)
    health.add("slow", hang)
    health.add("fine", there)
    alive, ready, body = await answers(health)
    assert (alive, ready) == (200, 503)
    assert body["failing"] == ["kafka", "database", "slow"]


async def test_what_is_not_required_is_shown_and_fails_nothing() -> None:
    health = Health()
    health.add("redis", lambda: False, required=False)
    alive, ready, body = await answers(health)
    assert (alive, ready, body["degraded"]) == (200, 200, ["redis"])


async def test_checks_that_are_excluded_are_not_made_and_the_others_are() -> None:
    asked: list[str] = []

    def check(name: str, *, passes: bool) -> bool:
        asked.append(name)
        return passes

    health = Health()
    health.add("kafka", lambda: check("kafka", passes=False))
    health.add("relay", lambda: check("relay", passes=True))
    async with running(Starlette(routes=health.routes)) as url, aiohttp.ClientSession(url) as session:
        async with session.get("/readyz?exclude=kafka&exclude=unheard-of") as ready:
            assert (ready.status, (await ready.json())["checks"]) == (200, ["relay"])
        assert asked == ["relay"]
        async with session.get("/readyz?exclude=relay") as ready:
            assert (ready.status, (await ready.json(content_type=None))["failing"]) == (503, ["kafka"])
