"""PostHog: told of what is done and asked for flags, in no request's way, and done without when it is away."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from libs.servicekit.tests.posthog_server import FLAGS_KEY, KEY, PostHogServer, group_flag
from prometheus_client import REGISTRY
from pydantic import ValidationError

from local_stack.clients.waiting import until
from servicekit import posthog, product
from servicekit.product import Flag, Product
from servicekit.settings import ProductSettings, settings_config

ACME, OTHER = UUID(int=1), UUID(int=2)
TESTED = Flag(name="tested", default=False, description="It is there to be tested")


class Settings(ProductSettings):
    model_config = settings_config("TEST_POSTHOG_")
    posthog_poll_seconds: float = 0.05  # no operator needs them as quickly


@asynccontextmanager
async def running(server: PostHogServer, **changes: Any) -> AsyncIterator[Product]:  # noqa: ANN401 - whatever a field takes
    """Run what a service has, with this PostHog."""
    async with server.serving() as host:
        stated = {"posthog_key": KEY, "posthog_host": host, "posthog_flags_key": FLAGS_KEY}
        made = product.of(Settings(**stated | changes))
        await made.start()
        try:
            yield made
        finally:
            await asyncio.wait_for(made.stop(), 60)


def counted(result: str) -> float:
    return REGISTRY.get_sample_value("product_events_total", {"result": result}) or 0.0


async def until_on(made: Product, tenant_id: UUID, flag: Flag = TESTED) -> None:
    async def look() -> bool:
        return made.enabled(flag, tenant_id)

    await until(look, f"{flag.name} on for {tenant_id}")


async def until_asked(server: PostHogServer, times: int) -> None:
    async def look() -> bool:
        return server.asked.count("/flags/definitions") >= times

    await until(look, f"definitions asked for {times} times")


def say(made: Product, tenant_id: UUID = ACME) -> None:
    made.tell("command ended", tenant_id=tenant_id, person="p1", properties={"outcome": "accepted"})


async def test_an_event_is_told_of_a_tenant_and_a_pseudonym_and_of_nothing_else() -> None:
    server = PostHogServer()
    async with running(server, posthog_flags_key=None) as made:
        say(made)
        say(made, OTHER)
    first, second = await server.heard(2)
    assert (first["event"], first["distinct_id"]) == ("command ended", "p1")
    assert (
        first["properties"].items()
        >= {
            "outcome": "accepted",
            "$groups": {"tenant": str(ACME)},
            "$process_person_profile": False,
            "$geoip_disable": True,
        }.items()
    )
    assert {name for name in first["properties"] if name[0] != "$"} == {"outcome"}
    assert {name for name in first["properties"] if name[0] == "$"} <= posthog._SENT_ALONG
    assert second["properties"]["$groups"] == {"tenant": str(OTHER)}
    assert set(server.asked) == {"/batch/"}, "without a key for flags, none are asked for"


async def test_a_flag_is_evaluated_here_for_each_tenant() -> None:
    server = PostHogServer()
    server.flags = [group_flag("tested", tenants=[str(ACME)]), group_flag("all"), group_flag("none", percentage=0)]
    async with running(server) as made:
        await until_on(made, ACME)
        assert not made.enabled(TESTED, OTHER)
        on = Flag(name="none", default=True, description="PostHog says no")
        assert not made.enabled(on, ACME)
        assert made.enabled(Flag(name="all", default=False, description="PostHog says yes"), OTHER)
        assert server.events == []
    assert set(server.asked) == {"/flags/definitions"}, "PostHog is not asked what a flag is for whom"


async def test_a_part_of_all_tenants_is_the_same_part_each_time() -> None:
    server = PostHogServer()
    server.flags = [group_flag("all"), group_flag("tested", percentage=50)]
    async with running(server) as made:
        await until_on(made, ACME, Flag(name="all", default=False, description="On, once it is known"))
        tenants = [UUID(int=number) for number in range(200)]
        on = [tenant for tenant in tenants if made.enabled(TESTED, tenant)]
        assert on == [tenant for tenant in tenants if made.enabled(TESTED, tenant)]
    assert 50 < len(on) < 150


async def test_flags_are_looked_at_again_in_the_background_and_hold_through_an_outage() -> None:
    server = PostHogServer()
    async with running(server) as made:
        await until_asked(server, 1)
        assert not made.enabled(TESTED, ACME)
        server.flags = [group_flag("tested")]
        await until_on(made, ACME)
        server.status = 500
        asked = server.asked.count("/flags/definitions")
        await until_asked(server, asked + 1)
        assert made.enabled(TESTED, ACME)
        server.status = None
        unchanged = server.unchanged

        async def look() -> bool:
            return server.unchanged > unchanged

        await until(look, "definitions asked for again, and not sent again")


@pytest.mark.parametrize("default", [False, True])
@pytest.mark.parametrize("state", ["broken", "slow", "refusing", "unknown", "inconclusive"])
async def test_the_default_holds_where_posthog_does_not_say(state: str, *, default: bool) -> None:
    server = PostHogServer()
    changes: dict[str, Any] = {}
    match state:
        case "broken":
            server.status = 503
        case "slow":
            server.gate = asyncio.Event()
        case "refusing":
            changes["posthog_flags_key"] = "phs_another-key-0a1b2c3d"
        case "unknown":
            server.flags = [group_flag("another")]
        case _:  # it asks for something of the tenant that we do not send
            server.flags = [group_flag("tested")]
            condition = {"key": "plan", "type": "group", "operator": "exact", "value": "large", "group_type_index": 0}
            server.flags[0]["filters"]["groups"][0]["properties"] = [condition]
    async with running(server, **changes) as made:
        flag = Flag(name="tested", default=default, description="It is there to be tested")
        assert made.enabled(flag, ACME) is default
        await until_asked(server, 1 if state == "slow" else 2)
        assert made.enabled(flag, ACME) is default
    assert set(server.asked) == {"/flags/definitions"}


async def test_an_operator_may_state_another_default() -> None:
    flag = Flag(name="tested", default=False, description="It is there to be tested")
    assert not product.of(Settings()).enabled(flag, ACME)
    assert product.of(Settings(flags={"tested": True})).enabled(flag, ACME)
    server = PostHogServer()
    server.flags = [group_flag("tested", tenants=[str(OTHER)])]
    async with running(server, flags={"tested": True}) as made:
        assert made.enabled(flag, ACME)

        async def look() -> bool:
            return not made.enabled(flag, ACME)

        await until(look, "PostHog has the last word")


async def test_nothing_waits_and_what_is_too_much_is_dropped_and_counted() -> None:
    server = PostHogServer()
    server.gate = asyncio.Event()
    before = {result: counted(result) for result in ("queued", "dropped")}
    told = posthog.QUEUED + 3 * posthog.BATCH
    async with running(server) as made:
        for _ in range(told):
            say(made)
        assert server.events == [], "all was told while PostHog did not answer"
        queued, dropped = (counted(result) - before[result] for result in ("queued", "dropped"))
        assert queued + dropped == told
        assert posthog.QUEUED <= queued <= posthog.QUEUED + posthog.BATCH
        server.gate.set()
        await server.heard(int(queued))


async def test_what_cannot_be_delivered_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    server = PostHogServer()
    server.status = 400
    before = counted("lost")
    async with running(server) as made:
        say(made)
    assert counted("lost") - before == 1
    assert "not now" in caplog.text


async def test_it_stops_while_posthog_does_not_answer() -> None:
    server = PostHogServer()
    server.gate = asyncio.Event()
    async with running(server) as made:
        say(made)
        await until_asked(server, 1)
        await asyncio.wait_for(made.stop(), 60)
        assert not server.gate.is_set()


def test_no_key_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    masked = posthog._Masked([KEY, FLAGS_KEY])
    for name in posthog._LOGGERS:
        logger = logging.getLogger(name)
        logger.addFilter(masked)
        logger.warning("no answer at /flags/definitions?token=%s for %s", KEY, FLAGS_KEY)
        logger.removeFilter(masked)
    assert len(caplog.records) == len(posthog._LOGGERS)
    assert KEY not in caplog.text
    assert FLAGS_KEY not in caplog.text


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValidationError, match="of no use without posthog_key"):
        Settings(posthog_flags_key=FLAGS_KEY)
    with pytest.raises(ValidationError, match="URL"):
        Settings(posthog_host="eu.i.posthog.com")
