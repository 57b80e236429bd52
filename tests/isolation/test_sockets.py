"""Every socket event and every room, crossed with own, foreign and absent, and with each role."""

import ast
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import socketio
from tests.isolation.estates import Estate, absent
from tests.isolation.rows import ROOMS, SENT_BY_CLIENTS, SENT_TO_A_TENANT, SENT_TO_ONE_SOCKET

import notifications
from local_stack import clerk
from local_stack.clerk import Clerk
from local_stack.clients.nights import night
from local_stack.clients.tenant import Tenant
from local_stack.clients.waiting import PATIENCE_SECONDS, until
from local_stack.clients.watcher import Watcher
from local_stack.contract.applications import assembled
from local_stack.environment import service_environment
from local_stack.port import Ports
from local_stack.system import SystemAddresses
from notifications.bootstrap import Notifications
from notifications.settings import Settings
from production_contracts.roles import Role
from servicekit.testing import running

ROLES = [role.removeprefix("org:") for role in Role]
INSTANCES = (0, 1)


def calls_of(name: str) -> Iterator[ast.Call]:
    """Find where the service calls a method of this name."""
    for file in Path(notifications.__path__[0]).rglob("*.py"):
        if "testing" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name:
                yield node


def test_every_event_that_clients_may_send_has_a_row() -> None:
    server = assembled().notifications._server
    assert server.namespace_handlers == {}
    found = {(namespace, event) for namespace, events in server.handlers.items() for event in events}
    assert found == {("/", event) for event in SENT_BY_CLIENTS}


def test_every_message_that_one_socket_is_told_has_a_row() -> None:
    told = {ast.literal_eval(call.args[1]) for call in calls_of("tell")}
    assert told == set(SENT_TO_ONE_SOCKET)
    assert [ast.unparse(call) for name in ("emit", "send") for call in calls_of(name) if _is_servers(call)] == []


def _is_servers(call: ast.Call) -> bool:
    """Whether it is the server that is called: what it sends goes to whomever it is told, and by default to all."""
    return "server" in ast.unparse(call.func)


@dataclass(frozen=True)
class Inside:
    """An instance in this process, so that its rooms can be looked at."""

    service: Notifications
    url: str

    @property
    def rooms(self) -> dict[str, set[str]]:
        """The rooms and who is in them, without the library's own that holds all: nothing sends to it."""
        found = self.service._server.manager.rooms.get("/", {})
        return {name: set(members) for name, members in found.items() if name is not None}

    def tenant_of(self, sid: str) -> str:
        return str(self.service._live._present[sid].seat.principal.tenant_id)


class Spectator:
    """Stands where the consumers of the group do: an instance that comes and goes would keep the others waiting."""

    stopped = False

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def complaints(self) -> list[str]:
        return []


@pytest.fixture(scope="module")
async def inside(system: SystemAddresses) -> AsyncIterator[Inside]:
    given = service_environment(system.engines, Ports(), system.issuer_url)["notifications"]
    changed = {"BOOKING_URL": system.booking_url, "TENANCY_URL": system.tenancy_url, "INSTANCE": "notifications-inside"}
    with pytest.MonkeyPatch.context() as patched:
        for name, value in (given | {f"NOTIFICATIONS_{name}": value for name, value in changed.items()}).items():
            patched.setenv(name, value)
        service = Notifications(Settings())
    service._consumers = Spectator()  # type: ignore[assignment] # as far as it is used
    async with running(service.app, websockets=True, farewell=service.send_away) as url:

        async def loaded() -> bool:
            return service._removals.loaded and service._channel.connected

        await until(loaded, "the instance knows who was removed")
        yield Inside(service, url)


async def test_every_room_has_a_row_and_holds_whom_the_row_says(inside: Inside, mine: Estate, theirs: Estate) -> None:
    tokens = [estate.tenant.token("ana", role) for estate in (mine, theirs) for role in ROLES]
    async with AsyncExitStack() as stack:
        for token in tokens:
            await stack.enter_async_context(Watcher(inside.url, token))
        seen = set()
        for name, members in inside.rooms.items():
            (pattern,) = [pattern for pattern in ROOMS if re.fullmatch(pattern, name)]
            seen.add(pattern)
            found = re.fullmatch(pattern, name)
            assert found is not None
            for group, value in found.groupdict().items():
                assert {sid if group == "socket" else inside.tenant_of(sid) for sid in members} == {value}
        assert seen == set(ROOMS)
        assert {inside.tenant_of(sid) for sid in inside.service._live._present} == {mine.ids.tenant, theirs.ids.tenant}


async def test_no_message_of_a_client_moves_it_into_another_room(inside: Inside, mine: Estate, theirs: Estate) -> None:
    async with Watcher(inside.url, mine.tenant.token()) as watcher:
        before = inside.rooms
        wish = {"room": f"tenant:{theirs.ids.tenant}", "tenant_id": theirs.ids.tenant}
        for event in ("join", "enter_room", "subscribe", "ready", "message", f"tenant:{theirs.ids.tenant}"):
            await watcher.client.emit(event, wish)
        await watcher.renew(mine.tenant.token())  # what a client sends is handled one after the other
        assert inside.rooms == before
        assert watcher.heard == []


async def test_there_is_no_namespace_but_the_one(inside: Inside, mine: Estate, theirs: Estate) -> None:
    for namespace in ("/admin", f"/tenant:{theirs.ids.tenant}"):
        client = socketio.AsyncClient(reconnection=False, handle_sigint=False)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await client.connect(
                inside.url,
                auth={"token": mine.tenant.token()},
                namespaces=[namespace],
                transports=["websocket"],
                wait_timeout=PATIENCE_SECONDS,
            )
        await client.shutdown()


@pytest.mark.parametrize("role", ROLES)
async def test_ready_and_resync_speak_of_the_own_tenant_alone(role: str, mine: Estate, theirs: Estate) -> None:
    for estate, other in ((mine, theirs), (theirs, mine)):
        for after in (None, {"booking": 10_000, "tenancy": 10_000}):
            async with estate.tenant.watcher("ana", role, after=after) as watcher:
                assert watcher.ready[0]["tenant_id"] == estate.ids.tenant
                if after:
                    await watcher.until(partial(_resyncs, watcher, 2), "both streams to be read anew")
                assert other.left_in(str(watcher.ready) + str(watcher.resyncs)) == set()


@pytest.mark.parametrize("role", ROLES)
async def test_a_socket_is_renewed_by_its_own_user_and_tenant_and_no_other_alike(
    role: str, mine: Estate, theirs: Estate
) -> None:
    nowhere = Tenant(name=absent().tenant, at=mine.tenant.at, session=mine.tenant.session)
    async with mine.tenant.watcher("ana", role) as watcher:
        assert "expires_at" in await watcher.renew(mine.tenant.token("ana", role))
        refusals = [
            await watcher.renew(token)
            for token in (theirs.tenant.token("ana", role), nowhere.token("ana", role), mine.tenant.token("ben", role))
        ]
        assert refusals[0]["error"]["type"] == "/problems/forbidden"
        assert refusals[0] == refusals[1] == refusals[2]
        assert watcher.connected


async def everything(tenant: Tenant, session: aiohttp.ClientSession, word: str) -> None:
    """Let everything happen to a tenant that can, but its end."""
    caller = tenant.caller()
    tell = Clerk(
        session=session, gateway_url=tenant.at.gateway_url, secret=tenant.at.engines.credentials.webhook_secret
    ).tell
    for kind, data in (
        ("organization.created", clerk.organization(tenant.name, name=f"House {word}")),
        ("organizationMembership.created", clerk.membership(tenant.name, f"ben-{word}")),
        ("organizationMembership.updated", clerk.membership(tenant.name, f"ben-{word}", "viewer")),
        ("organizationMembership.deleted", clerk.membership(tenant.name, f"ben-{word}")),
        ("organizationInvitation.created", clerk.invitation(tenant.name, f"cleo-{word}")),
        ("organizationInvitation.accepted", clerk.invitation(tenant.name, f"cleo-{word}")),
        ("organizationInvitation.created", clerk.invitation(tenant.name, f"dan-{word}")),
        ("organizationInvitation.revoked", clerk.invitation(tenant.name, f"dan-{word}")),
    ):
        assert await tell(kind, data) == 200
    artist = await tenant.artist(f"Artist {word}")
    booking = await tenant.booking(artist, title=f"Night {word}")
    for method, path, body in (
        ("POST", f"/v1/bookings/{booking['id']}/confirm", None),
        ("POST", f"/v1/bookings/{booking['id']}/reschedule", night(3)),
        ("PATCH", f"/v1/bookings/{booking['id']}", {"venue": word}),
        ("POST", f"/v1/bookings/{booking['id']}/cancel", {"reason": word}),
        ("PATCH", f"/v1/artists/{artist['id']}", {"name": f"Renamed {word}"}),
        ("POST", f"/v1/artists/{artist['id']}/archive", None),
    ):
        assert (await caller.call(method, path, body)).status == 200


LAST = "tenant:deleted"
"""Whoever it is told is out with it."""


async def test_each_event_is_heard_in_its_tenant_and_by_nobody_of_another(
    mine: Estate, session: aiohttp.ClientSession
) -> None:
    word = absent().tenant.replace("-", "")
    actor = Tenant(name=f"t{word}", at=mine.tenant.at, session=session)
    async with AsyncExitStack() as stack:
        listeners = [
            await stack.enter_async_context(mine.tenant.watcher("ana", role, instance=instance))
            for role in ROLES
            for instance in INSTANCES
        ]
        actors = [
            await stack.enter_async_context(actor.watcher("ana", role, instance=instance))
            for role in ROLES
            for instance in INSTANCES
        ]
        await everything(actor, session, word)
        for watcher in actors:
            await watcher.until(partial(_has_heard, watcher, set(SENT_TO_A_TENANT) - {LAST}), "every event")
            assert _names(watcher) <= set(SENT_TO_A_TENANT)
        told = Clerk(
            session=session, gateway_url=actor.at.gateway_url, secret=actor.at.engines.credentials.webhook_secret
        )
        assert await told.tell("organization.deleted", {"id": f"org_{actor.name}", "deleted": True}) in {200, 202}
        for watcher in actors:
            await watcher.until(partial(bool, watcher.disconnects), "a deleted tenant's sockets to be closed")
        own = await mine.tenant.booking(await mine.tenant.artist(f"Artist {mine.word}"), 9)
        for watcher in listeners:
            await watcher.reached("booking", own["position"])
            heard: list[Any] = [(one.name, one.message) for one in watcher.heard]
            assert word not in str(heard)
            assert str(actor.id) not in str(heard)
            assert any(message["data"]["id"] == own["id"] for _, message in heard)


def _names(watcher: Watcher) -> set[str]:
    return {heard.name for heard in watcher.heard}


def _has_heard(watcher: Watcher, names: set[str]) -> bool:
    return names <= _names(watcher)


def _resyncs(watcher: Watcher, count: int) -> bool:
    return len(watcher.resyncs) == count
