"""Every key and every channel in Redis: whose it is, and that nothing of another tenant is in it."""

import re
from collections.abc import AsyncIterator, Mapping

import pytest
from redis.asyncio import Redis
from tests.isolation.estates import Estate
from tests.isolation.rows import CHANNELS, KEYS

from local_stack.clients.waiting import until
from local_stack.system import SystemAddresses


@pytest.fixture
async def redis(system: SystemAddresses) -> AsyncIterator["Redis"]:
    async with Redis.from_url(system.engines.redis_url, decode_responses=True) as redis:
        yield redis


def row_of(name: str, rows: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Find the one row that a name belongs to, and what it names."""
    found = [(pattern, match.groupdict()) for pattern in rows if (match := re.fullmatch(pattern, name))]
    assert len(found) == 1, f"{name} belongs to {len(found)} rows"
    return found[0]


async def content(redis: "Redis", key: str) -> str:
    """Read a key whole, whatever it holds; gone keys hold nothing."""
    kind = str(await redis.type(key))
    if kind == "stream":
        return str(await redis.xrange(key))
    if kind in {"string", "none"}:
        return str(await redis.get(key))
    if kind == "hash":
        return str(await redis.hgetall(key))
    if kind == "zset":
        return str(await redis.zrange(key, 0, -1, withscores=True))
    assert kind == "set", f"{key} is a {kind}: say here how it is read"
    return str(await redis.smembers(key))


async def test_every_key_has_a_row_and_every_row_a_key(redis: "Redis", mine: Estate, theirs: Estate) -> None:
    """Counts live for a second: rows are looked for until each was seen."""
    seen: set[str] = set()

    async def look() -> bool:
        for estate in (mine, theirs):
            await estate.tenant.caller().get("/v1/tenant")
        seen.update([row_of(key, KEYS)[0] async for key in redis.scan_iter(count=1000)])
        return seen == set(KEYS)

    async with mine.tenant.watcher():
        await until(look, "a key of each row")


async def test_every_channel_has_a_row_and_every_row_a_channel(redis: "Redis", mine: Estate) -> None:
    """Nobody waits for Redis to have taken a subscription: rows are looked for until each was seen."""

    async def look() -> bool:
        found = [row_of(str(name), CHANNELS) for name in await redis.pubsub_channels()]
        is_ours = mine.ids.tenant in {named.get("tenant") for _, named in found}
        return is_ours and {pattern for pattern, _ in found} == set(CHANNELS)

    async with mine.tenant.watcher():
        await until(look, "our channel, and one of each row")


async def test_a_key_that_names_a_tenant_holds_nothing_of_another(redis: "Redis", mine: Estate, theirs: Estate) -> None:
    looked_into = set()
    for estate, other in ((mine, theirs), (theirs, mine)):
        async with estate.tenant.watcher():
            await estate.more()
        async for key in redis.scan_iter(count=1000):
            held = await content(redis, key)
            if row_of(key, KEYS)[1].get("tenant") == estate.ids.tenant:
                looked_into.add(estate.ids.tenant if estate.word in held else "")
                assert other.left_in(held) == set()
            else:
                assert estate.left_in(held + key) == set()
    assert {mine.ids.tenant, theirs.ids.tenant} <= looked_into


async def test_no_key_or_value_tells_who_it_was(redis: "Redis", mine: Estate) -> None:
    """People are ids at most, and of those who only ask a digest."""
    user = f"curious-{mine.word}"
    await mine.tenant.caller(user).get("/v1/bookings")
    async for key in redis.scan_iter(count=1000):
        assert user not in key + await content(redis, key)
