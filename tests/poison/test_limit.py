"""More poison than the limit allows: the consumer stops in front of it, says so, and goes on when it is told to."""

import asyncio
from collections.abc import Iterator

import aiohttp
import pytest
from tests.poison.mail import Tool, command, hire, location, publish, recorded, status

from local_stack.clients.tenant import Tenant
from local_stack.clients.waiting import until
from local_stack.services import Instance
from local_stack.system import System


@pytest.fixture
def tenancy(poisoned: System) -> Iterator[Instance]:
    """Tenancy with a limit of three dead letters in a row; as it was, afterwards."""
    instance = next(one for one in poisoned.services.instances if one.name == "tenancy")
    usual = dict(instance.child.environment)
    instance.child.environment["TENANCY_DEAD_LETTERS_IN_A_ROW"] = "3"
    instance.restart()
    yield instance
    instance.child.environment = usual
    instance.restart()


async def readiness(session: aiohttp.ClientSession, instance: Instance) -> tuple[int, list[str]]:
    async with session.get(f"{instance.url}/readyz") as answer:
        return answer.status, (await answer.json()).get("failing", [])


async def test_a_consumer_that_meets_too_much_poison_stops_loudly_and_goes_on_with_a_higher_limit(
    tenant: Tenant, other_tenant: Tenant, tenancy: Instance, session: aiohttp.ClientSession
) -> None:
    tool = Tool(tenant, "tenancy")
    bad = [command(tenant, hire()) for _ in range(6)]
    after = command(tenant, hire("after"))
    await publish(tenant, *(recorded(one, value=b"{") for one in bad), recorded(after))

    async def stopped() -> bool:
        return (await readiness(session, tenancy)) == (503, ["consumers", "dead-letters"])

    await until(stopped, "tenancy says that it has stopped")
    async with session.get(f"{tenancy.url}/metrics") as answer:
        assert 'consumer_stopped{consumer="tenancy"} 1.0' in await answer.text()
    assert "more than 3 in a row of a partition can't be handled" in tenancy.log.read_text()
    assert len(await tool.letters()) == 3, "no more than the limit"
    assert [await status(tenant, one) for one in (bad[5], after)] == ["pending", "pending"]
    elsewhere = await other_tenant.caller().get("/v1/artists")
    assert (elsewhere.status, elsewhere.body["items"]) == (200, []), "what can be read is read"

    tenancy.child.environment["TENANCY_DEAD_LETTERS_IN_A_ROW"] = "100"
    await asyncio.to_thread(tenancy.restart)
    assert (await tenant.caller().decided(location(tenant, after)))["status"] == "accepted"
    letters = await tool.when_there(6)
    assert [letter.header("ce_id") for letter in letters] == [str(one.id) for one in bad]
    assert letters[0].times <= 2, "put aside again after the start, and one letter still"
