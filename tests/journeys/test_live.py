"""What watchers hear: stock Socket.IO clients of two tenants on two instances of notifications."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import socketio.exceptions

from local_stack.clients.caller import expect
from local_stack.clients.tenant import Tenant
from local_stack.clients.topic import Topic
from local_stack.clients.watcher import Watcher

NIGHTS = 15
SOCKET_NAMES = {
    "BookingCreated": "booking:created",
    "BookingConfirmed": "booking:confirmed",
    "BookingCancelled": "booking:cancelled",
    "BookingRescheduled": "booking:rescheduled",
    "BookingAmended": "booking:amended",
    "TenantCreated": "tenant:created",
    "ArtistCreated": "artist:created",
    "ArtistAmended": "artist:amended",
    "ArtistArchived": "artist:archived",
}

CREW_ONLY: dict[str, Any] = {
    "notes": "for the crew only",
    "contact": {"name": "Ana", "email": None, "phone": "110"},
    "fee": {"amount": 150_000, "currency": "EUR"},
}


def as_heard(events: list[Any]) -> list[tuple[str, Any]]:
    """Say what a socket must hear of these events: no actor, no sensitive field."""
    kept = ("stream", "position", "id", "type", "occurred_at")
    return [
        (
            SOCKET_NAMES[event["type"]],
            {name: event[name] for name in kept}
            | {"data": {name: value for name, value in event["data"].items() if name not in CREW_ONLY}},
        )
        for event in events
    ]


def heard(watcher: Watcher, stream: str) -> list[tuple[str, Any]]:
    return [(message.name, message.message) for message in watcher.of(stream)]


async def miss_one(watcher: Watcher, tenant: Tenant, artist: dict[str, Any], number: int) -> None:
    """Let a watcher's connection break, book, and wait until it is connected again."""
    connections = len(watcher.ready)
    await watcher.drop()
    await tenant.booking(artist, number)
    await watcher.until(lambda: len(watcher.ready) > connections, "another ready")


async def live(tenant: Tenant) -> None:
    """Write something of everything into a tenant's calendar."""
    artist = await tenant.artist()
    caller = tenant.caller()

    async def have_a_night(number: int) -> None:
        booking = await tenant.booking(artist, number, **CREW_ONLY)
        address = f"/v1/bookings/{booking['id']}"
        expect(await caller.post(f"{address}/confirm"), 200)
        expect(await caller.patch(address, {"title": f"Renamed {number}"}), 200)
        expect(await caller.post(f"{address}/cancel", {"reason": "rain"}), 200)

    await asyncio.gather(*(have_a_night(number) for number in range(NIGHTS)))
    expect(await caller.patch(f"/v1/artists/{artist['id']}", {"name": "Renamed"}), 200)
    expect(await caller.post(f"/v1/artists/{artist['id']}/archive"), 200)


async def test_watchers_of_two_tenants_on_two_instances_hear_each_event_of_their_own_once_and_in_order(
    new_tenant: Callable[[], Tenant],
) -> None:
    tenants = [new_tenant(), new_tenant()]
    async with AsyncExitStack() as stack:
        watchers = {
            (tenant.name, instance): await stack.enter_async_context(tenant.watcher(instance=instance))
            for tenant in tenants
            for instance in (0, 1)
        }
        await asyncio.gather(*(live(tenant) for tenant in tenants))
        for tenant in tenants:
            for stream in ("booking", "tenancy"):
                events = await tenant.caller().events(stream)
                for instance in (0, 1):
                    watcher = watchers[tenant.name, instance]
                    await watcher.reached(stream, events[-1]["position"])
                    assert heard(watcher, stream) == as_heard(events)
                    assert watcher.resyncs == []


async def test_store_topic_and_sockets_hold_the_same_events_at_the_same_positions(tenant: Tenant) -> None:
    async with tenant.watcher() as watcher, Topic(tenant.at.downstream, "booking.events.v1") as topic:
        await live(tenant)
        paged = await tenant.caller().events(limit=7)
        await watcher.reached("booking", paged[-1]["position"])
        published = await topic.of_tenant(tenant.id)

    assert [event["position"] for event in paged] == list(range(1, 4 * NIGHTS + 1))
    assert [record.position for record in published] == [event["position"] for event in paged]
    assert [record.headers["ce_id"] for record in published] == [event["id"] for event in paged]
    assert [message.message["id"] for message in watcher.of("booking")] == [event["id"] for event in paged]
    for record, event in zip(published, paged, strict=True):
        # What is sensitive rests sealed in the store and travels sealed; only the gateway opens it.
        assert set(record.event["data"]["notes"]) == {"kid", "ct"}
        assert set(record.event["data"]["fee"]["amount"]) == {"kid", "ct"}
        opened = record.event | {"data": record.event["data"] | CREW_ONLY}
        assert opened == event
        assert record.headers["ce_tenantid"] == str(tenant.id)


async def test_who_connects_with_after_hears_everything_past_it_and_who_connects_without_only_what_comes(
    tenant: Tenant,
) -> None:
    artist = await tenant.artist()
    for number in range(3):
        await tenant.booking(artist, number)
    async with tenant.watcher(after={"booking": 1}) as late, tenant.watcher() as new:
        assert late.ready[0]["booking"] == 3
        assert (new.ready[0]["booking"], new.ready[0]["tenancy"]) == (3, 2)
        assert new.ready[0]["tenant_id"] == str(tenant.id)
        await tenant.booking(artist, 3)
        for watcher in (late, new):
            await watcher.reached("booking", 4)
    assert [message.position for message in late.of("booking")] == [2, 3, 4]
    assert late.of("tenancy") == []
    assert [message.position for message in new.of("booking")] == [4]


async def test_who_claims_to_be_ahead_or_names_another_epoch_is_told_to_begin_anew(tenant: Tenant) -> None:
    artist = await tenant.artist()
    await tenant.booking(artist)
    ahead = tenant.watcher(after={"booking": 99, "tenancy": 2})
    async with ahead:
        await ahead.until(lambda: ahead.resyncs, "resync")
        assert ahead.resyncs == [{"stream": "booking", "position": 1}]
    of_old = tenant.watcher(after={"booking": 1, "tenancy": 2})
    of_old.epoch = "another"
    async with of_old:
        await of_old.until(lambda: len(of_old.resyncs) == 2, "two resyncs")
        assert sorted(message["stream"] for message in of_old.resyncs) == ["booking", "tenancy"]


async def test_a_watcher_whose_connection_breaks_goes_on_where_it_was(tenant: Tenant) -> None:
    artist = await tenant.artist()
    async with tenant.watcher() as watcher:
        for number in range(6):
            await tenant.booking(artist, number)
            if number % 2:
                await miss_one(watcher, tenant, artist, 100 + number)
        events = await tenant.caller().events()
        await watcher.reached("booking", events[-1]["position"])
        assert heard(watcher, "booking") == as_heard(events)
        assert len(watcher.ready) == 4


@pytest.mark.parametrize(
    ("words", "slug"),
    [
        ({"ttl": timedelta(seconds=-60)}, "unauthenticated"),
        ({"iss": "https://elsewhere.example"}, "unauthenticated"),
        ({"role": "stranger"}, "forbidden"),
    ],
    ids=["a token that has run out", "a token of another issuer", "a role that we do not know"],
)
async def test_who_may_not_watch_is_refused_with_the_slug(tenant: Tenant, words: dict[str, Any], slug: str) -> None:
    watcher = tenant.watcher(**words)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await watcher.connect()
    await watcher.disconnect()
    assert [refusal["message"] for refusal in watcher.refusals] == [slug]


async def test_a_viewer_may_watch(tenant: Tenant) -> None:
    async with tenant.watcher("eva", "viewer") as watcher:
        await tenant.artist()
        await watcher.reached("tenancy", 2)


async def test_a_renewed_token_keeps_the_socket_open_and_one_that_runs_out_closes_it(tenant: Tenant) -> None:
    short = timedelta(seconds=4)
    renewed, left = tenant.watcher("eva", ttl=short), tenant.watcher("tom", ttl=short)
    left.client.reconnection = False
    async with renewed, left:
        expires = datetime.fromisoformat((await renewed.renew(tenant.token("eva")))["expires_at"])
        assert expires > datetime.now(UTC) + timedelta(hours=1)
        for stranger in (tenant.token("tom"), tenant.at.token(tenant="elsewhere", user="eva")):
            assert (await renewed.renew(stranger))["error"]["type"] == "/problems/forbidden"
        await left.until(lambda: left.disconnects, "the end of the token")
        assert renewed.disconnects == []
        await tenant.artist()
        await renewed.reached("tenancy", 2)
    assert left.heard == []
