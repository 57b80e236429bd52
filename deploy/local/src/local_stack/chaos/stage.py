"""A stage for drills: a tenant of a system, a history, and hands on what a fault needs to be directed."""

import contextlib
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final
from uuid import uuid4

import aiohttp
import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import OffsetAndMetadata

from local_stack.chaos.checks.commands import NOTHING_DROPPED
from local_stack.chaos.checks.watchers import WATCHERS
from local_stack.chaos.history import Action, Call, Fault, History, Settled, Told
from local_stack.clients.caller import Answer
from local_stack.clients.nights import night
from local_stack.clients.tenant import Tenant
from local_stack.clients.waiting import PATIENCE_SECONDS, until
from local_stack.clients.watcher import Watcher
from local_stack.part import Part
from local_stack.system import System
from production_contracts.envelope import tenant_key
from production_contracts.events import STREAMS
from production_contracts.topics import BOOKING_COMMANDS, PARTITIONS_LOCAL

SUB: Final = "ana"
HURRY_SECONDS: Final = 2.0
"""How long is waited for what is expected never to come."""


class Stage:
    """A tenant of a system, a history, and what can be done to both."""

    def __init__(
        self, system: System, tenant: Tenant, other: Tenant, history: History, expected: Collection[str] = ()
    ) -> None:
        """Begin; ``other`` is a tenant that must hear nothing of the first, nor be heard.

        ``expected`` names the checks that are going to report a breach: what they miss is not waited for.
        """
        self.expected = expected
        self.system = system
        self.tenant = tenant
        self.other = other
        self.history = history
        self._clock = 0.0
        self._nights = 0
        self._faults = 0

    def patience(self, check: str) -> float:
        """Tell how long to wait for what ``check`` asks for."""
        return HURRY_SECONDS if check in self.expected else PATIENCE_SECONDS

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
            status = await caller.decided(f"/v1/commands/{call.command_id}", seconds=self.patience(NOTHING_DROPPED))
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
        partitions = list(range(PARTITIONS_LOCAL))
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
        """Wait until the last event there is now was heard, if that is expected."""
        heads = self._stage.heads(self._tenant)
        with contextlib.suppress(TimeoutError):
            await self.until(
                lambda: all((self.positions or {}).get(stream, 0) >= head for stream, head in heads.items()),
                "the head",
                seconds=self._stage.patience(WATCHERS),
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
