"""People: from Clerk's webhooks to members with names; who is removed is out, over HTTP and on the socket."""

import asyncio
import time
from functools import partial

import aiohttp

from local_stack import clerk
from local_stack.clerk import Clerk
from local_stack.clients.caller import expect
from local_stack.clients.tenant import Tenant, wish
from local_stack.clients.waiting import until


def clerk_of(tenant: Tenant, session: aiohttp.ClientSession) -> Clerk:
    secret = tenant.at.engines.credentials.webhook_secret
    return Clerk(session=session, gateway_url=tenant.at.gateway_url, secret=secret)


def people(items: list[dict[str, str]]) -> list[tuple[str, str, str, str]]:
    return [(item["id"], item["role"], item["name"], item["email"]) for item in items]


async def test_what_clerk_tells_is_read_back_with_names_that_no_event_holds(
    tenant: Tenant, session: aiohttp.ClientSession
) -> None:
    tell, name = clerk_of(tenant, session).tell, tenant.name
    for kind, data in (
        ("organization.created", clerk.organization(name, name="Acme Touring")),
        ("organizationInvitation.created", clerk.invitation(name, f"ben-{name}")),
        ("organizationInvitation.accepted", clerk.invitation(name, f"ben-{name}")),
        ("organizationMembership.created", clerk.membership(name, f"ana-{name}", "admin")),
        ("organizationMembership.created", clerk.membership(name, f"ben-{name}")),
        ("session.created", {"id": "sess_1"}),
    ):
        assert await tell(kind, data) == 200
    viewer = tenant.caller("eve", "viewer")
    told = expect(await viewer.get("/v1/tenant"), 200).body
    assert (told["id"], told["org_id"], told["name"], told["status"]) == (
        str(tenant.id),
        f"org_{name}",
        "Acme Touring",
        "active",
    )
    members = await viewer.every("/v1/members", {"limit": 1})
    assert people(members) == [
        (f"user_{who}-{name}", role, f"{who}-{name}".title(), f"{who}-{name}@example.org")
        for who, role in (("ana", "org:admin"), ("ben", "org:member"))
    ]
    events = await viewer.events("tenancy")
    assert [event["type"] for event in events] == [
        "TenantCreated",
        "TenantAmended",
        "InvitationSent",
        "InvitationAccepted",
        "MemberAdded",
        "MemberAdded",
    ]
    assert "example.org" not in str(events)
    assert {event["actor"] for event in events} == {"clerk"}


async def test_another_tenants_members_are_not_there(
    tenant: Tenant, other_tenant: Tenant, session: aiohttp.ClientSession
) -> None:
    tell = clerk_of(tenant, session).tell
    assert await tell("organizationMembership.created", clerk.membership(tenant.name, f"ana-{tenant.name}")) == 200
    assert await other_tenant.caller().every("/v1/members") == []
    assert len(await tenant.caller().every("/v1/members")) == 1


async def test_webhooks_count_in_the_order_of_their_times_and_once(
    tenant: Tenant, session: aiohttp.ClientSession
) -> None:
    told, user, now = clerk_of(tenant, session), f"ben-{tenant.name}", time.time()
    messages = [
        told.message("organizationMembership.created", clerk.membership(tenant.name, user), at=now - 30),
        told.message("organizationMembership.updated", clerk.membership(tenant.name, user, "admin"), at=now - 20),
        told.message("organizationMembership.updated", clerk.membership(tenant.name, user, "viewer"), at=now - 10),
    ]
    for message in (messages[2], messages[0], messages[1], messages[2], messages[1]):
        assert await told.deliver(message) == 200
    caller = tenant.caller()
    (member,) = await caller.every("/v1/members")
    assert member["role"] == "org:viewer"
    assert [event["type"] for event in await caller.events("tenancy")] == ["TenantCreated", "MemberAdded"]
    gone = told.message("organizationMembership.deleted", clerk.membership(tenant.name, user), at=now - 5)
    assert await told.deliver(gone) == 200
    for message in messages:
        assert await told.deliver(message) == 200
    assert await caller.every("/v1/members") == []


async def test_who_is_removed_is_out_over_http_and_on_the_sockets_though_the_token_lives(
    tenant: Tenant, session: aiohttp.ClientSession
) -> None:
    told, user, past = clerk_of(tenant, session), f"ben-{tenant.name}", int(time.time()) - 60
    artist = await tenant.artist()
    ben = tenant.caller(user, "member", iat=past)
    booking = expect(await ben.post("/v1/bookings", wish(artist)), 201).body
    watchers = [tenant.watcher(user, "member", instance=n, iat=past) for n in (0, 1)]
    for watcher in watchers:
        await watcher.connect()
    async with tenant.watcher() as ana:
        assert await told.tell("organizationMembership.deleted", clerk.membership(tenant.name, user)) == 200

        async def is_out() -> bool:
            return (await ben.get("/v1/bookings")).slug == "forbidden"

        await until(is_out, "the gateway refuses who was removed")
        for answer in (
            await ben.post(f"/v1/bookings/{booking['id']}/confirm"),
            await ben.get(f"/v1/bookings/{booking['id']}"),
            await tenant.caller(user, "member", iat=past, url=tenant.at.booking_url).get("/v1/head"),
            await tenant.caller(user, "member", iat=past, url=tenant.at.tenancy_url).get("/v1/head"),
        ):
            assert (answer.status, answer.slug) == (403, "forbidden")
        for watcher in watchers:
            await watcher.until(partial(bool, watcher.refusals), "its reconnect is refused")
            assert not watcher.connected
            await watcher.disconnect()
        await ana.until(lambda: any(one.name == "member:removed" for one in ana.heard), "member:removed")
        assert ana.connected
    assert expect(await tenant.caller().get(f"/v1/bookings/{booking['id']}"), 200).body == booking
    assert await told.tell("organizationMembership.created", clerk.membership(tenant.name, user)) == 200

    async def is_back() -> bool:
        return (await tenant.caller(user, "member").get("/v1/bookings")).status == 200

    await until(is_back, "with a new token the door is open again")
    assert (await ben.get("/v1/bookings")).slug == "forbidden"


async def test_a_user_who_is_deleted_leaves_no_name_behind(tenant: Tenant, session: aiohttp.ClientSession) -> None:
    told, user = clerk_of(tenant, session), f"ben-{tenant.name}"
    assert await told.tell("organizationMembership.created", clerk.membership(tenant.name, user)) == 200
    assert await told.tell("user.deleted", {"id": f"user_{user}", "deleted": True}) == 200
    assert await told.tell("user.updated", clerk.user(user), at=time.time() + 60) == 200
    (member,) = await tenant.caller().every("/v1/members")
    assert (member["id"], member["name"], member["email"]) == (f"user_{user}", None, None)


async def test_many_webhooks_at_once_in_any_order_leave_the_newest(
    tenant: Tenant, session: aiohttp.ClientSession
) -> None:
    told, user, now = clerk_of(tenant, session), f"ben-{tenant.name}", time.time()
    roles = ["admin", "member", "viewer"]
    messages = [
        told.message(
            "organizationMembership.updated", clerk.membership(tenant.name, user, roles[n % 3]), at=now - 60 + n
        )
        for n in range(30)
    ]
    statuses = await asyncio.gather(*(told.deliver(message) for message in [*messages[::-2], *messages]))
    assert set(statuses) <= {200, 202}

    async def is_newest() -> bool:
        return [one["role"] for one in await tenant.caller().every("/v1/members")] == [f"org:{roles[29 % 3]}"]

    await until(is_newest, "the newest role stands")
