"""Removals: what the book says of tokens, and how it is filled from a real topic."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from libs.servicekit.tests.broker import Broker, until

from production_contracts import events
from production_contracts.envelope import ReceivedEvent, event_record
from production_contracts.times import format_timestamp
from production_contracts.topics import PARTITIONS_LOCAL, TENANCY_EVENTS
from servicekit.problems import ProblemError
from servicekit.removals import MARGIN_SECONDS, PRUNE_SECONDS, RemovalBook, Removals, RemovalsUnknownError
from servicekit.topics import create_topics

TENANT, OTHER = UUID(int=1), UUID(int=2)
AT = datetime(2027, 5, 8, 20, 0, 10, 200_000, tzinfo=UTC)
SECOND = int(AT.timestamp())
DAY = 86_400.0


def told(kind: events.EventType, position: int, *, at: datetime = AT, sub: str = "user_ben") -> ReceivedEvent:
    moment = format_timestamp(at)
    data: dict[str, Any] = {"id": sub, "as_of": moment, "removed_at": moment}
    return ReceivedEvent(tenant_id=TENANT, type=kind, position=position, event={"data": data})


def book(now: float = SECOND) -> RemovalBook:
    return RemovalBook(kept_seconds=DAY, clock=lambda: now)


def test_a_token_of_before_the_removal_is_refused_and_so_is_one_of_its_very_second() -> None:
    known = book()
    assert known.take(told(events.MEMBER_REMOVED, 1)) == (TENANT, "user_ben")
    refused = [known.is_removed(TENANT, "user_ben", SECOND + n) for n in (-100, -1, 0, 1)]
    assert refused == [True, True, True, False]
    assert not known.is_removed(TENANT, "user_ana", SECOND - 1)
    assert not known.is_removed(OTHER, "user_ben", SECOND - 1)


def test_who_is_back_comes_in_with_a_token_of_after_the_return() -> None:
    known = book()
    known.take(told(events.MEMBER_REMOVED, 1))
    assert known.take(told(events.MEMBER_ADDED, 2, at=AT + timedelta(seconds=5))) is None
    assert [known.is_removed(TENANT, "user_ben", SECOND + n) for n in (0, 4, 5, 6)] == [True, True, False, False]


def test_a_return_within_the_same_second_counts() -> None:
    known = book()
    known.take(told(events.MEMBER_REMOVED, 1))
    known.take(told(events.MEMBER_ADDED, 2, at=AT + timedelta(milliseconds=100)))
    assert [known.is_removed(TENANT, "user_ben", SECOND + n) for n in (-1, 0)] == [True, False]


def test_events_that_come_again_change_nothing() -> None:
    known = book()
    removed, added = told(events.MEMBER_REMOVED, 1), told(events.MEMBER_ADDED, 2, at=AT + timedelta(seconds=5))
    known.take(removed)
    known.take(added)
    assert known.take(removed) is None
    known.take(added)
    assert not known.is_removed(TENANT, "user_ben", SECOND + 5)
    assert known.take(told(events.MEMBER_REMOVED, 3, at=AT + timedelta(seconds=9))) == (TENANT, "user_ben")
    assert known.is_removed(TENANT, "user_ben", SECOND + 5)


def test_a_deleted_tenant_is_deleted_whatever_comes_later() -> None:
    known = book()
    assert known.take(told(events.TENANT_DELETED, 1)) == (TENANT, None)
    known.take(told(events.TENANT_AMENDED, 2))
    assert known.is_deleted(TENANT)
    assert not known.is_deleted(OTHER)


def test_what_no_token_can_be_older_than_is_forgotten() -> None:
    now = [float(SECOND)]
    known = RemovalBook(kept_seconds=DAY, clock=lambda: now[0])
    known.take(told(events.MEMBER_REMOVED, 1))
    known.take(told(events.TENANT_DELETED, 2))
    now[0] += DAY - 1
    known.prune()
    assert len(known) == 2
    now[0] += PRUNE_SECONDS
    known.prune()
    assert len(known) == 0


async def test_while_nothing_is_known_nobody_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servicekit.removals.LOAD_PATIENCE_S", 0.05)
    removals = Removals("127.0.0.1:1", "test", 1, longest_token_seconds=DAY)
    await removals.start()
    try:
        assert not removals.loaded
        with pytest.raises(ProblemError) as refused:
            removals.check(TENANT, "user_ben", SECOND)
        assert refused.value.kind.slug == "unavailable"
        with pytest.raises(RemovalsUnknownError):
            await removals.wait()
    finally:
        await removals.stop()


@pytest.fixture
async def topics(broker: Broker) -> Broker:
    """The broker with the real topics."""
    await create_topics(broker.bootstrap, partitions=PARTITIONS_LOCAL, replication=1)
    return broker


async def tell(broker: Broker, tenant: UUID, kind: events.EventType, position: int, at: datetime) -> None:
    moment = format_timestamp(at)
    event = {
        "stream": "tenancy",
        "position": position,
        "id": str(uuid4()),
        "type": kind.name,
        "aggregate_id": str(uuid4()),
        "version": position,
        "occurred_at": moment,
        "actor": "clerk",
        "data": {"id": "user_ben", "as_of": moment, "removed_at": moment},
    }
    await broker.producer.send_and_wait(event_record(event, tenant, TENANCY_EVENTS.name))


async def test_removals_are_loaded_from_the_topic_and_followed(topics: Broker) -> None:
    first, second = uuid4(), uuid4()
    await tell(topics, first, events.MEMBER_REMOVED, 1, AT)
    removals = Removals(topics.bootstrap, "test", PARTITIONS_LOCAL, longest_token_seconds=DAY)
    heard: list[tuple[UUID, str | None]] = []
    removals.listen(lambda tenant, sub: heard.append((tenant, sub)))
    await removals.start()
    try:
        await until(lambda: removals.loaded, "removals are loaded")
        with pytest.raises(ProblemError) as refused:
            removals.check(first, "user_ben", SECOND)
        assert refused.value.kind.slug == "forbidden"
        removals.check(second, "user_ben", SECOND)
        await tell(topics, second, events.MEMBER_REMOVED, 1, AT)
        await tell(topics, second, events.TENANT_DELETED, 2, AT)
        await until(lambda: (second, None) in heard, "the deletion is heard")
        assert [told for told in heard if told[0] == second] == [(second, "user_ben"), (second, None)]
        assert removals.refusal(second, "anybody", SECOND + 10**6) is not None
    finally:
        await removals.stop()


async def test_what_is_older_than_any_token_is_not_read(topics: Broker) -> None:
    tenant = uuid4()
    await tell(topics, tenant, events.MEMBER_REMOVED, 1, AT)
    far_ahead = datetime.now(UTC).timestamp() + DAY + MARGIN_SECONDS + 60
    removals = Removals(topics.bootstrap, "test", PARTITIONS_LOCAL, longest_token_seconds=DAY, clock=lambda: far_ahead)
    await removals.start()
    try:
        await until(lambda: removals.loaded, "removals are loaded")
        assert removals.refusal(tenant, "user_ben", SECOND) is None
    finally:
        await removals.stop()
