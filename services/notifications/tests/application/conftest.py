"""The stage on which hubs are tested, once with recent events in memory and once in Redis."""

from collections.abc import AsyncIterator

import pytest

from notifications.testing.stage import MemoryStage, RedisStage, Stage


@pytest.fixture(params=["memory", "redis"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    made: Stage = MemoryStage() if request.param == "memory" else RedisStage(request.getfixturevalue("redis_url"))
    try:
        yield made
    finally:
        await made.end()
