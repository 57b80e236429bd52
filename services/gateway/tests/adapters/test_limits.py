"""Rate limits: counted together, and alone while Redis is away."""

from uuid import uuid4

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.adapters.limits import BREAKER_SECONDS, RateLimits
from gateway.testing import FakeCounts

TENANT = uuid4()


class Rig:
    """Limits of three a user and five a tenant, on counts and a clock under the test's control."""

    def __init__(self) -> None:
        self.shared, self.local = FakeCounts(), FakeCounts()
        self.now = 100.0
        self.limits = RateLimits(
            self.shared,
            user="3/second",
            tenant="5/second",
            timeout_seconds=0.02,
            local=self.local,
            clock=lambda: self.now,
        )


def is_alone(rig: Rig) -> bool:
    return rig.limits.alone


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_what_is_left_goes_down_to_less_than_nothing(rig: Rig) -> None:
    left = [[quota.remaining for quota in await rig.limits.count(TENANT, "user_ana")] for _ in range(5)]
    assert left == [[2, 4], [1, 3], [0, 2], [-1], [-2]]
    (user,) = await rig.limits.count(TENANT, "user_ana")
    assert (user.name, user.limit, user.window_seconds, user.exceeded) == ("user", 3, 1, True)


async def test_what_a_users_limit_refuses_is_not_taken_from_the_others_of_the_tenant(rig: Rig) -> None:
    for _ in range(50):
        await rig.limits.count(TENANT, "eager")
    assert [quota.remaining for quota in await rig.limits.count(TENANT, "calm")] == [2, 1]


async def test_what_a_users_limit_refuses_is_not_taken_from_the_others_while_redis_is_away_either(rig: Rig) -> None:
    rig.shared.fault = RedisConnectionError("down")
    for _ in range(50):
        await rig.limits.count(TENANT, "eager")
    assert [quota.remaining for quota in await rig.limits.count(TENANT, "calm")] == [2, 1]


async def test_users_share_their_tenants_limit_and_tenants_share_nothing(rig: Rig) -> None:
    for user in ("a", "b", "c", "d", "e"):
        await rig.limits.count(TENANT, user)
    assert (await rig.limits.count(TENANT, "f"))[1].exceeded
    elsewhere = await rig.limits.count(uuid4(), "a")
    assert [quota.remaining for quota in elsewhere] == [2, 4]


async def test_no_key_names_a_user(rig: Rig) -> None:
    await rig.limits.count(TENANT, "user_ana")
    assert not any("ana" in key for key in rig.shared.counted)


async def test_without_redis_this_replica_counts_alone(rig: Rig) -> None:
    rig.shared.fault = RedisConnectionError("down")
    left = [(await rig.limits.count(TENANT, "a"))[0].remaining for _ in range(4)]
    assert left == [2, 1, 0, -1]


async def test_what_this_replica_counts_alone_is_counted_as_redis_does() -> None:
    """Its own counts, and not those of a test."""
    shared = FakeCounts()
    shared.fault = RedisConnectionError("down")
    limits = RateLimits(shared, user="2/minute", tenant="3/minute", timeout_seconds=0.02)
    left = [[quota.remaining for quota in await limits.count(TENANT, user)] for user in ("a", "a", "a", "b", "c")]
    assert left == [[1, 2], [0, 1], [-1], [1, 0], [1, -1]]


async def test_a_redis_that_hangs_is_left_alone_for_a_while(rig: Rig) -> None:
    rig.shared.hangs = True
    await rig.limits.count(TENANT, "a")
    assert is_alone(rig)
    rig.shared.hangs = False
    await rig.limits.count(TENANT, "a")
    assert rig.shared.counted == {}
    rig.now += BREAKER_SECONDS
    await rig.limits.count(TENANT, "a")
    assert not is_alone(rig)
    assert rig.shared.counted != {}
