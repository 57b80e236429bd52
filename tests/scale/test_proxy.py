"""HAProxy as Compose runs it before two of each: who polls stays at one instance, WebSockets and requests pass."""

import itertools
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from local_stack.clients.tenant import Tenant
from local_stack.clients.waiting import until
from local_stack.clients.watcher import Watcher
from local_stack.observability import check
from local_stack.port import HOST, free_ports
from local_stack.process import Child
from local_stack.system import SystemAddresses

HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"


@dataclass(frozen=True)
class Proxied:
    gateway: str
    notifications: str


def here(text: str, at: SystemAddresses, ports: list[int]) -> str:
    """Point the settings of Compose at what runs here; of the gateway one is running."""
    places = itertools.chain((at.gateway_url, at.gateway_url), at.notifications_urls)
    text = re.sub(
        r"^(  server \S+) \S+", lambda found: f"{found[1]} {next(places)[len('http://') :]}", text, flags=re.MULTILINE
    )
    text = re.sub(r"bind :800([01])", lambda found: f"bind {HOST}:{ports[int(found[1])]}", text)
    return text.replace(" resolvers docker init-addr libc,none", "")


@pytest.fixture(scope="module")
async def proxied(
    system: SystemAddresses, session: aiohttp.ClientSession, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Proxied]:
    folder = tmp_path_factory.mktemp("proxy")
    ports = free_ports(2)
    (folder / "haproxy.cfg").write_text(here(check.PROXY.read_text(), system, ports))
    child = Child("proxy", [HAPROXY, "-db", "-f", "haproxy.cfg"], log=folder / "log", folder=folder)
    child.start()
    urls = [f"http://{HOST}:{port}" for port in ports]

    async def answers() -> bool:
        assert child.alive, child.output()
        try:
            async with session.get(f"{urls[0]}/openapi.json") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    try:
        await until(answers, "the proxy answers")
        yield Proxied(*urls)
    finally:
        child.stop()


@dataclass(frozen=True)
class Polling:
    """A client that polls, by hand: its session at Engine.IO and the cookie that it was given."""

    url: str
    sid: str
    cookie: str

    @classmethod
    async def begin(cls, session: aiohttp.ClientSession, url: str) -> "Polling":
        async with session.get(f"{url}/socket.io/?EIO=4&transport=polling") as response:
            opened = await response.text()
            return cls(url, re.findall(r'"sid":"([^"]+)"', opened)[0], response.cookies["live"].value)

    async def poll(self, session: aiohttp.ClientSession, *, cookie: str | None = None) -> tuple[int, str]:
        headers = {"Cookie": f"live={cookie or self.cookie}"}
        address = f"{self.url}/socket.io/?EIO=4&transport=polling&sid={self.sid}"
        async with session.get(address, headers=headers) as response:
            return response.status, await response.text()

    async def say(self, session: aiohttp.ClientSession, packet: str) -> int:
        headers = {"Cookie": f"live={self.cookie}"}
        address = f"{self.url}/socket.io/?EIO=4&transport=polling&sid={self.sid}"
        async with session.post(address, data=packet, headers=headers) as response:
            return response.status


async def test_who_polls_stays_at_the_instance_that_holds_the_session(
    proxied: Proxied, system: SystemAddresses
) -> None:
    token = system.token(tenant="polling", user="ana", role="admin")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        clients = [await Polling.begin(session, proxied.notifications) for _ in range(4)]
        assert {client.cookie for client in clients} == {"1", "2"}, "both instances are used"
        for client in clients:
            other = {"1": "2", "2": "1"}[client.cookie]
            status, _ = await client.poll(session, cookie=other)
            assert status == 400, "the other instance does not know the session"
            assert await client.say(session, f'40{{"token":"{token}"}}') == 200
            heard = ""
            while '42["ready"' not in heard:
                status, text = await client.poll(session)
                assert status == 200
                heard += text


async def test_a_websocket_passes_and_hears_what_was_asked_of_the_gateway(
    proxied: Proxied, system: SystemAddresses, session: aiohttp.ClientSession
) -> None:
    tenant = Tenant(name="proxied", at=system, session=session)
    token = system.token(tenant=tenant.name, user="ana", role="admin")
    async with Watcher(proxied.notifications, token) as watcher:
        async with session.post(
            f"{proxied.gateway}/v1/artists", json={"name": "Passed On"}, headers={"Authorization": f"Bearer {token}"}
        ) as response:
            assert response.status == 201
        await watcher.reached("tenancy", int(response.headers["Position"]))


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
async def test_metrics_and_health_stay_inside(proxied: Proxied, session: aiohttp.ClientSession, path: str) -> None:
    for url in (proxied.gateway, proxied.notifications):
        async with session.get(f"{url}{path}") as response:
            assert response.status == 404
