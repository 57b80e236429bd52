"""A run: the whole system under load and faults, healed, settled, and left running for who wants to look into it."""

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp

from local_stack.chaos import history as histories
from local_stack.chaos.checker import check
from local_stack.chaos.checks.finding import Breach, Finding
from local_stack.chaos.evidence import collect
from local_stack.chaos.history import History
from local_stack.chaos.load import Calendar, Client, Log
from local_stack.chaos.nemesis import Nemesis
from local_stack.chaos.schedule import INSTANCES, plan
from local_stack.chaos.topology import Topology
from local_stack.chaos.watching import STREAMS, Follower
from local_stack.clients.caller import expect, http_session
from local_stack.clients.tenant import Tenant
from local_stack.clients.waiting import until
from local_stack.part import wait_until_ready
from local_stack.process import ended

CLIENTS = (10, 8, 5, 3, 3, 3)
"""How many book in each tenant: hot ones and cold ones."""

REST_SECONDS = 0.4
RECOVERED_WITHIN_SECONDS = 30.0
"""After the last fault everything that was accepted is decided within so long, and every client is served."""

CAUGHT_UP_WITHIN_SECONDS = 60.0

STATUS_SECONDS = 30.0


@dataclass(kw_only=True)
class Run:
    """What a run leaves: a history, how much happened, what the harness itself saw, and the running system."""

    history: Path
    system: Topology
    tenants: list[Tenant]
    commands: int = 0
    faults: int = 0
    findings: list[Finding] = field(default_factory=list)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def judge(self) -> list[Finding]:
        """Hold the history against the databases and the topics, and say what that and the harness found."""
        evidence = await collect(self.system.at, [tenant.id for tenant in self.tenants])
        verdict = await asyncio.to_thread(check, histories.read(self.history), evidence)
        return [*verdict.findings, *self.findings]

    async def discard(self) -> None:
        """Stop the system and remove its data; the history and the logs stay."""
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        """Give the run."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Discard the system."""
        await self.discard()


async def run(
    folder: Path,
    *,
    seconds: float,
    seed: int,
    kinds: Collection[str],
    mutation: str | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Run:
    """Run load and faults for so long, heal, settle, and let watchers catch up; the system runs on.

    The history and the logs are kept in ``folder``. With a ``mutation`` the services are started with it (see
    `mutant`).

    Raises:
        StackFailure: a part did not start, or did not come back.
        ExceptionGroup: a client, or a fault, failed by itself: the harness is wrong, and nothing is proved.
    """
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing runs yet
    whole = Topology(folder / "data", logs=folder / "logs", skewed="clock" in kinds, mutation=mutation)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, whole.engines.discard)
        await whole.open_links(stack)
        say("starting PostgreSQL, Redis, Kafka and the services")
        await asyncio.to_thread(whole.start)
        stack.push_async_callback(asyncio.to_thread, whole.stop)
        session = await stack.enter_async_context(http_session())
        tenants = [Tenant(name=f"chaos{number}", at=whole.at, session=session) for number in range(len(CLIENTS))]
        done = Run(history=folder / "history.jsonl", system=whole, tenants=tenants)
        with History(done.history) as history:
            await _Play(done=done, history=history, seconds=seconds, seed=seed, kinds=kinds, say=say).play()
        done._stack = stack.pop_all()  # noqa: SLF001 - ours
        return done


@dataclass(kw_only=True)
class _Play:
    done: Run
    history: History
    seconds: float
    seed: int
    kinds: Collection[str]
    say: Callable[[str], None]
    began: float = field(default_factory=time.monotonic)
    healed: float = 0.0

    def clock(self) -> float:
        return round(time.monotonic() - self.began, 4)

    async def play(self) -> None:
        calendars = [Calendar(tenant=tenant) for tenant in self.done.tenants]
        for calendar in calendars:
            await calendar.begin()
        log = Log(history=self.history, clock=self.clock)
        clients = self._clients(calendars, log)
        followers = self._followers(log)
        schedule = plan(self.seed, self.seconds, self.kinds)
        whole = self.done.system
        nemesis = Nemesis(whole=whole, history=self.history, clock=self.clock, say=self._tell)
        self.began = time.monotonic()
        watching = [asyncio.create_task(follower.watch(), name=follower.name) for follower in followers]
        telling = asyncio.create_task(self._tell_status(log, followers))
        try:
            await _together(nemesis.carry_out(schedule), *(client.work(self.seconds) for client in clients))
            self.healed = self.clock()
            self._tell("every fault is undone; what was accepted has 30 s")
            await self._settle(clients, log)
            self._all_live()
            await asyncio.to_thread(wait_until_ready, list(whole.named.values()))
            await self._catch_up(followers, watching)
        finally:
            for task in (telling, *watching):
                task.cancel()
            await asyncio.gather(telling, *watching, return_exceptions=True)
        self.done.commands, self.done.faults = log.commands, len(schedule)

    def _clients(self, calendars: list[Calendar], log: Log) -> list[Client]:
        urls = self.done.system.gateway_urls
        return [
            Client(f"{calendar.tenant.name}-{number}", calendar, urls, log, seed=self.seed, rest=REST_SECONDS)
            for calendar, count in zip(calendars, CLIENTS, strict=True)
            for number in range(count)
        ]

    def _followers(self, log: Log) -> list[Follower]:
        urls = self.done.system.at.notifications_urls
        return [
            Follower(f"{tenant.name}-watcher-{word}", tenant, urls, log, seed=self.seed, patient=word == "patient")
            for tenant in self.done.tenants
            for word in ("patient", "restless")
        ]

    async def _settle(self, clients: list[Client], log: Log) -> None:
        """Hold that the system has recovered by itself: it serves who comes now, and has decided what came before."""
        served = await asyncio.gather(*(client.served(RECOVERED_WITHIN_SECONDS) for client in clients))
        slow = [f"{client.name} was not served" for client, well in zip(clients, served, strict=True) if not well]
        self._found("everybody is served within 30 s of the last fault", len(clients), slow)
        left = max(1.0, RECOVERED_WITHIN_SECONDS - (self.clock() - self.healed))
        undecided = sum(await asyncio.gather(*(client.settle(left) for client in clients)))
        self._found("decided within 30 s of the last fault", log.commands, ["a command is not"] * undecided)

    def _all_live(self) -> None:
        dead = [
            f"{name} died by itself ({ended(part.exit_code)}): {part.log}"
            for name, part in (self.done.system.named | dict(self.done.system.engine_parts)).items()
            if not part.alive
        ]
        self._found("no part died by itself", len(INSTANCES), dead)

    async def _catch_up(self, followers: list[Follower], watching: list[asyncio.Task[None]]) -> None:
        heads = {tenant.id: await self._heads(tenant) for tenant in self.done.tenants}
        for follower in followers:
            follower.catch_up(heads[follower.tenant.id])
        late, _ = await asyncio.wait(watching, timeout=CAUGHT_UP_WITHIN_SECONDS)
        for task in late:
            task.result()
        behind = [f"{follower.name}: {missing}" for follower in followers if (missing := follower.behind())]
        self._found("each watcher came to the head", len(followers), behind)

    async def _heads(self, tenant: Tenant) -> dict[str, int]:
        async def look() -> dict[str, int] | None:
            heads = {}
            for stream, path in zip(STREAMS, ("/v1/bookings", "/v1/artists"), strict=True):
                try:
                    answer = await tenant.caller().get(path, {"limit": 1})
                except (TimeoutError, aiohttp.ClientError, OSError):
                    return None
                if answer.status in {429, 503}:
                    return None
                heads[stream] = int(expect(answer, 200).headers["Position"])
            return heads

        return await until(look, f"the heads of {tenant.name} can be read")

    async def _tell_status(self, log: Log, followers: list[Follower]) -> None:
        while True:
            await asyncio.sleep(STATUS_SECONDS)
            connections = sum(follower.connections for follower in followers)
            self._tell(f"{log.commands} commands, {log.answered} answered; {connections} connections of watchers")

    def _found(self, name: str, count: int, breaches: list[str]) -> None:
        self.done.findings.append(
            Finding(name=name, count=count, breaches=[Breach(what=breach) for breach in breaches])
        )

    def _tell(self, line: str) -> None:
        self.say(f"{self.clock():6.1f} s  {line}")


async def _together(*works: Coroutine[Any, Any, None]) -> None:
    """Do all of it; the first that fails ends the others."""
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work)
