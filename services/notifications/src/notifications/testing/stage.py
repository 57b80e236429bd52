"""A stage for hubs: some instances, the owners in memory, and recent events in memory or in Redis."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from uuid import UUID, uuid4

from notifications.adapters.channel import RedisChannel
from notifications.adapters.recent import RedisRecent, connect, stream_key
from notifications.application.hub import Seat
from notifications.application.hubs import Hubs, Watchfulness
from notifications.application.ports import Batch, Channel, Recent
from notifications.background import end
from notifications.domain.positions import LiveEvent
from notifications.testing.memory import MemoryChannel, MemoryEmitter, MemoryOwners, MemoryRecent
from notifications.testing.waiting import until
from production_contracts.roles import Role
from servicekit.tokens import Principal

Receive = Callable[[UUID, Sequence[LiveEvent]], None]
Heard = Callable[[UUID], None]
WATCHFUL = Watchfulness(period_s=0.05, doubt_s=0.1, readers=8)


class _Late:
    """Hands on to hubs that are made after their channel."""

    hubs: Hubs

    def receive(self, tenant_id: UUID, events: Sequence[LiveEvent]) -> None:
        self.hubs.receive(tenant_id, events)

    def heard(self, tenant_id: UUID) -> None:
        self.hubs.heard(tenant_id)


class Stage(ABC):
    """Some instances, what happened, and what each socket was sent."""

    recent: Recent

    def __init__(self) -> None:
        """Begin without instances."""
        self.owners = MemoryOwners()
        self.emitter = MemoryEmitter()
        self.tasks: list[asyncio.Task[None]] = []
        self.instances: list[Hubs] = []
        self.tenant_id = uuid4()

    async def instance(self) -> Hubs:
        """Start an instance: its hubs, its channel and its watch."""
        late = _Late()
        channel = await self.channel(late.receive, late.heard)
        late.hubs = Hubs(
            recent=self.recent,
            owners=self.owners,
            channel=channel,
            emitter=self.emitter,
            watchfulness=WATCHFUL,
        )
        self.instances.append(late.hubs)
        self.tasks.append(asyncio.create_task(late.hubs.watch()))
        return late.hubs

    async def sit(
        self, hubs: Hubs, sid: str, tenant_id: UUID | None = None, after: dict[str, int] | None = None
    ) -> asyncio.Task[None]:
        """Seat a socket, from now or from positions; the task ends when it has joined."""
        tenant_id = tenant_id or self.tenant_id
        principal = Principal(
            sub="user_ana",
            tenant_id=tenant_id,
            org_id="org",
            role=Role.VIEWER,
            iat=0,
            exp=1,
            issuer="",
            token=str(tenant_id),
        )
        heads = await self.owners.heads(principal.token)
        positions = {stream: (after or {}).get(stream, head.position) for stream, head in heads.items()}
        seat = Seat(sid=sid, principal=principal, positions=positions)
        task = asyncio.create_task(hubs.enter(seat, heads).join(seat))
        self.tasks.append(task)
        return task

    def happen(self, count: int = 1, stream: str = "booking", tenant_id: UUID | None = None) -> Batch:
        """Let events happen; nobody has been told of them."""
        tenant_id = tenant_id or self.tenant_id
        return {(tenant_id, stream): self.owners.happen(tenant_id, stream, count)}

    async def until_sent(self, sid: str, stream: str, positions: Iterable[int]) -> None:
        """Wait until a socket was sent exactly the events at these positions of a stream, in that order."""
        expected = list(positions)
        await until(lambda: self.emitter.positions(sid, stream) == expected, f"{stream} {expected} sent to {sid}")

    async def end(self) -> None:
        """Stop what runs."""
        for task in self.tasks:
            await end(task)
        for hubs in self.instances:
            await hubs.stop()

    @abstractmethod
    async def channel(self, receive: Receive, heard: Heard) -> Channel:
        """Open the channel of an instance."""

    @abstractmethod
    async def publish_untold(self, batch: Batch) -> None:
        """Keep events and lose what is told of them."""

    @abstractmethod
    async def flush(self, tenant_id: UUID) -> None:
        """Lose the recent events of a tenant."""


class MemoryStage(Stage):
    """Recent events in memory."""

    def __init__(self) -> None:
        """Begin empty."""
        super().__init__()
        self.memory = self.recent = MemoryRecent()

    async def channel(self, receive: Receive, heard: Heard) -> Channel:
        """Open the channel of an instance."""
        return MemoryChannel(self.memory, receive=receive, heard=heard)

    async def publish_untold(self, batch: Batch) -> None:
        """Keep events and lose what is told of them."""
        self.memory.deaf = True
        await self.memory.publish(batch)
        self.memory.deaf = False

    async def flush(self, tenant_id: UUID) -> None:
        """Lose the recent events of a tenant."""
        for key in list(self.memory.streams):
            if key[0] == tenant_id:
                del self.memory.streams[key]


class RedisStage(Stage):
    """Recent events in Redis."""

    def __init__(self, url: str) -> None:
        """Use the Redis at ``url``."""
        super().__init__()
        self.url = url
        self.redis = connect(url)
        self.recent = RedisRecent(self.redis, kept=10_000, expire_s=600)

    async def channel(self, receive: Receive, heard: Heard) -> Channel:
        """Open the channel of an instance."""
        channel = RedisChannel(self.url, receive=receive, heard=heard)
        self.tasks.append(asyncio.create_task(channel.run()))
        return channel

    async def publish_untold(self, batch: Batch) -> None:
        """Keep events and lose what is told of them."""
        for (tenant_id, stream), events in batch.items():
            for event in events:
                await self.redis.xadd(
                    stream_key(tenant_id, stream), {"e": event.payload or ""}, id=f"{event.position}-0"
                )

    async def flush(self, tenant_id: UUID) -> None:
        """Lose the recent events of a tenant."""
        await self.redis.delete(stream_key(tenant_id, "booking"), stream_key(tenant_id, "tenancy"))

    async def end(self) -> None:
        """Stop what runs and disconnect."""
        await super().end()
        await self.redis.aclose()
