"""Callers who ask too often, on a gateway with low limits."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from local_stack.clients.tenant import Tenant
from local_stack.part import Part
from local_stack.port import free_ports
from local_stack.services import Instance
from local_stack.system import System


@pytest.fixture
def strict(whole: System) -> Instance:
    """A gateway that lets a user ask 20 times in an hour, and a tenant 30 times."""
    port = free_ports(1)[0]
    limits = {"RATE_LIMIT_USER": "20/hour", "RATE_LIMIT_TENANT": "30/hour", "RATE_LIMIT_TIMEOUT_SECONDS": "5"}
    return whole.services.start("gateway", number=7, port=port, **limits)


async def test_a_user_beyond_the_limit_is_told_to_wait_and_others_are_not(tenant: Tenant, strict: Instance) -> None:
    eager, calm = tenant.caller("eager", url=strict.url), tenant.caller("calm", url=strict.url)
    answers = await asyncio.gather(*(eager.get("/v1/tenant") for _ in range(60)))
    assert Counter(answer.slug for answer in answers) == {"not-found": 20, "rate-limited": 40}
    for answer in answers:
        assert {"ratelimit", "ratelimit-policy"} <= {name.lower() for name in answer.headers}
        if answer.slug == "rate-limited":
            assert answer.status == 429
            assert int(answer.headers["Retry-After"]) > 0
    assert (await calm.get("/v1/tenant")).slug == "not-found"


async def test_a_tenant_beyond_the_limit_is_told_to_wait_and_other_tenants_are_not(
    tenant: Tenant, other_tenant: Tenant, strict: Instance
) -> None:
    callers = [tenant.caller(f"user{number}", url=strict.url) for number in range(40)]
    answers = await asyncio.gather(*(caller.get("/v1/tenant") for caller in callers))
    assert Counter(answer.slug for answer in answers) == {"not-found": 30, "rate-limited": 10}
    assert (await other_tenant.caller(url=strict.url).get("/v1/tenant")).slug == "not-found"


async def test_without_redis_the_gateway_counts_by_itself(
    tenant: Tenant, strict: Instance, part: Callable[[str], Part]
) -> None:
    part("redis").kill()
    caller = tenant.caller(url=strict.url)
    slugs = Counter([(await caller.get("/v1/tenant")).slug for _ in range(25)])
    assert slugs == {"not-found": 20, "rate-limited": 5}
