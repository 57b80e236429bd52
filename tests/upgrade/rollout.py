"""A running system of an old version, under load, beside which instances of this version are started.

What was asked and answered is written down and held against the databases and the topics by the checker of chaos runs.
Notifications is of this version from the beginning: it is rolled out first.
"""

import asyncio
import json
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from tests.upgrade.versions import Code

from local_stack.chaos import history as histories
from local_stack.chaos.checker import Verdict, check
from local_stack.chaos.evidence import collect
from local_stack.chaos.history import History
from local_stack.chaos.load import Calendar, Client, Log
from local_stack.chaos.watching import Follower
from local_stack.clients.caller import expect, http_session
from local_stack.clients.tenant import Tenant
from local_stack.clients.waiting import PATIENCE_SECONDS, until
from local_stack.containers import for_tests
from local_stack.environment import WITH_DATABASE
from local_stack.part import Part, wait_until_ready
from local_stack.port import HOST, free_ports
from local_stack.provision import finish, start_job
from local_stack.services import Instance
from local_stack.system import System

ROLLED: Final = ("tenancy", "booking", "gateway")
"""In the order of a rollout; notifications goes before them."""
TENANTS: Final = 6
"""So many that both of two instances have some of them: their names, and so their partitions, are always the same."""
CLIENTS_A_TENANT: Final = 2
REST_SECONDS: Final = 0.3
SEED: Final = 8


class Plain(Client):
    """A client that says nothing but what the oldest version understands."""

    def _confidence(self) -> dict[str, Any]:
        return {"venue": f"Hall {self.chance.randrange(10**6)}"}


class OldSystem(System):
    """A whole of an old version, its databases as that version migrates them."""

    def __init__(self, folder: Path, old: Code) -> None:
        """Describe it; nothing runs yet. In ``folder`` the logs are kept when it is discarded."""
        super().__init__(folder / "data", make=for_tests, logs=folder / "logs")
        self.old = old
        self.ports_beside = dict(zip(ROLLED, free_ports(len(ROLLED)), strict=True))
        for service in ROLLED:
            self.services.environment[service]["PYTHONPATH"] = old.path(service)
        # Before each tenant had keys of its own, one sealed for all; later versions open what it has sealed.
        seal_key = self.services.environment["gateway"]["GATEWAY_COMMAND_ID_KEY"]
        self.services.environment["gateway"]["GATEWAY_SEAL_KEYS"] = json.dumps({"local": seal_key})

    def start_services(self) -> None:
        """Start one instance of each service."""
        self.services.start_all()

    @property
    def gateways(self) -> tuple[str, str]:
        """Where the gateway serves, and where the one beside it."""
        return self.at.gateway_url, f"http://{HOST}:{self.ports_beside['gateway']}"

    def instance(self, service: str, number: int) -> Instance:
        """Give an instance by its number; the last that was started under it."""
        name = service if number == 1 else f"{service}-{number}"
        return next(one for one in reversed(self.services.instances) if one.name == name)

    def start_new(self, number: int) -> None:
        """Start an instance of this version of each service, beside the first (2) or in its place (1)."""
        begun = []
        for service in ROLLED:
            port = self.ports_beside[service] if number > 1 else None
            instance = self.services.instance(service, number=number, port=port)
            del instance.environment["PYTHONPATH"]
            instance.begin()
            begun.append(instance)
        wait_until_ready(begun)

    def stop_all(self, number: int, services: Sequence[str] = ROLLED) -> None:
        """Stop the instances with a number, the gateway first."""
        for service in reversed(services):
            self.instance(service, number).stop()

    def migrate(self) -> None:
        """Bring the databases to this version, as its job does under load: it gives way, and tries again."""
        self._do("migrate", "--within", str(PATIENCE_SECONDS))

    def verify_trails(self) -> None:
        """Follow each tenant's audit trail from where it begins, as the operator's command does."""
        self._do("audit", "verify")

    def _do(self, *job: str) -> None:
        begun = []
        for service in WITH_DATABASE:
            environment = {**self.services.environment[service], "PYTHONPATH": ""}
            command = [sys.executable, "-m", service, *job]
            begun.append(start_job(f"{service}-{job[0]}", command, environment, self.engines.logs))
        finish(begun)


def decided(part: Part) -> float:
    """Ask an instance how many commands it has decided."""
    return _sum_of("commands_decided_total{", part)


def _sum_of(metric: str, part: Part) -> float:
    with urllib.request.urlopen(f"http://{HOST}:{part.port}/metrics") as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(metric))


@dataclass(kw_only=True)
class Load:
    """Clients that book, and watchers, of some tenants of a system."""

    system: OldSystem
    folder: Path
    kind: type[Client] = Client
    began: float = field(default_factory=time.monotonic)
    tenants: list[Tenant] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)
    _over: bool = False

    def clock(self) -> float:
        """Tell the time of the history."""
        return round(time.monotonic() - self.began, 4)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Let them book until this is left; then everything is settled, and every watcher at the head."""
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(http_session())
            history = stack.enter_context(History(self.folder / "history.jsonl"))
            log = Log(history=history, clock=self.clock)
            self.tenants = [Tenant(name=f"rolled{n}", at=self.system.at, session=session) for n in range(TENANTS)]
            for tenant in self.tenants:
                calendar = Calendar(tenant=tenant)
                await calendar.begin()
                self.clients += [
                    self.kind(
                        f"{tenant.name}-{n}", calendar, [self.system.gateways[0]], log, seed=SEED, rest=REST_SECONDS
                    )
                    for n in range(CLIENTS_A_TENANT)
                ]
            urls = self.system.at.notifications_urls[:1]
            followers = [
                Follower(f"{one.name}-watcher", one, urls, log, seed=SEED, patient=True) for one in self.tenants
            ]
            watching = [asyncio.create_task(follower.watch()) for follower in followers]
            working = [asyncio.create_task(self._work(client)) for client in self.clients]
            try:
                yield self
                self._over = True
                await asyncio.gather(*working)
                undecided = await asyncio.gather(*(client.settle(PATIENCE_SECONDS) for client in self.clients))
                assert sum(undecided) == 0, "everything that was taken is decided"
                for follower in followers:
                    follower.catch_up(await self._heads(follower.tenant))
                await asyncio.wait(watching, timeout=PATIENCE_SECONDS)
                assert [behind for follower in followers if (behind := follower.behind())] == []
            finally:
                for task in (*working, *watching):
                    task.cancel()
                await asyncio.gather(*working, *watching, return_exceptions=True)

    def use(self, url: str) -> None:
        """Let clients ask this gateway as well."""
        for client in self.clients:
            client.callers.append(client.calendar.tenant.caller(client.name, url=url))

    def leave(self, url: str) -> None:
        """Let clients not ask this gateway any more."""
        for client in self.clients:
            client.callers = [caller for caller in client.callers if caller.url != url]

    async def judged(self) -> Verdict:
        """Hold what was told against what is."""
        evidence = await collect(self.system.at, [tenant.id for tenant in self.tenants])
        lines = histories.read(self.folder / "history.jsonl")
        return await asyncio.to_thread(check, lines, evidence)

    async def _work(self, client: Client) -> None:
        while not self._over:
            await client.work(self.clock() + 0.5)

    async def _heads(self, tenant: Tenant) -> dict[str, int]:
        heads = {}
        for stream, path in (("booking", "/v1/bookings"), ("tenancy", "/v1/artists")):
            answer = expect(await tenant.caller().get(path, {"limit": 1}), 200)
            heads[stream] = int(answer.headers["Position"])
        return heads


async def until_decided(part: Part, more_than: float = 0.0) -> float:
    """Wait until an instance has decided more than so many commands, and tell how many."""

    async def look() -> float | None:
        count = await asyncio.to_thread(decided, part)
        return count if count > more_than else None

    return await until(look, f"{part.name} decides more than {more_than:.0f} commands")


async def until_waiting(gateway: Part, commands: int) -> None:
    """Wait until so many commands wait for their outcome at a gateway."""

    async def look() -> bool:
        return await asyncio.to_thread(_sum_of, "gateway_waiting_commands ", gateway) >= commands

    await until(look, f"{commands} commands wait at {gateway.name}")


async def in_thread(work: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401 - handed on
    """Do what waits for processes, while the load goes on."""
    await asyncio.to_thread(work, *arguments)
