"""The desk: what is published, how long is waited, and what is said when it is not certain."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from aiokafka.errors import KafkaError

from gateway.application.desk import Desk, Order
from gateway.domain.command_ids import CommandIds
from gateway.domain.preferences import Patience
from gateway.testing import FakeKafka, echo
from production_contracts.audit import CallOrigin
from production_contracts.commands import Author, ConfirmBooking, CreateArtist
from production_contracts.roles import Role
from servicekit.problems import ProblemError
from servicekit.tokens import Principal

NOW = datetime(2027, 1, 1, tzinfo=UTC)
IDS = CommandIds(bytes(32))
PRINCIPAL = Principal(
    sub="user_ana", tenant_id=uuid4(), org_id="o", role=Role.MEMBER, iat=5, exp=9, issuer="i", token="t"
)
FROM = CallOrigin(channel="api", address="203.0.113.9", agent="curl/8.5.0")
WAITING = Patience(seconds=5.0, asynchronous=False)
IMPATIENT = Patience(seconds=0.02, asynchronous=False)
ASYNC = Patience(seconds=0.0, asynchronous=True)


def order(patience: Patience = WAITING) -> Order:
    return Order(principal=PRINCIPAL, aggregate_id=uuid4(), data=ConfirmBooking(), patience=patience, origin=FROM)


def desk(kafka: FakeKafka) -> Desk:
    return Desk(kafka, kafka, IDS, now=lambda: NOW)


async def refusal(kafka: FakeKafka, patience: Patience = WAITING) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        await desk(kafka).take(order(patience))
    assert caught.value.kind.slug == "unavailable"
    assert "Retry-After" in caught.value.headers
    assert kafka.waiting == 0
    return caught.value


async def test_a_command_carries_its_author_its_expiry_and_where_somebody_waits() -> None:
    kafka = FakeKafka()
    taken = await desk(kafka).take(order())
    (command,) = kafka.sent
    assert command.body.author == Author(sub="user_ana", role=Role.MEMBER, iat=5, origin=FROM)
    assert command.body.expires_at == NOW + timedelta(seconds=60)
    assert command.reply_partition == kafka.partition
    assert taken.reply is not None
    assert taken.reply.command_id == command.id
    assert IDS.read(taken.command_id, PRINCIPAL.tenant_id) == (command.id, "booking")
    assert kafka.waiting == 0


async def test_each_command_goes_to_the_topic_of_the_service_that_decides_it() -> None:
    kafka = FakeKafka()
    await desk(kafka).take(order())
    roster = Order(
        principal=PRINCIPAL, aggregate_id=uuid4(), data=CreateArtist(name="x"), patience=WAITING, origin=FROM
    )
    await desk(kafka).take(roster)
    assert [record.topic for record in kafka.records] == ["booking.commands.v1", "tenancy.commands.v1"]


async def test_who_does_not_wait_has_a_quarter_of_an_hour_and_no_reply() -> None:
    kafka = FakeKafka()
    taken = await desk(kafka).take(order(ASYNC))
    (command,) = kafka.sent
    assert taken.reply is None
    assert command.reply_partition is None
    assert command.body.expires_at == NOW + timedelta(minutes=15)


async def test_an_outcome_that_does_not_come_in_time_is_to_be_asked_for() -> None:
    kafka = FakeKafka(decide=lambda _: None)
    assert (await desk(kafka).take(order(IMPATIENT))).reply is None
    assert kafka.waiting == 0


async def test_a_late_reply_wakes_who_waits() -> None:
    kafka = FakeKafka(decide=lambda _: None)
    taking = asyncio.create_task(desk(kafka).take(order()))
    command = await kafka.arrivals.get()
    kafka.reply(command, echo(command))
    assert (await taking).reply is not None


@pytest.mark.parametrize("patience", [WAITING, ASYNC])
async def test_what_was_not_sent_is_unavailable_without_an_id(patience: Patience) -> None:
    kafka = FakeKafka()
    kafka.away = True
    assert "command_id" not in (await refusal(kafka, patience)).members


@pytest.mark.parametrize("patience", [WAITING, ASYNC])
@pytest.mark.parametrize("fate", [KafkaError("lost"), TimeoutError(), OSError("gone")])
async def test_what_may_have_been_sent_is_unavailable_with_its_id(patience: Patience, fate: Exception) -> None:
    kafka = FakeKafka()
    kafka.fate = fate
    text = (await refusal(kafka, patience)).members["command_id"]
    assert IDS.read(text, PRINCIPAL.tenant_id) is not None


async def test_what_kafka_has_not_acknowledged_within_the_wait_is_not_called_taken() -> None:
    kafka = FakeKafka(decide=lambda _: None)
    kafka.acknowledges = False
    assert "command_id" in (await refusal(kafka, IMPATIENT)).members


async def test_what_fails_in_the_moment_the_wait_ends_is_not_called_taken() -> None:
    """Found by chaos: Kafka's deadline and the wait end together, and a command that never arrived was answered 202."""
    kafka = FakeKafka(decide=lambda _: None)
    kafka.fails_as_the_wait_ends = KafkaError("expired")
    assert "command_id" in (await refusal(kafka, IMPATIENT)).members


async def test_a_reply_counts_even_before_the_acknowledgement() -> None:
    kafka = FakeKafka()
    kafka.acknowledges = False
    assert (await desk(kafka).take(order())).reply is not None


async def test_nothing_is_sent_for_one_who_waits_while_replies_can_not_be_heard() -> None:
    kafka = FakeKafka()
    kafka.attached = False
    await refusal(kafka)
    assert kafka.sent == []
    assert (await desk(kafka).take(order(ASYNC))).reply is None


async def test_only_so_many_wait_at_once() -> None:
    kafka = FakeKafka(decide=lambda _: None, capacity=2)
    waiting = [asyncio.create_task(desk(kafka).take(order())) for _ in range(2)]
    for _ in waiting:
        await kafka.arrivals.get()
    with pytest.raises(ProblemError):
        await desk(kafka).take(order())
    assert len(kafka.sent) == 2
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert kafka.waiting == 0
