"""Drills: short, directed pieces of work and faults, each of which brings out what a mutation does wrong.

On a system that is right none of them leaves a breach. Every run does the `Stage.ordinary` work first, so that each
check has something to look at.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final
from uuid import uuid4

import aiohttp
import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import OffsetAndMetadata

from local_stack.chaos.history import Action, Call, Fault, History, Settled, Told
from local_stack.chaos.mutations import MUTATIONS
from local_stack.clients.caller import Answer
from local_stack.clients.nights import night
from local_stack.clients.tenant import Tenant
from local_stack.clients.waiting import until
from local_stack.clients.watcher import Watcher
from local_stack.part import Part, wait_until_ready
from local_stack.provision import PARTITIONS
from local_stack.services import Instance
from local_stack.system import System
from production_contracts.envelope import tenant_key
from production_contracts.events import STREAMS
from production_contracts.topics import BOOKING_COMMANDS

SUB: Final = "ana"
HURRY_SECONDS: Final = 5.0
"""How long is waited for what a mutation may keep from coming."""


class Stage:
    """A tenant of a system, a history, and what can be done to both."""

    def __init__(self, system: System, tenant: Tenant, other: Tenant, history: History) -> None:
        """Begin; ``other`` is a tenant that must hear nothing of the first, nor be heard."""
        self.system = system
        self.tenant = tenant
        self.other = other
        self.history = history
        self._clock = 0.0
        self._nights = 0
        self._faults = 0

    def now(self) -> float:
        """Count: a history needs an order, and nothing here needs a time."""
        self._clock += 1
        return self._clock

    def part(self, name: str) -> Part:
        """Name a service's instance or an engine."""
        parts: dict[str, Part] = {part.name: part for part in self.system.services.instances}
        return (parts | {part.name: part for part in self.system.engines.all})[name]

    async def ask(
        self,
        action: Action,
        path: str,
        asked: Mapping[str, Any],
        *,
        tenant: Tenant | None = None,
        key: str | None = None,
        attempt: int = 1,
        asynchronous: bool = False,
    ) -> Call:
        """Ask once, and write down what was told."""
        asks = tenant or self.tenant
        key = key or str(uuid4())
        headers = {"Idempotency-Key": key} | ({"Prefer": "respond-async"} if asynchronous else {})
        method, began = "PATCH" if action == "amend" else "POST", self.now()
        answer: Answer | None = None
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            answer = await asks.caller(SUB).call(method, path, dict(asked) or None, headers=headers)
        location = "" if answer is None else answer.headers.get("Location", "")
        position = None if answer is None else answer.headers.get("Position")
        call = Call(
            client=SUB,
            tenant_id=str(asks.id),
            sub=f"user_{SUB}",
            key=key,
            attempt=attempt,
            action=action,
            method=method,
            path=path,
            asked=dict(asked),
            began=began,
            ended=self.now(),
            status=None if answer is None else answer.status,
            answered=None if answer is None else answer.body,
            command_id=location.rpartition("/")[2] if location.startswith("/v1/commands/") else None,
            position=None if position is None else int(position),
        )
        self.history.add(call)
        return call

    async def book(self, artist_id: str, *, number: int | None = None, **how: Any) -> Call:  # noqa: ANN401 - as `ask`
        """Book the next free night of an artist, or a numbered one."""
        if number is None:
            self._nights += 1
            number = self._nights
        asked = {"artist_id": artist_id, "title": f"Night {number}", **night(number)}
        return await self.ask("create", "/v1/bookings", asked, **how)

    async def settle(self, call: Call) -> None:
        """Ask for what became of an acknowledged command, and write that down too."""
        caller = self.tenant.caller(SUB)
        status: Any = {"status": "pending"}
        with contextlib.suppress(TimeoutError):
            status = await caller.decided(f"/v1/commands/{call.command_id}", seconds=HURRY_SECONDS)
        outcome = status.get("outcome") or {}
        self.history.add(
            Settled(
                tenant_id=call.tenant_id,
                sub=call.sub,
                key=call.key,
                command_id=str(call.command_id),
                at=self.now(),
                state=status["status"],
                status=outcome.get("status"),
                answered=outcome.get("body"),
            )
        )

    @asynccontextmanager
    async def watching(self, tenant: Tenant, after: Mapping[str, int] | None = None) -> AsyncIterator["Listener"]:
        """Watch a tenant, and write down what is heard."""
        watcher = Listener(self, tenant, after)
        self.history.add(watcher.told("connected", after=None if after is None else dict(after)))
        async with watcher:
            yield watcher
        self.history.add(watcher.told("closed"))

    async def ordinary(self) -> str:
        """Do a bit of everything, watched, and give an artist to go on with."""
        async with self.watching(self.other) as theirs, self.watching(self.tenant) as ours:
            artist = (await self.ask("create-artist", "/v1/artists", {"name": "Rosa Quintet"})).answered["id"]
            await self.tenant.caller(SUB).patch(f"/v1/artists/{artist}", {"time_zone": "Europe/Berlin"})
            made = [await self.book(artist) for _ in range(4)]
            again = made[0]
            await self.ask("create", again.path, again.asked, key=again.key, attempt=2)
            await self.book(artist, number=1)  # it is taken
            paths = [f"/v1/bookings/{call.answered['id']}" for call in made]
            await self.ask("reschedule", f"{paths[1]}/reschedule", night(100))
            await self.ask("confirm", f"{paths[2]}/confirm", {})
            await self.ask("amend", paths[3], {"venue": "Hall 1"})
            self._nights = 10
            await self._others()
            await ours.came_to_the_head()
            await theirs.came_to_the_head()
        after = dict(ours.positions or {})
        await self.settle(await self.book(artist, asynchronous=True))
        async with self.watching(self.tenant, after) as ours:
            await self.book(artist)
            await ours.came_to_the_head()
        await self.ask("cancel", f"{paths[0]}/cancel", {"reason": "rain"})
        await self._last_word(artist, after=dict(ours.positions or {}))
        return str(artist)

    async def _others(self) -> None:
        artist = await self.ask("create-artist", "/v1/artists", {"name": "Blue Hour"}, tenant=self.other)
        await self.book(artist.answered["id"], tenant=self.other)

    async def _last_word(self, artist: str, *, after: Mapping[str, int]) -> None:
        """Make one event more after all else, and see the watcher to the end."""
        await self.book(artist)
        async with self.watching(self.tenant, after) as ours:
            await ours.came_to_the_head()

    async def finish(self, after: Mapping[str, int]) -> None:
        """Let the watcher come to the head after a drill."""
        async with self.watching(self.tenant, after) as ours:
            await ours.came_to_the_head()

    def heads(self, tenant: Tenant) -> dict[str, int]:
        """Look up how far a tenant's streams are."""
        return {stream: self._look(stream, tenant, "position") for stream in STREAMS}

    def published(self) -> int:
        """Look up how far booking says that it published the tenant."""
        return self._look("booking", self.tenant, "published")

    def _look(self, stream: str, tenant: Tenant, column: str) -> int:
        with psycopg.connect(self.system.at.engines.postgres_dsn(stream)) as connection:
            found = connection.execute("select position, published from streams where tenant_id = %s", (tenant.id,))
            row = found.fetchone()
        return 0 if row is None else int(row[0 if column == "position" else 1])

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the tenant's lock, so that booking has a command in hand and can't decide it."""
        with psycopg.connect(self.system.at.engines.postgres_dsn("booking")) as connection:
            connection.execute("select 1 from streams where tenant_id = %s for update", (self.tenant.id,))
            yield

    async def in_hand(self) -> None:
        """Wait until booking waits for the lock."""
        waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = 'booking'"

        async def look() -> bool:
            with psycopg.connect(self.system.at.engines.postgres_dsn()) as connection:
                row = connection.execute(waiting).fetchone()
            return row is not None and row[0] > 0

        await until(look, "booking has the command in hand")

    @contextmanager
    def fault(self, kind: str, target: str) -> Iterator[Part]:
        """Write a fault down, from its beginning to when it is over."""
        self._faults += 1
        number, began = self._faults, self.now()
        yield self.part(target)
        fault = Fault(number=number, kind=kind, target=target, began=began, ended=self.now())
        self.history.add(fault)

    @asynccontextmanager
    async def offsets(self) -> AsyncIterator["Offsets"]:
        """Look at, and move, how far booking has committed its commands, on the tenant's partition."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.system.at.engines.kafka_bootstrap, group_id="booking", enable_auto_commit=False
        )
        partitions = list(range(PARTITIONS))
        number = DefaultPartitioner()(tenant_key(self.tenant.id), partitions, partitions)
        partition = TopicPartition(BOOKING_COMMANDS.name, number)
        consumer.assign([partition])
        await consumer.start()
        try:
            yield Offsets(consumer, partition)
        finally:
            await consumer.stop()

    async def all_taken(self) -> None:
        """Wait until booking has committed every command."""

        async def look() -> bool:
            async with self.offsets() as offsets:
                return await offsets.committed() == await offsets.end()

        await until(look, "booking has committed every command")


class Offsets:
    """How far a group is on one partition."""

    def __init__(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
        """Ask through ``consumer``, which must be assigned the partition."""
        self._consumer = consumer
        self._partition = partition

    async def committed(self) -> int:
        """Tell what the group has committed."""
        return int(await self._consumer.committed(self._partition) or 0)

    async def end(self) -> int:
        """Tell where the partition ends."""
        return int((await self._consumer.end_offsets([self._partition]))[self._partition])

    async def move(self, offset: int) -> None:
        """Let the group go on from elsewhere; nobody else may be in it."""
        await self._consumer.commit({self._partition: OffsetAndMetadata(offset, "")})


class Listener(Watcher):
    """A watcher that writes down what it hears."""

    def __init__(self, stage: Stage, tenant: Tenant, after: Mapping[str, int] | None) -> None:
        """Watch ``tenant`` at the first instance."""
        super().__init__(tenant.at.notifications_urls[0], tenant.token(SUB), after=after)
        self._stage = stage
        self._tenant = tenant

    def told(self, kind: Any, **fields: Any) -> Told:  # noqa: ANN401 - as Told takes them
        """Make a line of the history."""
        return Told(
            watcher=f"{self._tenant.name}'s watcher",
            tenant_id=str(self._tenant.id),
            connection=1,
            url=self.url,
            at=self._stage.now(),
            kind=kind,
            **fields,
        )

    async def came_to_the_head(self) -> None:
        """Wait until the last event there is now was heard; not for long, as a mutation may keep it back."""
        heads = self._stage.heads(self._tenant)
        with contextlib.suppress(TimeoutError):
            await self.until(
                lambda: all((self.positions or {}).get(stream, 0) >= head for stream, head in heads.items()),
                "the head",
                seconds=HURRY_SECONDS,
            )

    def _keep(self, name: str, message: Any) -> None:  # noqa: ANN401 - JSON
        said = {"stream": message["stream"], "position": message["position"], "event_id": message["id"]}
        self._stage.history.add(self.told("event", name=name, data=message["data"], **said))
        super()._keep(name, message)

    def _keep_ready(self, message: Any) -> None:  # noqa: ANN401 - JSON
        self._stage.history.add(self.told("ready", heads=message))
        super()._keep_ready(message)

    def _keep_resync(self, message: Any) -> None:  # noqa: ANN401 - JSON
        self._stage.history.add(self.told("resync", stream=message["stream"], position=message["position"]))
        super()._keep_resync(message)


async def _no_fault(_stage: Stage, _artist: str) -> None:
    """Leave it at the ordinary work."""


async def _killed_in_hand(stage: Stage, artist: str) -> None:
    """Kill booking while it has a command in hand."""
    with stage.held(), stage.fault("kill", "booking") as booking:
        call = await stage.book(artist, asynchronous=True)
        await stage.in_hand()
        booking.kill()
    booking.begin()
    wait_until_ready([booking])
    await stage.all_taken()
    await stage.settle(call)


async def _redelivered(stage: Stage, artist: str) -> None:
    """Hand booking a command again that it has decided."""
    await stage.book(artist)
    await stage.all_taken()
    with stage.fault("redelivery", "booking") as booking:
        booking.stop()
        async with stage.offsets() as offsets:
            await offsets.move(await offsets.end() - 1)
    booking.begin()
    wait_until_ready([booking])
    await stage.all_taken()


async def _decided_together(stage: Stage, artist: str) -> None:
    """Let booking decide several commands of one tenant in one batch."""
    with stage.held():
        calls = [await stage.book(artist, asynchronous=True) for _ in range(5)]
        await stage.in_hand()
    for call in calls:
        await stage.settle(call)


async def _kafka_paused(stage: Stage, artist: str) -> None:
    """Freeze Kafka between booking's decision and its publication, and kill booking before Kafka goes on."""
    before = stage.heads(stage.tenant)["booking"]

    async def is_decided() -> bool:
        return stage.heads(stage.tenant)["booking"] > before

    async def is_marked() -> bool:
        return stage.published() > before

    booking = stage.part("booking")
    with stage.fault("pause", "kafka") as kafka:
        with stage.held():
            call = await stage.book(artist, asynchronous=True)
            await stage.in_hand()
            kafka.pause()
        try:
            await until(is_decided, "booking has decided the command")
            with contextlib.suppress(TimeoutError):  # only a mutation marks what Kafka has not acknowledged
                await until(is_marked, "the event is marked", seconds=HURRY_SECONDS)
            booking.kill()
        finally:
            kafka.resume()
    booking.begin()
    wait_until_ready([booking])
    await stage.all_taken()
    await until(_all_published(stage), "everything is marked as published")
    await stage.settle(call)


async def _roster_behind(stage: Stage, _artist: str) -> None:
    """Book an artist who has just been signed while booking's roster can't go on."""
    with psycopg.connect(stage.system.at.engines.postgres_dsn("booking")) as connection:
        connection.execute("lock table roster_offsets in share row exclusive mode")
        signed = await stage.ask("create-artist", "/v1/artists", {"name": "Late Arrival"})
        booked = asyncio.create_task(stage.book(signed.answered["id"]))
        await asyncio.wait({booked}, timeout=1)  # whoever waits for the roster has not answered by then
    await booked


def _all_published(stage: Stage) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return stage.published() == stage.heads(stage.tenant)["booking"]

    return look


DRILLS: Final[Mapping[str, Callable[[Stage, str], Awaitable[None]]]] = {
    "ordinary": _no_fault,
    "killed-in-hand": _killed_in_hand,
    "redelivered": _redelivered,
    "decided-together": _decided_together,
    "kafka-paused": _kafka_paused,
    "roster-behind": _roster_behind,
}


async def perform(stage: Stage, *drills: str) -> None:
    """Do the ordinary work, then these drills, and let everybody hear of it."""
    artist = await stage.ordinary()
    after = stage.heads(stage.tenant)
    for name in drills:
        await DRILLS[name](stage, artist)
    if after != stage.heads(stage.tenant):
        await stage.finish(after)
    await until(_all_published(stage), "everything is published")


def mutate(system: System, name: str | None) -> None:
    """Start the instances anew that are not as they should be: mutated, or as they are written."""
    anew: list[Instance] = []
    for place, old in enumerate(system.services.instances):
        service = old.module[-1]
        mutated = name is not None and MUTATIONS[name].service == service
        module = ["local_stack.chaos.mutant", str(name), service] if mutated else [service]
        if module != old.module:
            old.stop()
            instance = Instance(old.name, module, port=old.port, environment=old.environment, log=old.log)
            system.services.instances[place] = instance
            instance.begin()
            anew.append(instance)
    wait_until_ready(anew)
