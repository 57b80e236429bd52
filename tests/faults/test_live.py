"""Watchers through broken connections, lost instances and a Redis that forgets."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
import redis.asyncio
import socketio.exceptions

from local_stack.clients.caller import expect
from local_stack.clients.tenant import Tenant
from local_stack.clients.waiting import PATIENCE_SECONDS
from local_stack.clients.watcher import Watcher
from local_stack.part import Part

BURST = 20


async def book(tenant: Tenant, artist: dict[str, str], numbers: range) -> None:
    await asyncio.gather(*(tenant.booking(artist, number) for number in numbers))


async def heard_all(tenant: Tenant, *watchers: Watcher) -> None:
    """Hold that each has heard the tenant's bookings, each once, in order."""
    events = [(event["position"], event["id"]) for event in await tenant.caller().events()]
    for watcher in watchers:
        await watcher.reached("booking", len(events))
        assert [(heard.position, heard.message["id"]) for heard in watcher.of("booking")] == events
        assert watcher.resyncs == []


async def flush(tenant: Tenant) -> None:
    """Let Redis forget everything."""
    async with redis.asyncio.from_url(tenant.at.engines.redis_url, socket_connect_timeout=PATIENCE_SECONDS) as client:
        await client.flushall()


async def test_watchers_of_two_tenants_on_two_instances_miss_and_repeat_nothing_while_redis_forgets_and_lines_break(
    new_tenant: Callable[[], Tenant],
) -> None:
    tenants = [new_tenant(), new_tenant()]
    artists = [await tenant.artist() for tenant in tenants]
    async with AsyncExitStack() as stack:
        watchers = [
            [await stack.enter_async_context(tenant.watcher(instance=instance)) for instance in (0, 1)]
            for tenant in tenants
        ]
        for step in range(3):
            booking = asyncio.gather(
                *(
                    book(tenant, artist, range(step * BURST, (step + 1) * BURST))
                    for tenant, artist in zip(tenants, artists, strict=True)
                )
            )
            await flush(tenants[0])
            await asyncio.gather(*(pair[step % 2].drop() for pair in watchers))
            await booking
        for tenant, pair in zip(tenants, watchers, strict=True):
            await heard_all(tenant, *pair)


async def test_a_watcher_that_was_away_while_redis_forgot_hears_what_it_missed(tenant: Tenant) -> None:
    artist = await tenant.artist()
    async with tenant.watcher() as watcher:
        await book(tenant, artist, range(5))
        await watcher.reached("booking", 5)
    await book(tenant, artist, range(5, 10))
    await flush(tenant)
    again = tenant.watcher(instance=1, after=watcher.positions)
    async with again:
        await book(tenant, artist, range(10, 12))
        await again.reached("booking", 12)
    assert [heard.position for heard in (*watcher.of("booking"), *again.of("booking"))] == list(range(1, 13))


async def test_when_an_instance_dies_the_other_goes_on_and_its_watchers_come_back_to_where_they_were(
    tenant: Tenant, part: Callable[[str], Part]
) -> None:
    artist = await tenant.artist()
    async with tenant.watcher(instance=0) as on_the_dead, tenant.watcher(instance=1) as on_the_living:
        await book(tenant, artist, range(BURST))
        await on_the_dead.reached("booking", 1)
        part("notifications").kill()
        await book(tenant, artist, range(BURST, 2 * BURST))
        await asyncio.to_thread(part("notifications").start)
        await on_the_dead.until(lambda: len(on_the_dead.ready) == 2, "ready again")
        await book(tenant, artist, range(2 * BURST, 2 * BURST + 5))
        await heard_all(tenant, on_the_dead, on_the_living)


async def test_an_instance_that_is_stopped_sends_its_watchers_away_and_they_come_back(
    tenant: Tenant, part: Callable[[str], Part]
) -> None:
    artist = await tenant.artist()
    async with tenant.watcher(instance=1) as watcher:
        await book(tenant, artist, range(3))
        await asyncio.to_thread(part("notifications-2").restart)
        await watcher.until(lambda: len(watcher.ready) == 2, "ready again")
        await book(tenant, artist, range(3, 6))
        await heard_all(tenant, watcher)


async def test_while_booking_is_away_who_watches_goes_on_hearing_of_the_roster(
    tenant: Tenant, part: Callable[[str], Part]
) -> None:
    artist = await tenant.artist()
    async with tenant.watcher() as watcher:
        await asyncio.to_thread(part("booking").stop)
        expect(await tenant.caller().patch(f"/v1/artists/{artist['id']}", {"name": "Ada"}), 200)
        await watcher.reached("tenancy", 3)
        refused = tenant.watcher()
        with pytest.raises(socketio.exceptions.ConnectionError):
            await refused.connect()
        await refused.disconnect()
        assert [refusal["message"] for refusal in refused.refusals] == ["unavailable"]
        await asyncio.to_thread(part("booking").start)
        await tenant.booking(artist)
        await heard_all(tenant, watcher)
