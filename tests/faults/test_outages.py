"""Parts that are away for a while: what works without them works, the rest says so, and nothing is lost."""

import asyncio
import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer

from gateway.domain.command_ids import CommandIds
from local_stack.clients.caller import Answer, Caller, expect
from local_stack.clients.nights import night
from local_stack.clients.tenant import Tenant, wish
from local_stack.clients.topic import Topic
from local_stack.clients.waiting import until
from local_stack.issuer import TokenRequest
from local_stack.part import Part
from local_stack.system import System
from production_contracts.commands import BY_DATA, Author, Command, CommandBody, CreateBooking
from production_contracts.envelope import KafkaRecord, command_record
from production_contracts.roles import Role

SHORT_WAIT = {"Prefer": "wait=1"}


async def answered(caller: Caller, path: str, slug: str) -> Answer:
    """Read again and again until a read answers this problem (empty: none)."""

    async def look() -> Answer | None:
        answer = await caller.get(path)
        return answer if answer.slug == slug else None

    return await until(look, f"{path} answers {slug or 'well'}")


async def ready_says(tenant: Tenant, *, failing: str | None) -> None:
    """Wait until the gateway's `/readyz` names this check, or none."""

    async def look() -> bool:
        answer = await tenant.caller().get("/readyz")
        return answer.status == 200 if failing is None else failing in answer.raw.decode()

    await until(look, f"/readyz says {failing}")


async def test_without_redis_bookings_are_made_and_watchers_miss_nothing(
    tenant: Tenant, part: Callable[[str], Part]
) -> None:
    artist = await tenant.artist()
    async with tenant.watcher(instance=0) as one, tenant.watcher(instance=1) as two:
        part("redis").kill()
        for number in range(10):
            await tenant.booking(artist, number)
        expect(await tenant.caller().get("/healthz"), 200)
        await asyncio.to_thread(part("redis").start)
        await tenant.booking(artist, 10)
        for watcher in (one, two):
            await watcher.reached("booking", 11)
            assert [heard.position for heard in watcher.of("booking")] == list(range(1, 12))


async def test_a_paused_redis_does_not_stop_bookings_either(tenant: Tenant, part: Callable[[str], Part]) -> None:
    artist = await tenant.artist()
    part("redis").pause()
    for number in range(5):
        await tenant.booking(artist, number)
    part("redis").resume()
    assert len(await tenant.caller().every("/v1/bookings")) == 5


async def test_while_booking_is_away_what_it_owns_is_unavailable_and_a_write_is_decided_later(
    tenant: Tenant, part: Callable[[str], Part]
) -> None:
    artist = await tenant.artist()
    caller = tenant.caller()
    await asyncio.to_thread(part("booking").stop)
    for path in ("/v1/bookings", f"/v1/bookings/{uuid4()}", "/v1/events?stream=booking"):
        answer = await caller.get(path)
        assert (answer.status, answer.slug) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    expect(await caller.get("/v1/artists"), 200)
    expect(await caller.get("/healthz"), 200)
    await ready_says(tenant, failing="booking")
    taken = expect(await caller.post("/v1/bookings", wish(artist), headers=SHORT_WAIT), 202)
    await asyncio.to_thread(part("booking").start)
    assert (await caller.decided(taken.headers["Location"]))["status"] == "accepted"


async def test_while_postgresql_is_paused_reads_are_unavailable_and_writes_are_decided_later(
    tenant: Tenant, part: Callable[[str], Part]
) -> None:
    artist = await tenant.artist()
    caller = tenant.caller()
    part("postgresql").pause()
    taken = await asyncio.gather(
        *(caller.post("/v1/bookings", wish(artist, number), headers=SHORT_WAIT) for number in range(5))
    )
    assert {answer.status for answer in taken} == {202}
    await answered(caller, "/v1/bookings", "unavailable")
    expect(await caller.get("/healthz"), 200)
    part("postgresql").resume()
    decided = [await caller.decided(answer.headers["Location"]) for answer in taken]
    assert {status["status"] for status in decided} == {"accepted"}
    await answered(caller, "/v1/bookings", "")
    assert len(await caller.every("/v1/bookings")) == 5


async def test_while_kafka_is_paused_writes_are_unavailable_reads_go_on_and_nothing_is_booked_twice(
    tenant: Tenant, part: Callable[[str], Part]
) -> None:
    artist = await tenant.artist()
    booking = await tenant.booking(artist)
    caller = tenant.caller()
    key = {"Idempotency-Key": str(uuid4())}
    part("kafka").pause()
    uncertain = await caller.post("/v1/bookings", wish(artist, 1), headers=key | SHORT_WAIT)
    assert (uncertain.status, uncertain.slug) == (503, "unavailable")
    assert int(uncertain.headers["Retry-After"]) > 0
    # It may have been published, so its command is named, and can be asked for.
    location = f"/v1/commands/{uncertain.body['command_id']}"
    assert expect(await caller.get(location), 200).body["status"] == "pending"
    assert await caller.every("/v1/bookings") == [booking]
    part("kafka").resume()

    async def ask_again() -> Answer | None:
        answer = await caller.post("/v1/bookings", wish(artist, 1), headers=key)
        return answer if answer.status == 201 else None

    created = await until(ask_again, "the write succeeds")
    assert await caller.every("/v1/bookings") == [booking, created.body]
    assert len(await caller.events()) == 2


async def test_an_issuer_that_is_away_stops_nobody_whose_key_is_known(tenant: Tenant, whole: System) -> None:
    artist = await tenant.artist()
    claims = whole.issuer.claims(TokenRequest(tenant=tenant.name))
    stranger = Caller(session=tenant.session, url=tenant.at.gateway_url, token=whole.issuer.sign(claims, kid="new"))
    await answered(stranger, "/v1/bookings", "unauthenticated")
    async with tenant.watcher():
        pass  # whoever verifies a token has fetched the issuer's keys by now
    with whole.without_issuer():
        # Whether there is such a key by now nobody can say; a made-up one is not asked for again at once.
        await answered(stranger, "/v1/bookings", "unavailable")
        await tenant.booking(artist)
        async with tenant.watcher("ben") as watcher:
            await tenant.booking(artist, 1)
            await watcher.reached("booking", 2)
    await answered(stranger, "/v1/bookings", "unauthenticated")


def expired_command(tenant: Tenant, artist_id: str) -> tuple[Command, KafkaRecord]:
    """Write a booking command whose caller has given up a second ago."""
    now = datetime.now(UTC).replace(microsecond=0)
    slot = {name: datetime.fromisoformat(moment) for name, moment in night().items()}
    data = CreateBooking(artist_id=UUID(artist_id), status="pencil", title="Too late", **slot)
    author = Author(sub="user_ana", role=Role.ADMIN, iat=int(now.timestamp()))
    command = Command(
        id=uuid4(),
        type=BY_DATA[CreateBooking],
        tenant_id=tenant.id,
        aggregate_id=uuid4(),
        body=CommandBody(author=author, expires_at=now - timedelta(seconds=1), data=data),
    )
    return command, command_record(command, "booking.commands.v1", now)


async def publish(tenant: Tenant, *records: KafkaRecord) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=tenant.at.engines.kafka_bootstrap, acks="all")
    async with producer:
        for record in records:
            await producer.send_and_wait(record.topic, record.value, key=record.key, headers=record.headers)


async def test_a_command_that_is_decided_too_late_is_expired_and_nothing_is_booked(tenant: Tenant) -> None:
    artist = await tenant.artist()
    command, record = expired_command(tenant, artist["id"])
    ids = CommandIds(base64.b64decode(tenant.at.engines.credentials.command_id_key))
    location = f"/v1/commands/{ids.write(command.id, tenant.id, 'booking')}"
    caller = tenant.caller()
    assert expect(await caller.get(location), 200).body["status"] == "pending"
    await publish(tenant, record)
    status = await caller.decided(location)
    assert (status["status"], status["outcome"]["status"]) == ("rejected", 504)
    assert status["outcome"]["body"]["type"] == "/problems/expired"
    assert await caller.every("/v1/bookings") == []
    assert await caller.events() == []


@pytest.mark.parametrize("value", [b"{", b"", b"\xff\x00"], ids=["half a document", "nothing", "no text"])
async def test_what_can_not_be_read_is_put_aside_with_its_reason_and_its_neighbours_are_decided(
    tenant: Tenant, value: bytes
) -> None:
    artist = await tenant.artist()
    _, record = expired_command(tenant, artist["id"])
    bad = KafkaRecord(topic=record.topic, key=record.key, value=value, headers=record.headers)
    nameless = KafkaRecord(topic=record.topic, key=b"nobody", value=record.value, headers=[("ce_type", b"\xff")])
    async with Topic(tenant.at.engines.kafka_bootstrap, "booking.commands.v1.dlq") as dead:
        await dead.from_here()
        await publish(tenant, bad, nameless)
        await tenant.booking(artist)

        async def both() -> list[bytes] | None:
            raw = await dead.raw()
            return [record.value for record in raw] if len(raw) >= 2 else None

        assert sorted(await until(both, "two dead letters")) == sorted([value, record.value])
        for letter in await dead.raw():
            headers = dict(letter.headers)
            assert headers["dlq_reason"]
            assert headers["dlq_topic"] == b"booking.commands.v1"
