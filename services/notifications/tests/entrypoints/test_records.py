"""Records of the event topics: what is an event is published, what is none is put aside, and an outage is neither."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest

from notifications.application.ports import RecentUnavailableError
from notifications.entrypoints.records import EventRecords
from notifications.testing.memory import MemoryRecent
from notifications.testing.owners import KINDS, make_event
from production_contracts.envelope import event_record
from production_contracts.events import Stream
from production_contracts.topics import EVENTS_OF


@dataclass
class Record:
    """The part of a consumer's record that is looked at."""

    key: bytes | None
    value: bytes | None
    headers: Any
    topic: str = "booking.events.v1"
    partition: int = 0
    offset: int = 0


@dataclass
class Letters:
    put_aside: list[tuple[Any, str]] = field(default_factory=list)

    async def put(self, record: Any, reason: str) -> None:  # noqa: ANN401 - whatever comes
        self.put_aside.append((record, reason))


def record(tenant_id: UUID, position: int, stream: Stream = "booking", **changes: Any) -> Any:  # noqa: ANN401
    made = event_record(make_event(KINDS[stream], position) | changes, tenant_id, EVENTS_OF[stream].name)
    return Record(key=made.key, value=made.value, headers=made.headers)


def renamed(tenant_id: UUID, position: int, kind: str) -> Any:  # noqa: ANN401
    made = record(tenant_id, position)
    made.headers = [(name, kind.encode() if name == "ce_type" else value) for name, value in made.headers]
    return made


async def test_events_are_published_by_tenant_and_stream_in_order() -> None:
    recent, letters = MemoryRecent(), Letters()
    first, second = uuid4(), uuid4()
    records = [record(first, 1), record(second, 1), record(first, 1, "tenancy"), record(first, 2)]
    await EventRecords(recent, letters).handle(records)
    assert {key: list(events) for key, events in recent.streams.items()} == {
        (first, "booking"): [1, 2],
        (second, "booking"): [1],
        (first, "tenancy"): [1],
    }
    assert not letters.put_aside


async def test_what_is_no_event_is_put_aside_and_its_neighbours_go_on() -> None:
    recent, letters = MemoryRecent(), Letters()
    tenant_id = uuid4()
    bad = [
        Record(key=b"x", value=b"{", headers=[("ce_type", b"\xff")]),
        Record(key=None, value=None, headers=[]),
        record(tenant_id, 0),
        record(tenant_id, -5),
        record(tenant_id, 2**60),
    ]
    await EventRecords(recent, letters).handle([record(tenant_id, 1), *bad, record(tenant_id, 2)])
    assert list(recent.streams[tenant_id, "booking"]) == [1, 2]
    assert [put_aside for put_aside, _ in letters.put_aside] == bad
    assert all(reason for _, reason in letters.put_aside)


async def test_an_event_of_a_type_that_is_not_known_yet_is_left_to_newer_versions() -> None:
    recent, letters = MemoryRecent(), Letters()
    tenant_id = uuid4()
    await EventRecords(recent, letters).handle([renamed(tenant_id, 1, "production.booking.praised.v1")])
    assert not recent.streams
    assert not letters.put_aside


async def test_an_outage_of_redis_puts_nothing_aside() -> None:
    recent, letters = MemoryRecent(), Letters()
    recent.down = True
    records = [record(uuid4(), 1), Record(key=None, value=None, headers=[])]
    with pytest.raises(RecentUnavailableError):
        await EventRecords(recent, letters).handle(records)
    assert not letters.put_aside
    recent.down = False
    await EventRecords(recent, letters).handle(records)
    assert len(letters.put_aside) == 1
