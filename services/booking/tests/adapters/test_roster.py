"""The roster as booking knows it, fed by a real topic: what has answered 201 elsewhere is never unknown here."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from libs.servicekit.tests.broker import until

from booking.adapters import roster as roster_module
from booking.adapters.bookings import artist_states
from booking.adapters.roster import Roster
from local_stack.databases import Database as FreshDatabase
from local_stack.engines import Addresses
from production_contracts import events
from production_contracts.envelope import KafkaRecord, event_record
from production_contracts.topics import PARTITIONS_LOCAL, TENANCY_EVENTS
from servicekit import journal
from servicekit.database import Database
from servicekit.dead_letters import DeadLetters
from servicekit.ends import TopicEnds
from servicekit.kafka import RETRIED_BATCHES, Consumers, Producer
from servicekit.topics import create_topics

WHEN = "2027-05-08T20:00:00.000Z"


class Following:
    """An instance of booking, as far as it follows the roster."""

    def __init__(self, bootstrap: str, database: Database, producer: Producer) -> None:
        self.database = database
        self.consumers = Consumers(bootstrap, "test-roster", PARTITIONS_LOCAL)
        self.ends = TopicEnds(bootstrap, "test-roster-ends")
        self.roster = Roster(
            database, self.consumers, self.ends, DeadLetters(producer, "booking"), partitions=PARTITIONS_LOCAL
        )

    async def start(self) -> None:
        await self.consumers.start()
        await until(lambda: self.consumers.complaints() == [], "the roster follows")

    async def stop(self) -> None:
        await self.consumers.stop()
        await self.ends.stop()

    async def states(self, tenant: UUID, *artists: UUID) -> list[str | None]:
        async with self.database.transaction([tenant]) as connection:
            found = await artist_states(connection, {(tenant, artist) for artist in artists})
        return [found.get((tenant, artist)) for artist in artists]

    async def is_deleted(self, tenant: UUID) -> bool:
        async with self.database.transaction() as connection:
            return (await journal.standing(connection, tenant)).deleted

    async def knows(self, tenant: UUID, artist: UUID) -> bool:
        return (await self.states(tenant, artist)) != [None]


class Tenancy:
    """Publishes what happens to artists, as tenancy's relay would."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer
        self.positions: dict[UUID, int] = {}

    async def publish(self, tenant: UUID, artist: UUID, version: int = 1, **changes: Any) -> None:  # noqa: ANN401
        self.positions[tenant] = self.positions.get(tenant, 0) + 1
        kind = changes.pop("kind", events.ARTIST_CREATED)
        data = {
            "id": str(artist),
            "name": "The Band",
            "status": "active",
            "version": version,
            "position": self.positions[tenant],
            "created_by": "user_ana",
            "created_at": WHEN,
            "updated_at": WHEN,
        }
        event = {
            "stream": "tenancy",
            "position": self.positions[tenant],
            "id": str(uuid4()),
            "type": kind.name,
            "aggregate_id": str(artist),
            "version": version,
            "occurred_at": WHEN,
            "actor": "user_ana",
            "data": {name: value for name, value in (data | changes).items() if value is not None},
        }
        await self.producer.send_and_wait(event_record(event, tenant, TENANCY_EVENTS.name))


@pytest.fixture(scope="module")
async def producer(engines: Addresses) -> AsyncIterator[Producer]:
    await create_topics(engines.kafka_bootstrap, partitions=PARTITIONS_LOCAL, replication=1)
    made = Producer(engines.kafka_bootstrap, "test-roster")
    await made.start()
    await until(lambda: made.ready, "the producer connects")
    yield made
    await made.stop()


@pytest.fixture(scope="module")
async def fresh(fresh_database: Callable[..., FreshDatabase]) -> AsyncIterator[FreshDatabase]:
    with fresh_database("booking") as made:
        yield made


@pytest.fixture(scope="module")
async def following(engines: Addresses, fresh: FreshDatabase, producer: Producer) -> AsyncIterator[Following]:
    """One instance that follows, for tests with tenants of their own."""
    database = Database(fresh.url)
    made = Following(engines.kafka_bootstrap, database, producer)
    await made.start()
    yield made
    await made.stop()
    await database.stop()


@pytest.fixture
def tenancy(producer: Producer) -> Tenancy:
    return Tenancy(producer)


async def test_artists_are_known_as_their_latest_event_left_them(following: Following, tenancy: Tenancy) -> None:
    tenant, artist, other = uuid4(), uuid4(), uuid4()
    await tenancy.publish(tenant, artist, time_zone="Europe/Berlin")
    await tenancy.publish(tenant, artist, 2, kind=events.ARTIST_AMENDED, name="Another name")
    await tenancy.publish(tenant, artist, 3, kind=events.ARTIST_ARCHIVED, status="archived")
    await tenancy.publish(tenant, other)
    await until(lambda: following.knows(tenant, other), "the last event is taken")
    assert await following.states(tenant, artist, other) == ["archived", "active"]


async def test_a_tenant_that_is_deleted_is_kept_in_mind_though_booking_has_never_heard_of_it(
    following: Following, tenancy: Tenancy
) -> None:
    tenant, other, artist = uuid4(), uuid4(), uuid4()
    await tenancy.publish(tenant, tenant, kind=events.TENANT_DELETED, status="deleted")
    await tenancy.publish(other, artist)
    await tenancy.publish(tenant, artist)
    await until(lambda: following.knows(tenant, artist), "the last event is taken")
    await until(lambda: following.knows(other, artist), "the other's too")
    assert [await following.is_deleted(one) for one in (tenant, other)] == [True, False]


async def test_an_older_version_that_comes_again_changes_nothing(following: Following, tenancy: Tenancy) -> None:
    tenant, artist, last = uuid4(), uuid4(), uuid4()
    await tenancy.publish(tenant, artist, 3, kind=events.ARTIST_ARCHIVED, status="archived")
    await until(lambda: following.knows(tenant, artist), "the event is taken")
    await tenancy.publish(tenant, artist, 1)
    await tenancy.publish(tenant, last)
    await until(lambda: following.knows(tenant, last), "the last event is taken")
    assert await following.states(tenant, artist) == ["archived"]


async def test_an_artist_whose_event_is_on_the_topic_is_never_unknown(following: Following, tenancy: Tenancy) -> None:
    tenants = [uuid4() for _ in range(4)]
    for number in range(40):
        tenant, artist = tenants[number % 4], uuid4()
        await tenancy.publish(tenant, artist)
        assert await following.roster.await_artists([(tenant, artist)]) == frozenset()
        assert await following.states(tenant, artist) == ["active"]


async def test_an_artist_that_nobody_ever_created_is_unknown_for_sure(following: Following) -> None:
    tenant, artist = uuid4(), uuid4()
    assert await following.roster.await_artists([(tenant, artist)]) == frozenset()
    assert await following.states(tenant, artist) == [None]
    assert await following.roster.await_artists([]) == frozenset()


async def test_another_tenants_artist_is_unknown(following: Following, tenancy: Tenancy) -> None:
    tenant, other, artist = uuid4(), uuid4(), uuid4()
    await tenancy.publish(other, artist)
    assert await following.roster.await_artists([(tenant, artist), (other, artist)]) == frozenset()
    assert await following.states(tenant, artist) == [None]
    assert await following.states(other, artist) == ["active"]


async def test_while_the_roster_is_behind_an_unknown_artist_is_doubtful_and_a_known_one_is_not(
    following: Following, tenancy: Tenancy, fresh: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, known, coming = uuid4(), uuid4(), uuid4()
    await tenancy.publish(tenant, known)
    await until(lambda: following.knows(tenant, known), "the first is known")
    monkeypatch.setattr(roster_module, "PATIENCE_S", 0.3)
    async with await psycopg.AsyncConnection.connect(fresh.superuser_dsn) as behind:
        await behind.execute("lock table roster_offsets in share mode")
        await tenancy.publish(tenant, coming)
        asked = [(tenant, known), (tenant, coming)]
        assert await following.roster.await_artists(asked) == frozenset({(tenant, coming)})
    monkeypatch.undo()
    assert await following.roster.await_artists(asked) == frozenset()
    assert await following.states(tenant, coming) == ["active"]


async def test_before_the_roster_is_connected_an_unknown_artist_is_doubtful(
    following: Following, tenancy: Tenancy, producer: Producer
) -> None:
    tenant, known, unknown = uuid4(), uuid4(), uuid4()
    await tenancy.publish(tenant, known)
    await until(lambda: following.knows(tenant, known), "the first is known")
    early = Following("127.0.0.1:1", following.database, producer)
    assert await early.roster.await_artists([(tenant, known), (tenant, unknown)]) == frozenset({(tenant, unknown)})


async def test_a_restart_goes_on_from_where_the_database_stands(
    engines: Addresses, fresh_database: Callable[..., FreshDatabase], producer: Producer, tenancy: Tenancy
) -> None:
    tenant, before, after = uuid4(), uuid4(), uuid4()
    with fresh_database("booking") as own:
        database = Database(own.url)
        first = Following(engines.kafka_bootstrap, database, producer)
        await first.start()
        await tenancy.publish(tenant, before)
        assert await first.roster.await_artists([(tenant, before)]) == frozenset()
        await first.stop()
        with psycopg.connect(own.superuser_dsn, autocommit=True) as superuser:
            superuser.execute("delete from artists where tenant_id = %s", (tenant,))
        await tenancy.publish(tenant, after)
        second = Following(engines.kafka_bootstrap, database, producer)
        await second.start()
        assert await second.roster.await_artists([(tenant, after)]) == frozenset()
        assert await second.states(tenant, before, after) == [None, "active"], "what was passed is not taken again"
        await second.stop()
        await database.stop()


async def test_two_instances_on_one_database_follow_without_getting_in_each_others_way(
    engines: Addresses, following: Following, tenancy: Tenancy, producer: Producer
) -> None:
    second = Following(engines.kafka_bootstrap, following.database, producer)
    await second.start()
    artists = [(uuid4(), uuid4()) for _ in range(30)]
    await asyncio.gather(*(tenancy.publish(tenant, artist) for tenant, artist in artists))
    waits = (instance.roster.await_artists(artists) for instance in (following, second))
    assert await asyncio.gather(*waits) == [frozenset(), frozenset()]
    for tenant, artist in artists:
        assert await second.states(tenant, artist) == ["active"]
    await second.stop()


async def test_what_is_no_event_or_no_artist_is_put_aside_and_what_follows_is_taken(
    following: Following, tenancy: Tenancy, producer: Producer
) -> None:
    tenant, broken, last = uuid4(), uuid4(), uuid4()
    put_aside: list[str] = []

    class Letters(DeadLetters):
        async def put(self, record: Any, reason: str) -> None:  # noqa: ANN401
            if record.key == str(tenant).encode():
                put_aside.append(reason)

    following.roster._dead_letters = Letters(producer, "booking")
    await tenancy.publish(tenant, broken, status=None)
    await tenancy.publish(tenant, broken, status="retired", name="Somebody's name")
    await tenancy.publish(tenant, uuid4(), kind=events.TENANT_CREATED, status=None)
    await producer.send_and_wait(
        KafkaRecord(topic=TENANCY_EVENTS.name, key=str(tenant).encode(), value=b"{", headers=[("ce_id", b"\xff")])
    )
    await tenancy.publish(tenant, last)
    assert await following.roster.await_artists([(tenant, last)]) == frozenset()
    assert await following.states(tenant, broken, last) == [None, "active"]
    assert len(put_aside) == 3
    assert put_aside[:2] == ["the data is no artist: status"] * 2


class Collected(DeadLetters):
    """Keeps what is put aside."""

    def __init__(self, producer: Producer) -> None:
        super().__init__(producer, "booking")
        self.put_aside: list[tuple[bytes | None, str]] = []

    async def put(self, record: Any, reason: str) -> None:  # noqa: ANN401 - whatever comes
        self.put_aside.append((record.key, reason))


async def test_a_database_that_does_not_answer_puts_nothing_aside_and_the_batch_comes_again(
    engines: Addresses, fresh: FreshDatabase, tenancy: Tenancy, producer: Producer
) -> None:
    tenant, artist = uuid4(), uuid4()
    impatient = Database(fresh.url, command_timeout=0.2)
    second, letters = Following(engines.kafka_bootstrap, impatient, producer), Collected(producer)
    second.roster._dead_letters = letters
    await second.start()
    retried = RETRIED_BATCHES.labels(consumer=TENANCY_EVENTS.name)._value
    before = retried.get()
    async with await psycopg.AsyncConnection.connect(fresh.superuser_dsn) as blocker:
        await blocker.execute("lock table artists in exclusive mode")
        await tenancy.publish(tenant, artist)
        await until(lambda: retried.get() > before + 1, "it is tried again, and again")
        await blocker.rollback()
    assert await second.roster.await_artists([(tenant, artist)]) == frozenset()
    assert await second.states(tenant, artist) == ["active"]
    assert letters.put_aside == []
    await second.stop()
    await impatient.stop()


async def test_a_row_that_the_database_refuses_stands_alone_in_the_dead_letters(
    engines: Addresses, fresh_database: Callable[..., FreshDatabase], tenancy: Tenancy, producer: Producer
) -> None:
    tenant, artists = uuid4(), [uuid4() for _ in range(5)]
    for number, artist in enumerate(artists):
        await tenancy.publish(tenant, artist, version=2**40 if number == 2 else 1)
    with fresh_database("booking") as own:
        database = Database(own.url)
        late, letters = Following(engines.kafka_bootstrap, database, producer), Collected(producer)
        late.roster._dead_letters = letters
        await late.start()
        assert await late.roster.await_artists([(tenant, artists[4])]) == frozenset()
        assert await late.states(tenant, *artists) == ["active", "active", None, "active", "active"]
        assert [key for key, _ in letters.put_aside if key == str(tenant).encode()] == [str(tenant).encode()]
        await late.stop()
        await database.stop()


async def test_what_a_transaction_leaves_behind_does_not_keep_anybody_waiting(
    engines: Addresses, following: Following, producer: Producer
) -> None:
    tenant = uuid4()
    sender = AIOKafkaProducer(bootstrap_servers=engines.kafka_bootstrap, transactional_id=f"test-{tenant}", acks="all")
    async with sender, sender.transaction():
        await sender.send_and_wait(TENANCY_EVENTS.name, b"{}", key=str(tenant).encode(), headers=[("ce_type", b"x")])
    unknown = (tenant, uuid4())
    assert await following.roster.await_artists([unknown]) == frozenset(), "it has passed the end, markers and all"
