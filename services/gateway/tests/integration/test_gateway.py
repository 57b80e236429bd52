"""The gateway as `bootstrap.build` makes it, on a real Kafka and Redis; the test plays the owning services."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.adapters.limits import RedisCounts, Window
from gateway.adapters.replies import partition_of
from gateway.bootstrap import build
from gateway.settings import Settings
from gateway.testing import KEY, NAMESPACE, echo, problem_of
from local_stack.engines import Engines
from local_stack.issuer import Issuer
from production_contracts import topics
from production_contracts.commands import Command, CreateBooking
from production_contracts.envelope import read_command, reply_record
from production_contracts.outcomes import Outcome, Reply
from servicekit import key_api
from servicekit.clock import now
from servicekit.kafka import Consumers, Producer, Record
from servicekit.settings import IssuerSettings
from servicekit.testing import MemoryShelf, running
from servicekit.topics import create_topics

DEADLINE = 60.0
INSTANCE = "gateway-7"
SECRET = "s" * 32
ASKED: dict[str, Any] = {
    "artist_id": str(uuid4()),
    "start_time": "2027-05-08T20:00:00Z",
    "end_time": "2027-05-08T23:00:00Z",
    "title": "Spring tour",
    "notes": "by the back gate",
    "contact": {"name": "Ana", "email": "ana@example.org", "phone": None},
    "fee": {"amount": 150_000, "currency": "EUR"},
}
CONFIDENTIAL = {name: ASKED[name] for name in ("notes", "contact", "fee")}


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(DEADLINE):
        while not await condition():  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(0.05)


class Owner:
    """An owning service on an empty calendar: it decides every command and remembers the outcomes."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer(bootstrap, "owner")
        self._consumers = Consumers(bootstrap, "owner", topics.PARTITIONS_LOCAL)
        commands = [topic.name for topic in topics.COMMANDS_OF.values()]
        self._consumers.batches(commands, "owner", self._decide)
        self.decided: list[Command] = []
        self.outcomes: dict[UUID, Reply] = {}
        self.silent = False
        self.shelf = MemoryShelf()
        self.secrets: list[str] = []

    async def _decide(self, records: Sequence[Record]) -> None:
        for record in records:
            command = read_command(record.key, record.value, record.headers)
            self.decided.append(command)
            outcome: Outcome = echo(command)
            reply = Reply(command_id=command.id, outcome=outcome, position=len(self.decided))
            self.outcomes[command.id] = reply
            if command.reply_partition is not None and not self.silent:
                await self._producer.send_and_wait(
                    reply_record(
                        reply,
                        tenant_id=command.tenant_id,
                        partition=command.reply_partition,
                        source="owner",
                        topic=topics.GATEWAY_REPLIES.name,
                        now=now(),
                    )
                )

    async def answer_command(self, request: web.Request) -> web.Response:
        """``GET /v1/commands/{id}``."""
        reply = self.outcomes.get(UUID(request.match_info["id"]))
        if reply is None:
            body = {"type": "/problems/not-found", "title": "Not found", "status": 404, "detail": "No."}
            return web.json_response(body, status=404, content_type="application/problem+json")
        return web.Response(text=reply.model_dump_json(), content_type="application/json")

    async def read_keys(self, request: web.Request) -> web.Response:
        """Play tenancy, which keeps the keys."""
        self.secrets.append(request.headers["Authorization"])
        asked = key_api.ReadKeys.model_validate_json(await request.read())
        found = key_api.KeysRead(items=await self.shelf.read(asked.tenants))
        return web.Response(text=found.model_dump_json(), content_type="application/json")

    async def offer_key(self, request: web.Request) -> web.Response:
        """Take a key."""
        asked = key_api.OfferKey.model_validate_json(await request.read())
        kept = await self.shelf.offer(asked.key)
        return web.Response(text=kept.model_dump_json(), content_type="application/json")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_post(key_api.READ, self.read_keys)
        app.router.add_post(key_api.OFFER, self.offer_key)
        app.router.add_get("/v1/commands/{id}", self.answer_command)
        async with TestServer(app) as server:
            await self._producer.start()
            await self._consumers.start()
            try:
                yield str(server.make_url("/"))
            finally:
                await self._consumers.stop()
                await self._producer.stop()


@pytest.fixture(scope="module")
async def owner(own_engines: Engines) -> AsyncIterator[tuple[Owner, str]]:
    await create_topics(own_engines.kafka_bootstrap, partitions=topics.PARTITIONS_LOCAL, replication=1)
    owner = Owner(own_engines.kafka_bootstrap)
    async with owner.serving() as url:
        yield owner, url


def stated(engines: Engines, issuer: Issuer, owner_url: str, **changes: Any) -> Settings:  # noqa: ANN401
    accepted = IssuerSettings(issuer=issuer.url, jwks_url=issuer.jwks_url, namespace=NAMESPACE)
    settings: dict[str, Any] = {
        "instance": INSTANCE,
        "kafka_bootstrap": engines.kafka_bootstrap,
        "redis_url": engines.redis_url,
        "booking_url": owner_url,
        "tenancy_url": owner_url,
        "auth_issuers": [accepted],
        "command_id_key": KEY,
        "master_keys": {"m1": KEY},
        "keys_secret": SECRET,
    }
    return Settings(**(settings | changes))


async def is_ready(client: aiohttp.ClientSession) -> bool:
    async with client.get("/readyz") as response:
        return response.status == 200


@asynccontextmanager
async def client_of(settings: Settings, issuer: Issuer) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {issuer.token()}"}
    async with running(build(settings)) as url, aiohttp.ClientSession(url, headers=headers) as session:
        yield session


@pytest.fixture(scope="module")
async def client(
    own_engines: Engines, owner: tuple[Owner, str], issuer: Issuer
) -> AsyncIterator[aiohttp.ClientSession]:
    async with client_of(stated(own_engines, issuer, owner[1]), issuer) as session:
        await until(lambda: is_ready(session))
        yield session


async def test_a_write_goes_there_and_back(client: aiohttp.ClientSession, owner: tuple[Owner, str]) -> None:
    async with client.post("/v1/bookings", json=ASKED, headers={"Idempotency-Key": "k"}) as response:
        assert response.status == 201
        body = await response.json()
    command = owner[0].decided[-1]
    assert str(command.aggregate_id) == body["id"]
    assert body.items() >= CONFIDENTIAL.items()
    ((wrapped,),) = owner[0].shelf.keys.values()
    assert isinstance(command.body.data, CreateBooking)
    assert command.body.data.notes is not None
    assert command.body.data.notes.kid == wrapped.kid
    assert set(owner[0].secrets) == {f"Bearer {SECRET}"}
    assert command.reply_partition == partition_of(INSTANCE, topics.PARTITIONS_LOCAL)
    assert command.body.idempotency is not None
    assert command.body.idempotency.key == "k"


async def test_many_writers_each_get_their_own_outcome(client: aiohttp.ClientSession) -> None:
    async def write(number: int) -> tuple[int, str]:
        async with client.post("/v1/bookings", json=ASKED | {"title": f"night {number}"}) as response:
            return response.status, (await response.json())["title"]

    answers = await asyncio.gather(*(write(number) for number in range(200)))
    assert answers == [(201, f"night {number}") for number in range(200)]


async def test_who_does_not_wait_asks_later(client: aiohttp.ClientSession) -> None:
    async with client.post("/v1/bookings", json=ASKED, headers={"Prefer": "respond-async"}) as response:
        assert response.status == 202
        place = response.headers["Location"]
    status: dict[str, Any] = {}

    async def is_decided() -> bool:
        async with client.get(place) as response:
            status.update(await response.json())
        return bool(status["status"] != "pending")

    await until(is_decided)
    assert status["status"] == "accepted"
    assert status["outcome"]["status"] == 201
    assert status["outcome"]["body"].items() >= CONFIDENTIAL.items()


async def test_a_reply_that_is_lost_leaves_an_outcome_to_ask_for(
    client: aiohttp.ClientSession, owner: tuple[Owner, str]
) -> None:
    owner[0].silent = True
    try:
        async with client.post("/v1/bookings", json=ASKED, headers={"Prefer": "wait=1"}) as response:
            assert response.status == 202
            place = response.headers["Location"]
    finally:
        owner[0].silent = False
    async with client.get(place) as response:
        assert (await response.json())["status"] == "accepted"


async def test_replicas_that_share_a_partition_do_not_disturb_each_other(
    client: aiohttp.ClientSession, own_engines: Engines, owner: tuple[Owner, str], issuer: Issuer
) -> None:
    async with client_of(stated(own_engines, issuer, owner[1]), issuer) as twin:
        await until(lambda: is_ready(twin))

        async def write(session: aiohttp.ClientSession) -> int:
            async with session.post("/v1/artists", json={"name": "x"}) as response:
                return response.status

        assert set(await asyncio.gather(*(write(session) for session in (client, twin) * 25))) == {201}


@asynccontextmanager
async def counting(engines: Engines) -> AsyncIterator[RedisCounts]:
    counts = RedisCounts(engines.redis_url, timeout_seconds=5)
    try:
        yield counts
    finally:
        await counts.stop()


def windows(most: int = 100) -> tuple[Window, Window]:
    """A user's and a tenant's, which nobody else counts in."""
    user, tenant = (f"{kind}/{uuid4()}" for kind in ("user", "tenant"))
    return Window(key=user, most=most, seconds=60), Window(key=tenant, most=most, seconds=60)


async def test_limits_are_counted_across_replicas(own_engines: Engines) -> None:
    asked = windows()
    async with counting(own_engines) as one, counting(own_engines) as other:
        assert [await counts.count(*asked) for counts in (one, other, one)] == [(1, 1), (2, 2), (3, 3)]


async def test_what_comes_together_is_counted_together_and_each_by_itself(own_engines: Engines) -> None:
    users, tenant = [windows(most=2)[0] for _ in range(300)], windows(most=1000)[1]
    async with counting(own_engines) as counts:
        found = await asyncio.gather(*(counts.count(user, tenant) for user in (users[0], users[0], *users)))
    assert [of_user for of_user, _ in found] == [1, 2, 3, *[1] * 299]
    assert [of_tenant for _, of_tenant in found] == [1, 2, 0, *range(3, 302)]


async def test_whoever_stops_waiting_for_a_count_stops_nobody_else(own_engines: Engines) -> None:
    asked = windows()
    async with counting(own_engines) as counts:
        first, second = (asyncio.create_task(counts.count(*asked)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second)[0] <= 2
        assert first.cancelled()


async def test_a_window_ends(own_engines: Engines) -> None:
    user, tenant = (replace(window, seconds=1) for window in windows())
    async with counting(own_engines) as counts:
        assert await counts.count(user, tenant) == (1, 1)

        async def begins_anew() -> bool:
            return await counts.count(user, tenant) == (1, 1)

        await until(begins_anew)


async def test_without_redis_bookings_go_on_and_readiness_says_what_is_missing(
    client: aiohttp.ClientSession, own_engines: Engines
) -> None:
    await asyncio.to_thread(own_engines.redis.stop)
    try:
        for _ in range(3):
            async with client.post("/v1/bookings", json=ASKED) as response:
                assert response.status == 201
                assert response.headers["RateLimit-Policy"] == '"user";q=2000;w=1, "tenant";q=5000;w=1'
        async with client.get("/readyz") as response:
            assert (response.status, "redis" in (await response.json())["degraded"]) == (200, True)
    finally:
        await asyncio.to_thread(own_engines.redis.start)


async def test_a_redis_that_hangs_does_not_hold_up_bookings(
    client: aiohttp.ClientSession, own_engines: Engines
) -> None:
    await asyncio.to_thread(own_engines.redis.pause)
    try:
        for _ in range(3):
            async with client.post("/v1/bookings", json=ASKED) as response:
                assert response.status == 201
    finally:
        await asyncio.to_thread(own_engines.redis.resume)


async def test_it_starts_without_anything_else_and_becomes_ready_when_kafka_does(
    own_engines: Engines, owner: tuple[Owner, str], issuer: Issuer
) -> None:
    await asyncio.to_thread(own_engines.kafka.stop)
    try:
        async with client_of(stated(own_engines, issuer, owner[1]), issuer) as session:
            async with session.get("/healthz") as response:
                assert response.status == 200
            async with session.get("/readyz") as response:
                assert problem_of(response, await response.read())["failing"] == ["kafka", "replies", "removals"]
            async with session.post("/v1/bookings", json=ASKED) as response:
                problem = problem_of(response, await response.read())
                assert (problem["type"], "command_id" in problem) == ("/problems/unavailable", False)
            await asyncio.to_thread(own_engines.kafka.start)
            await until(lambda: is_ready(session))

            async def is_booked() -> bool:
                async with session.post("/v1/bookings", json=ASKED) as response:
                    return response.status == 201

            await until(is_booked)
    finally:
        if not own_engines.kafka.alive:
            await asyncio.to_thread(own_engines.kafka.start)
