"""Leaving: a tenant is taken along as a zip, and deleted, by its owner or at Clerk; then nobody is let in any more."""

import asyncio
import hashlib
import json
import os
import sys
import time
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from tests.journeys.test_people import clerk_of

from local_stack import clerk
from local_stack.clients.caller import Caller, expect
from local_stack.clients.nights import night
from local_stack.clients.tenant import Tenant, wish
from local_stack.clients.topic import Topic
from local_stack.clients.waiting import until


def doors(tenant: Tenant) -> list[Caller]:
    """Everywhere that a token of the tenant is taken, in each role."""
    urls = (tenant.at.gateway_url, tenant.at.booking_url, tenant.at.tenancy_url)
    return [tenant.caller("eve", role, url=url) for url in urls for role in ("admin", "member", "viewer")]


async def told(tenant: Tenant) -> list[str]:
    """What tenancy has told of a tenant on its topic."""
    async with Topic(tenant.at.downstream, "tenancy.events.v1") as topic:
        return [published.event["type"] for published in await topic.of_tenant(tenant.id)]


async def expect_gone(tenant: Tenant, session: aiohttp.ClientSession, booking: dict[str, Any]) -> None:
    """Hold that nobody of a tenant is let in anywhere, and that nothing that is heard later changes anything."""

    async def is_out(caller: Caller) -> bool:
        return (
            await caller.get("/v1/head" if caller.url != tenant.at.gateway_url else "/v1/tenant")
        ).slug == "forbidden"

    for caller in doors(tenant):
        await until(partial(is_out, caller), f"{caller.url} refuses a deleted tenant")
    ana = tenant.caller()
    path = f"/v1/bookings/{booking['id']}"
    for answer in (
        await ana.get(path),
        await ana.get(path, {"as_of": booking["created_at"]}),
        await ana.get("/v1/events", {"stream": "tenancy"}),
        await ana.post(f"{path}/confirm"),
        await ana.post("/v1/artists", {"name": "Rosa"}, headers={"Prefer": "respond-async"}),
        await ana.delete("/v1/tenant", {"confirm": str(tenant.id)}),
    ):
        assert (answer.status, answer.slug, answer.body["detail"]) == (
            403,
            "forbidden",
            "This organisation is deleted.",
        )
    before = await told(tenant)
    assert before[-1] == "TenantDeleted"
    tell, later = clerk_of(tenant, session).tell, time.time() + 60
    for kind, data in (
        ("organization.updated", clerk.organization(tenant.name, name="Back again")),
        ("organizationMembership.created", clerk.membership(tenant.name, "ben")),
        ("organizationInvitation.created", clerk.invitation(tenant.name, "cem")),
        ("organization.deleted", {"id": f"org_{tenant.name}", "deleted": True}),
    ):
        assert await tell(kind, data, at=later) == 200
    assert await told(tenant) == before
    assert (await ana.get("/v1/tenant")).slug == "forbidden"


async def test_a_tenant_that_its_owner_deletes_is_gone_at_once_everywhere_and_for_good(
    tenant: Tenant, other_tenant: Tenant, session: aiohttp.ClientSession
) -> None:
    booking = await tenant.booking(await tenant.artist(), notes="by the back gate")
    ana = tenant.caller()
    shown = expect(await ana.get("/v1/tenant"), 200)
    for refused, status in (
        (await tenant.caller("ben", "member").delete("/v1/tenant", {"confirm": shown.body["id"]}), 403),
        (await other_tenant.caller().delete("/v1/tenant", {"confirm": shown.body["id"]}), 422),
        (await ana.delete("/v1/tenant"), 422),
        (await ana.delete("/v1/tenant", {"confirm": shown.body["id"]}, headers={"If-Match": '"7"'}), 412),
    ):
        assert refused.status == status
    assert expect(await ana.get("/v1/tenant"), 200).body == shown.body
    watchers = [tenant.watcher("ana" if n else "ben", instance=n) for n in (0, 1)]
    for watcher in watchers:
        await watcher.connect()
    async with other_tenant.watcher() as neighbour:
        headers = {"If-Match": shown.headers["ETag"]}
        gone = expect(await ana.delete("/v1/tenant", {"confirm": shown.body["id"]}, headers=headers), 200)
        assert gone.body == shown.body | {
            "status": "deleted",
            "version": shown.body["version"] + 1,
            "position": int(gone.headers["Position"]),
            "updated_at": gone.body["updated_at"],
        }
        for watcher in watchers:
            await watcher.until(partial(bool, watcher.refusals), "its reconnect is refused")
            assert not watcher.connected
            assert watcher.refusals[-1]["message"] == "forbidden"
            await watcher.disconnect()
        await expect_gone(tenant, session, booking)
        await other_tenant.artist()
        await neighbour.reached("tenancy", 2)
        assert neighbour.connected


async def test_a_tenant_that_is_deleted_at_clerk_is_gone_too(
    tenant: Tenant, other_tenant: Tenant, session: aiohttp.ClientSession
) -> None:
    booking = await tenant.booking(await tenant.artist())
    async with tenant.watcher() as watcher:
        deleted = {"id": f"org_{tenant.name}", "deleted": True}
        assert await clerk_of(tenant, session).tell("organization.deleted", deleted) == 200
        await watcher.until(partial(bool, watcher.refusals), "its reconnect is refused")
    await expect_gone(tenant, session, booking)
    await other_tenant.artist()


async def exported(tenant: Tenant, out: Path, token: str) -> tuple[int, str, str]:
    """Run the export as who has never heard of our settings would; gives its status and what it said."""
    arguments = ("-m", "tenancy", "export", "--gateway", tenant.at.gateway_url, "--out", str(out))
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        env={name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await running.communicate(token.encode())
    return running.returncode or 0, said.decode(), complained.decode()


def left_in(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


def lines(zipped: zipfile.ZipFile, name: str) -> list[Any]:
    return [json.loads(line) for line in zipped.read(name).splitlines()]


async def test_what_an_owner_takes_along_is_whole_and_replays_to_what_the_lists_show(
    tenant: Tenant, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    artist, ana = await tenant.artist(), tenant.caller()
    nights = [await tenant.booking(artist, number, notes=f"gate {number}") for number in range(4)]
    for number, (verb, body) in enumerate(
        (("confirm", None), ("cancel", {"reason": "rain"}), ("reschedule", night(9)))
    ):
        expect(await ana.post(f"/v1/bookings/{nights[number]['id']}/{verb}", body), 200)
    expect(await ana.patch(f"/v1/artists/{artist['id']}", {"time_zone": "Europe/Berlin"}), 200)
    await tenant.artist("Bea")
    tell = clerk_of(tenant, session).tell
    assert await tell("organization.created", clerk.organization(tenant.name, name="Acme")) == 200
    assert await tell("organizationMembership.created", clerk.membership(tenant.name, f"ben-{tenant.name}")) == 200
    out = tmp_path / "acme.zip"
    status, said, complained = await exported(tenant, out, tenant.token())
    assert (status, said.strip()) == (0, str(out)), complained
    with zipfile.ZipFile(out) as zipped:
        assert zipped.testzip() is None
        manifest = json.loads(zipped.read("manifest.json"))
        for file in manifest["files"]:
            content = zipped.read(file["name"])
            assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
            assert file["records"] == len(content.splitlines())
            assert file["position"] == manifest["streams"][file["stream"]]["position"]
        kept = {file["name"]: lines(zipped, file["name"]) for file in manifest["files"]}
    assert manifest["tenant"] == {"id": str(tenant.id), "name": "Acme"}
    assert kept["bookings.jsonl"] == await ana.every("/v1/bookings")
    assert kept["artists.jsonl"] == await ana.every("/v1/artists")
    assert kept["members.jsonl"] == await ana.every("/v1/members")
    assert kept["tenant.jsonl"] == [expect(await ana.get("/v1/tenant"), 200).body]
    replayed: dict[str, dict[str, Any]] = {"BookingX": {}, "ArtistX": {}}
    for stream in ("booking", "tenancy"):
        assert kept[f"events/{stream}.jsonl"] == await ana.events(stream)
        for event in kept[f"events/{stream}.jsonl"]:
            known = replayed["BookingX"] if stream == "booking" else replayed["ArtistX"]
            if event["type"].startswith(("Booking", "Artist")):
                known[event["aggregate_id"]] = event["data"]
    for one in kept["bookings.jsonl"]:
        assert replayed["BookingX"][one["id"]].items() >= one.items()
    assert list(replayed["ArtistX"].values()) == sorted(kept["artists.jsonl"], key=lambda one: one["id"])
    assert {one["notes"] for one in kept["bookings.jsonl"]} == {f"gate {number}" for number in range(4)}
    assert left_in(tmp_path) == ["acme.zip"]
    again = await exported(tenant, out, tenant.token())
    assert (again[0], "is there already" in again[2]) == (1, True)


async def test_an_export_of_who_is_not_let_in_leaves_nothing_behind(tenant: Tenant, tmp_path: Path) -> None:
    await tenant.artist()
    for token, why in (("", "the token is empty"), ("nonsense", "the token is refused")):
        status, said, complained = await exported(tenant, tmp_path / "x.zip", token)
        assert (status, said, why in complained) == (1, "", True), complained
    assert left_in(tmp_path) == []


async def test_what_is_booked_while_the_export_runs_is_in_all_of_it_or_nowhere(tenant: Tenant, tmp_path: Path) -> None:
    artist = await tenant.artist()
    for number in range(5):
        await tenant.booking(artist, number)
    running = True

    async def go_on_booking() -> None:
        number = 5
        while running:
            expect(await tenant.caller().post("/v1/bookings", wish(artist, number)), 201)
            number += 1

    booking = asyncio.create_task(go_on_booking())
    try:
        status, _, complained = await exported(tenant, tmp_path / "x.zip", tenant.token())
    finally:
        running = False
        await booking
    assert status == 0, complained
    with zipfile.ZipFile(tmp_path / "x.zip") as zipped:
        position = json.loads(zipped.read("manifest.json"))["streams"]["booking"]["position"]
        events, bookings = lines(zipped, "events/booking.jsonl"), lines(zipped, "bookings.jsonl")
    assert [event["position"] for event in events] == list(range(1, position + 1))
    assert [event["data"] for event in events] == sorted(bookings, key=lambda one: int(one["position"]))
