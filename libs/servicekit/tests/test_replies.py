"""Replies: who waits at a gateway is told, on its own partition, and where asked for only after publication."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from libs.servicekit.tests.broker import Broker, Taken, until

from production_contracts import commands
from production_contracts.commands import Author, Command, CommandBody
from production_contracts.outcomes import Reply
from production_contracts.roles import Role
from production_contracts.topics import GATEWAY_REPLIES, PARTITIONS_LOCAL
from servicekit.replies import Replies, Settled
from servicekit.topics import create_topics


def settled(partition: int | None = 3, position: int = 7) -> Settled:
    command = Command(
        id=uuid4(),
        type=commands.BY_DATA[commands.ConfirmBooking],
        tenant_id=uuid4(),
        aggregate_id=uuid4(),
        body=CommandBody(
            author=Author(sub="user_ana", role=Role.MEMBER, iat=1),
            expires_at=datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=1),
            data=commands.ConfirmBooking(),
        ),
        reply_partition=partition,
    )
    return Settled(command=command, status=200, body={"id": "x"}, position=position)


class Publication:
    """A relay that publishes when it is told to."""

    def __init__(self) -> None:
        self.waited_for: dict[UUID, int] = {}
        self.done = asyncio.Event()

    async def wait_published(self, positions: dict[UUID, int]) -> None:
        self.waited_for = positions
        await self.done.wait()


@pytest.fixture
async def gateway(broker: Broker) -> Taken:
    """What arrives on partition 3, for whichever gateway."""
    await create_topics(broker.bootstrap, partitions=PARTITIONS_LOCAL, replication=1)
    taken, consumers = Taken(), broker.consumers()
    consumers.assigned(GATEWAY_REPLIES.name, [3], taken, start="earliest")
    await consumers.start()
    await until(lambda: consumers.complaints() == [], "the gateway listens")
    return taken


def replies(broker: Broker, publication: Any = None, *, after_publication: bool = False) -> Replies:  # noqa: ANN401
    return Replies(broker.producer, publication, "booking", after_publication=after_publication)


def told(gateway: Taken) -> dict[UUID, Reply]:
    read = [Reply.model_validate_json(value or b"") for value in gateway.values]
    return {reply.command_id: reply for reply in read}


async def test_an_outcome_arrives_where_somebody_waits_for_it(broker: Broker, gateway: Taken) -> None:
    one = settled()
    await replies(broker).send([one])
    await until(lambda: one.command.id in told(gateway), "the reply arrives")
    reply = told(gateway)[one.command.id]
    assert (reply.outcome.status, reply.outcome.body, reply.position) == (200, {"id": "x"}, 7)


async def test_who_waits_for_nothing_gets_nothing_and_a_place_that_is_not_there_stops_nobody(
    broker: Broker, gateway: Taken
) -> None:
    nobody, nowhere, last = settled(None), settled(PARTITIONS_LOCAL + 5), settled()
    await replies(broker).send([nobody, nowhere, last])
    await until(lambda: last.command.id in told(gateway), "the last reply arrives")
    assert not {nobody.command.id, nowhere.command.id} & told(gateway).keys()


async def test_where_asked_for_nobody_learns_an_outcome_before_its_events_are_published(
    broker: Broker, gateway: Taken
) -> None:
    publication = Publication()
    sending = replies(broker, publication, after_publication=True)
    first = settled(position=3)
    second = replace(settled(position=5), command=replace(settled().command, tenant_id=first.command.tenant_id))
    await sending.send([first, second])
    await until(lambda: bool(publication.waited_for), "publication is waited for")
    assert publication.waited_for == {first.command.tenant_id: 5}
    assert first.command.id not in told(gateway)
    publication.done.set()
    await sending.stop()
    await until(lambda: {first.command.id, second.command.id} <= told(gateway).keys(), "both arrive")


async def test_so_many_wait_for_their_publication_and_the_room_is_given_back(
    broker: Broker, gateway: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("servicekit.replies.MOST_AWAITED", 2)
    publication = Publication()
    sending = replies(broker, publication, after_publication=True)
    first, one_too_many, later = [settled(), settled()], settled(), settled()
    await sending.send(first)
    await sending.send([one_too_many])
    publication.done.set()
    await sending.stop()
    await sending.send([later])
    await sending.stop()
    await until(lambda: later.command.id in told(gateway), "the last reply arrives")
    assert {one.command.id for one in first} <= told(gateway).keys()
    assert one_too_many.command.id not in told(gateway)
