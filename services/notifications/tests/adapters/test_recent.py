"""Recent events in a real Redis."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from local_stack.redis_server import Redis as RedisServer
from notifications.adapters.recent import RedisRecent, connect, stream_key
from notifications.application.ports import RecentUnavailableError
from notifications.domain.positions import LiveEvent
from notifications.testing.memory import live_event


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def recent(redis: Redis) -> RedisRecent:
    return RedisRecent(redis, kept=100, expire_s=60)


async def test_an_entry_is_found_by_its_position(recent: RedisRecent) -> None:
    tenant_id = uuid4()
    events = [live_event("booking", position) for position in (7, 8, 9)]
    await recent.publish({(tenant_id, "booking"): events, (tenant_id, "tenancy"): [live_event("tenancy", 1)]})
    assert await recent.after(tenant_id, "booking", 7) == events[1:]
    assert await recent.after(tenant_id, "booking", 9) == []
    streams = [(tenant_id, "booking"), (tenant_id, "tenancy"), (uuid4(), "booking")]
    assert await recent.last(streams) == [9, 1, 0]


async def test_a_repeat_changes_nothing_and_is_told_to_nobody(recent: RedisRecent, redis: Redis) -> None:
    tenant_id = uuid4()
    events = [live_event("booking", position) for position in (1, 2)]
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(f"live:{{{tenant_id}}}")
        for _ in range(3):
            await recent.publish({(tenant_id, "booking"): events})
        await recent.publish({(tenant_id, "booking"): [*events, live_event("booking", 3)]})
        told = [message["data"] async for message in _messages(pubsub, 2)]
    assert [text.count("\n") for text in told] == [2, 1]
    assert [event.position for event in await recent.after(tenant_id, "booking", 0)] == [1, 2, 3]


async def _messages(pubsub, count: int):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    async for message in pubsub.listen():
        if message["type"] == "message":
            yield message
            count -= 1
            if not count:
                return


async def test_large_positions_are_told_apart(recent: RedisRecent) -> None:
    tenant_id = uuid4()
    first = 2**53 - 3
    for position in (first, first + 1, first + 2):
        await recent.publish({(tenant_id, "booking"): [live_event("booking", position)]})
    found = await recent.after(tenant_id, "booking", first)
    assert [event.position for event in found] == [first + 1, first + 2]


async def test_an_event_that_tells_nothing_comes_back_as_such(recent: RedisRecent) -> None:
    tenant_id = uuid4()
    silent = LiveEvent(stream="booking", position=1, payload=None)
    await recent.publish({(tenant_id, "booking"): [silent]})
    assert await recent.after(tenant_id, "booking", 0) == [silent]


async def test_only_the_last_events_are_kept_and_not_for_ever(recent: RedisRecent, redis: Redis) -> None:
    tenant_id = uuid4()
    for first in range(1, 1_001, 100):
        events = [live_event("booking", position) for position in range(first, first + 100)]
        await recent.publish({(tenant_id, "booking"): events})
    key = stream_key(tenant_id, "booking")
    assert 100 <= await redis.xlen(key) < 400
    assert 0 < await redis.ttl(key) <= 60
    assert await recent.last([(tenant_id, "booking")]) == [1_000]


async def test_the_script_is_loaded_again_where_redis_forgot_it(recent: RedisRecent, redis: Redis) -> None:
    tenant_id = uuid4()
    await recent.publish({(tenant_id, "booking"): [live_event("booking", 1)]})
    await redis.script_flush()
    await recent.publish({(tenant_id, "booking"): [live_event("booking", 2)]})
    assert await recent.last([(tenant_id, "booking")]) == [2]


async def test_an_outage_is_said_and_passes(recent: RedisRecent, redis_server: RedisServer) -> None:
    tenant_id = uuid4()
    batch = {(tenant_id, "booking"): [live_event("booking", 1)]}
    redis_server.stop()
    try:
        with pytest.raises(RecentUnavailableError):
            await recent.publish(batch)
        with pytest.raises(RecentUnavailableError):
            await recent.after(tenant_id, "booking", 0)
        with pytest.raises(RecentUnavailableError):
            await recent.last([(tenant_id, "booking")])
    finally:
        redis_server.start()
    await recent.publish(batch)
    assert await recent.last([(tenant_id, "booking")]) == [1]
