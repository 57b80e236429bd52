"""The broker lets each principal do what its row of the table says, and nothing else: every pair is tried."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
    for_code,
)

from local_stack.engines import Addresses, Engines
from production_contracts.principals import (
    ANY,
    BOOKING,
    DOWNSTREAM,
    GATEWAY,
    PRINCIPALS,
    PROVISIONING,
    Principal,
)
from production_contracts.topics import ALL_TOPICS, BOOKING_COMMANDS, BOOKING_EVENTS
from servicekit.access import KafkaAccess
from servicekit.acls import Acl, Operation, Pattern, Resource, create_acls, read_acls
from servicekit.principals import WANTED, UnknownPrincipalError, provision_principals
from servicekit.topics import connect, create_topics

DEADLINE_S = 60.0
TOPICS = sorted(topic.name for topic in ALL_TOPICS)
GROUPS = sorted({group for principal in PRINCIPALS for group in principal.groups} | {"somebody-else", "downstream"})
TRANSACTIONS = sorted({name for principal in PRINCIPALS for name in principal.transactions} | {"somebody-else"})
REFUSALS = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
)
"""A topic that somebody may not even ask about is unknown to them."""


@pytest.fixture(scope="module")
async def at(own_engines: Engines) -> Addresses:
    """A broker as provisioned, with one record at the beginning of each topic."""
    at = own_engines.addresses
    provisioning = at.kafka_access(PROVISIONING)
    await create_topics(provisioning, partitions=1, replication=1)
    passwords = {principal.name: at.credentials.of_principal(principal.name) for principal in PRINCIPALS}
    await provision_principals(provisioning, passwords)
    producer = AIOKafkaProducer(**provisioning.options())
    await producer.start()
    for topic in TOPICS:
        await producer.send_and_wait(topic, b"first")
    await producer.stop()
    return at


async def create_topic(access: KafkaAccess, name: str) -> None:
    admin = AIOKafkaAdminClient(**access.options())
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()
    for _, code, *_ in answer.topic_errors:
        if code and not issubclass(for_code(code), TopicAlreadyExistsError):
            raise for_code(code)(name)


async def allowed(attempt: Awaitable[object]) -> bool:
    try:
        await asyncio.wait_for(attempt, DEADLINE_S)
    except REFUSALS:
        return False
    return True


def covers(names: tuple[str, ...], name: str) -> bool:
    return any(name.startswith(n.removesuffix(ANY)) if n.endswith(ANY) else name == n for n in names)


def concrete(name: str) -> str:
    return name.replace(ANY, "7")


async def write(access: KafkaAccess, topic: str) -> None:
    producer = AIOKafkaProducer(**access.options())
    await producer.start()
    try:
        await producer.send_and_wait(topic, b"next", partition=0)
    finally:
        await producer.stop()


async def read(access: KafkaAccess, topic: str) -> None:
    consumer = AIOKafkaConsumer(topic, **access.options(), auto_offset_reset="earliest")
    try:
        await consumer.start()
        assert (await consumer.getone()).value == b"first"
    finally:
        await consumer.stop()


async def commit(access: KafkaAccess, topic: str, group: str) -> None:
    consumer = AIOKafkaConsumer(**access.options(), group_id=group, enable_auto_commit=False)
    try:
        await consumer.start()
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.commit({TopicPartition(topic, 0): 0})
    finally:
        await consumer.stop()


async def transact(access: KafkaAccess, topic: str, transactional_id: str) -> None:
    producer = AIOKafkaProducer(**access.options(), transactional_id=transactional_id)
    try:
        await producer.start()
        async with producer.transaction():
            await producer.send_and_wait(topic, b"in a transaction")
    finally:
        await producer.stop()


@pytest.mark.parametrize("principal", PRINCIPALS, ids=lambda principal: principal.name)
class TestEachPrincipal:
    async def test_writes_its_topics_and_no_other(self, at: Addresses, principal: Principal) -> None:
        access = at.kafka_access(principal.name)
        found = {topic for topic in TOPICS if await allowed(write(access, topic))}
        assert found == set(principal.writes)

    async def test_reads_its_topics_and_no_other(self, at: Addresses, principal: Principal) -> None:
        access = at.kafka_access(principal.name)
        found = {topic for topic in TOPICS if await allowed(read(access, topic))}
        assert found == set(principal.reads)

    async def test_commits_for_its_groups_and_no_other(self, at: Addresses, principal: Principal) -> None:
        access, topic = at.kafka_access(principal.name), principal.reads[0]
        found = {group for group in map(concrete, GROUPS) if await allowed(commit(access, topic, group))}
        assert found == {group for group in map(concrete, GROUPS) if covers(principal.groups, group)}

    async def test_takes_its_transactional_ids_and_no_other(self, at: Addresses, principal: Principal) -> None:
        access, topic = at.kafka_access(principal.name), (*principal.writes, BOOKING_EVENTS.name)[0]
        found = {name for name in map(concrete, TRANSACTIONS) if await allowed(transact(access, topic, name))}
        assert found == {name for name in map(concrete, TRANSACTIONS) if covers(principal.transactions, name)}

    async def test_creates_no_topic(self, at: Addresses, principal: Principal) -> None:
        assert not await allowed(create_topic(at.kafka_access(principal.name), "of-its-own"))


@pytest.mark.parametrize(
    "access",
    [
        lambda at: at.kafka_access("somebody"),
        lambda at: KafkaAccess(bootstrap=at.kafka_access("gateway").bootstrap),
        lambda at: KafkaAccess(
            bootstrap=at.kafka_access("gateway").bootstrap,
            protocol="SASL_PLAINTEXT",
            username="gateway",
            password="a guess",
        ),
        lambda at: KafkaAccess(
            bootstrap=at.kafka_access("gateway").bootstrap,
            protocol="SASL_PLAINTEXT",
            mechanism="PLAIN",
            username="gateway",
            password=at.credentials.of_principal("gateway"),
        ),
    ],
    ids=["an unknown name", "no name", "a wrong password", "a password in the clear"],
)
async def test_whoever_does_not_log_in_is_not_served(at: Addresses, access: Callable[[Addresses], KafkaAccess]) -> None:
    admin = AIOKafkaAdminClient(**access(at).options())
    try:
        with pytest.raises(KafkaError):
            await admin.start()
    finally:
        await admin.close()


async def test_what_somebody_added_by_hand_is_taken_away_and_other_principals_are_left_alone(at: Addresses) -> None:
    provisioning = at.kafka_access(PROVISIONING)
    extra = [
        Acl(
            principal=f"User:{name}",
            resource=Resource.TOPIC,
            name=BOOKING_EVENTS.name,
            pattern=Pattern.LITERAL,
            operation=Operation.WRITE,
        )
        for name in (DOWNSTREAM.name, "a-neighbour")
    ]
    admin = await connect(provisioning)
    try:
        await create_acls(admin, extra)
        assert await provision_principals(provisioning, {}) == (0, 1)
        assert await read_acls(admin) == WANTED | {extra[1]}
    finally:
        await admin.close()
    assert not await allowed(write(at.kafka_access(DOWNSTREAM.name), BOOKING_EVENTS.name))


async def test_provisioning_again_changes_nothing(at: Addresses) -> None:
    assert await provision_principals(at.kafka_access(PROVISIONING), {}) == (0, 0)
    assert await allowed(write(at.kafka_access(GATEWAY.name), BOOKING_COMMANDS.name))


async def test_a_new_password_holds_and_the_old_one_no_longer(at: Addresses) -> None:
    provisioning, old = at.kafka_access(PROVISIONING), at.kafka_access(BOOKING.name)
    await provision_principals(provisioning, {BOOKING.name: "renewed"})
    with pytest.raises(KafkaError):
        await read(old, BOOKING_COMMANDS.name)
    await provision_principals(provisioning, {BOOKING.name: at.credentials.of_principal(BOOKING.name)})
    await read(old, BOOKING_COMMANDS.name)


async def test_a_password_for_nobody_in_the_table_is_refused(at: Addresses) -> None:
    with pytest.raises(UnknownPrincipalError, match="nobody"):
        await provision_principals(at.kafka_access(PROVISIONING), {"nobody": "x"})
