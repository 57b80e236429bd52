"""The channels of a real Redis, across what can happen to a connection."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from local_stack.redis_server import Redis as RedisServer
from notifications.adapters import channel as channels
from notifications.adapters.channel import RedisChannel, Subscription
from notifications.adapters.recent import RedisRecent, channel_name, connect
from notifications.background import begin, end
from notifications.domain.positions import LiveEvent
from notifications.testing.memory import live_event
from notifications.testing.waiting import until


class Ear:
    def __init__(self) -> None:
        self.told: list[tuple[UUID, int]] = []
        self.heard: list[UUID] = []
        self.fails_for: UUID | None = None

    def receive(self, tenant_id: UUID, events: Sequence[LiveEvent]) -> None:
        if tenant_id == self.fails_for:
            message = "of this one"
            raise ZeroDivisionError(message)
        self.told += [(tenant_id, event.position) for event in events]


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def tell(redis: Redis) -> Callable[[UUID, int], object]:
    recent = RedisRecent(redis, kept=100, expire_s=60)

    async def publish(tenant_id: UUID, position: int) -> None:
        await recent.publish({(tenant_id, "booking"): [live_event("booking", position)]})

    return publish


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
async def channel(redis_url: str, ear: Ear) -> AsyncIterator[RedisChannel]:
    made = RedisChannel(redis_url, receive=ear.receive, heard=ear.heard.append)
    task = begin("channel", made.run())
    await until(lambda: made.connected, "a connection")
    yield made
    await end(task)


async def test_only_tenants_that_are_listened_to_are_heard(channel: RedisChannel, ear: Ear, tell) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    mine, other = uuid4(), uuid4()
    channel.listen(mine)
    channel.listen(other)
    await until(lambda: set(ear.heard) == {mine, other}, "both tenants are heard")
    channel.forget(other)
    await tell(other, 1)
    await tell(mine, 1)
    await until(lambda: (mine, 1) in ear.told, "the event")
    assert (other, 1) not in ear.told


async def test_after_a_lost_connection_every_tenant_is_heard_again(  # type: ignore[no-untyped-def]
    channel: RedisChannel,
    ear: Ear,
    tell,  # noqa: ANN001
    redis: Redis,
) -> None:
    tenants = [uuid4() for _ in range(20)]
    for tenant_id in tenants:
        channel.listen(tenant_id)
    await until(lambda: len(ear.heard) == 20, "all are heard")
    await redis.client_kill_filter(_type="pubsub")
    await until(lambda: set(ear.heard[20:]) == set(tenants), "all are heard again")
    await tell(tenants[7], 1)
    await until(lambda: ear.told == [(tenants[7], 1)], "the event")


async def test_a_redis_that_restarts_is_listened_to_again(  # type: ignore[no-untyped-def]
    channel: RedisChannel,
    ear: Ear,
    tell,  # noqa: ANN001
    redis_server: RedisServer,
) -> None:
    first, second = uuid4(), uuid4()
    channel.listen(first)
    await until(lambda: ear.heard == [first], "the first is heard")
    redis_server.stop()
    await until(lambda: not channel.connected, "the loss")
    channel.listen(second)
    redis_server.start()
    await until(lambda: set(ear.heard[1:]) == {first, second}, "both are heard")
    await tell(second, 1)
    await until(lambda: ear.told == [(second, 1)], "the event")


async def test_silence_is_broken_by_a_question_and_a_dead_line_is_left(
    channel: RedisChannel, ear: Ear, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "SILENCE_S", 0.2)
    tenant_id = uuid4()
    channel.listen(tenant_id)
    await until(lambda: ear.heard == [tenant_id], "the tenant is heard")
    redis_server.pause()
    try:
        await until(lambda: not channel.connected, "the loss")
    finally:
        redis_server.resume()
    await until(lambda: len(ear.heard) > 1, "the tenant is heard again")


async def test_what_cannot_be_read_is_looked_for_elsewhere(channel: RedisChannel, ear: Ear, redis: Redis) -> None:
    tenant_id = uuid4()
    channel.listen(tenant_id)
    await until(lambda: ear.heard == [tenant_id], "the tenant is heard")
    await redis.publish(channel_name(tenant_id), "booking\nnonsense")
    await until(lambda: ear.heard == [tenant_id, tenant_id], "a look elsewhere")
    assert ear.told == []


async def test_an_instance_is_not_told_of_the_tenants_of_another(
    redis_url: str, channel: RedisChannel, ear: Ear, redis: Redis
) -> None:
    mine, others, others_ear = uuid4(), uuid4(), Ear()
    other = RedisChannel(redis_url, receive=others_ear.receive, heard=others_ear.heard.append)
    task = begin("other", other.run())
    try:
        await until(lambda: other.connected, "another instance")
        channel.listen(mine)
        other.listen(others)
        await until(lambda: (ear.heard, others_ear.heard) == ([mine], [others]), "each hears its own")
        for tenant_id in (mine, others):
            assert await redis.publish(channel_name(tenant_id), "booking") == 1, "Redis told one of the two"
        assert await redis.pubsub_numpat() == 0
    finally:
        await end(task)


async def test_what_one_tenant_makes_fail_is_looked_for_and_keeps_nothing_from_the_others(
    channel: RedisChannel, ear: Ear, redis: Redis
) -> None:
    failing, other = uuid4(), uuid4()
    for tenant_id in (failing, other):
        channel.listen(tenant_id)
    await until(lambda: set(ear.heard) == {failing, other}, "both are heard")
    ear.fails_for = failing
    async with redis.pipeline(transaction=True) as together:
        for tenant_id in (failing, other):
            together.publish(channel_name(tenant_id), "booking\n1 [1]")
        await together.execute()
    await until(lambda: ear.told == [(other, 1)], "the other's event")
    assert ear.heard[2:] == [failing]
    assert channel.connected


async def test_a_tenant_that_is_forgotten_over_an_event_hears_no_more_of_what_came_with_it(
    redis_url: str, redis: Redis
) -> None:
    tenant_id, ear = uuid4(), Ear()

    def receive(tenant_id: UUID, events: Sequence[LiveEvent]) -> None:
        ear.receive(tenant_id, events)
        made.forget(tenant_id)

    made = RedisChannel(redis_url, receive=receive, heard=ear.heard.append)
    task = begin("channel", made.run())
    try:
        await until(lambda: made.connected, "a connection")
        made.listen(tenant_id)
        await until(lambda: ear.heard == [tenant_id], "the tenant is heard")
        async with redis.pipeline(transaction=True) as together:
            for said in ("booking\n1 [1]", "tenancy\n7 [1]"):
                together.publish(channel_name(tenant_id), said)
            await together.execute()
        another = uuid4()
        made.listen(another)
        await until(lambda: ear.heard == [tenant_id, another], "another is heard after it")
        assert ear.told == [(tenant_id, 1)]
        assert made.connected
    finally:
        await end(task)


class FakeTransport:
    """A transport on which nothing happens."""

    def __init__(self) -> None:
        self.said: list[bytes] = []

    def get_protocol(self) -> asyncio.Protocol:
        return asyncio.Protocol()

    def write(self, data: bytes) -> None:
        self.said.append(data)


def pushed(*words: bytes) -> bytes:
    return b"".join([b"*%d\r\n" % len(words), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)])


MESSAGES = [[b"message", b"live:{%d}" % number, b"x" * number] for number in range(20)]
SAID = b"".join(pushed(*message) for message in MESSAGES)


@pytest.mark.parametrize("size", [1, 2, 7, 100, len(SAID)])
async def test_messages_are_the_same_however_the_bytes_arrive_and_those_that_arrive_together_are_taken_together(
    size: int,
) -> None:
    taken: list[list[list[bytes]]] = []
    subscription = Subscription(FakeTransport(), taken.append)  # type: ignore[arg-type]
    for first in range(0, len(SAID), size):
        subscription.data_received(SAID[first : first + size])
    assert [message for messages in taken for message in messages] == MESSAGES
    assert size < len(SAID) or len(taken) == 1


@pytest.mark.parametrize("answer", [b"-NOPERM this user has no permissions\r\n", b"HTTP/1.1 400 Bad Request\r\n"])
async def test_a_refusal_ends_the_connection_and_nothing_is_said_on_it_any_more(answer: bytes) -> None:
    transport = FakeTransport()
    subscription = Subscription(transport, [].append)  # type: ignore[arg-type]
    subscription.data_received(answer)
    with pytest.raises(RedisError):
        await subscription.listen()
    subscription.say(b"SUBSCRIBE", b"live:{1}")
    assert transport.said == []
