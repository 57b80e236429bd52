"""Each kind of poison, at each consumer: put aside with reason, headers, place and time, and its neighbours go on.

What is larger than a record may be is refused by Kafka itself; what is larger than a message of ours is put aside. A
type of event that is not known is no poison: a newer version has written it, and it is left to newer readers.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from tests.poison.mail import Tool, book, command, hire, location, publish, recorded

from local_stack.clients.tenant import Tenant
from production_contracts.commands import Command
from production_contracts.envelope import KafkaRecord, event_record
from production_contracts.times import format_timestamp, parse_timestamp
from production_contracts.topics import BOOKING_EVENTS, LARGEST_MESSAGE, TENANCY_EVENTS

Spoil = Callable[[KafkaRecord], KafkaRecord]


@dataclass(frozen=True)
class Poison:
    """What is done to a good record, and what the reason then says."""

    spoil: Spoil
    reason: str


def with_header(record: KafkaRecord, name: str, value: bytes | None) -> KafkaRecord:
    """Set a header, or leave it out."""
    others = [(given, content) for given, content in record.headers if given != name]
    return replace(record, headers=others if value is None else [*others, (name, value)])


def with_value(record: KafkaRecord, **changes: Any) -> KafkaRecord:  # noqa: ANN401 - JSON
    """Change members of a record's value."""
    return replace(record, value=json.dumps(json.loads(record.value) | changes).encode())


COMMON = {
    "not json": Poison(lambda record: replace(record, value=b"{ not json"), ""),
    "no value": Poison(lambda record: replace(record, value=b""), ""),
    "a tenant that is not the key's": Poison(
        lambda record: with_header(record, "ce_tenantid", str(uuid4()).encode()), "the key is not the tenant"
    ),
    "no tenant": Poison(lambda record: with_header(record, "ce_tenantid", None), "missing header: 'ce_tenantid'"),
    "no headers": Poison(lambda record: replace(record, headers=[]), "missing header: 'ce_type'"),
    "a header that is no text": Poison(lambda record: with_header(record, "ce_id", b"\xff"), "a header is not UTF-8"),
    "oversized": Poison(lambda record: with_value(record, more="x" * LARGEST_MESSAGE), "oversized: "),
    "oversized headers": Poison(lambda record: with_header(record, "more", b"x" * LARGEST_MESSAGE), "oversized: "),
}
OF_COMMANDS = COMMON | {
    "wrong schema": Poison(lambda record: with_value(record, author="ana"), "the value does not fit its type"),
    "unknown type": Poison(
        lambda record: with_header(record, "ce_type", b"production.booking.praise.v1"), "unknown type"
    ),
    "unknown version": Poison(
        lambda record: with_header(record, "ce_type", dict(record.headers)["ce_type"].replace(b".v1", b".v9")),
        "unknown type",
    ),
    "no id": Poison(lambda record: with_header(record, "ce_id", None), "missing header: 'ce_id'"),
    "what makes the handler raise": Poison(
        lambda record: replace(record, value=record.value.replace(b"spoil me", rb"spoil\u0000me")), "DBAPIError"
    ),
}
OF_EVENTS = COMMON | {
    "wrong schema": Poison(lambda record: with_value(record, version="first"), "unreadable"),
    "no position": Poison(lambda record: with_header(record, "ce_position", None), "missing header: 'ce_position'"),
    "positions that differ": Poison(lambda record: with_header(record, "ce_position", b"7"), "disagree on position"),
}


def decided_by(service: str, artist: dict[str, Any]) -> Callable[[int, str], Any]:
    """Make data of a service's commands: numbered, with a text."""
    return lambda number, text: book(artist, number, title=text) if service == "booking" else hire(text)


@pytest.mark.parametrize("service", ["booking", "tenancy"])
@pytest.mark.parametrize("kind", OF_COMMANDS)
async def test_a_poisonous_command_is_put_aside_and_its_neighbours_are_decided_in_order(
    tenant: Tenant, service: str, kind: str
) -> None:
    made = decided_by(service, await tenant.artist())
    before, poisoned, after = (
        command(tenant, made(number, text)) for number, text in enumerate(("before", "spoil me", "after"))
    )
    bad = OF_COMMANDS[kind].spoil(recorded(poisoned))
    await publish(tenant, recorded(before), bad, recorded(after))
    assert await outcomes(tenant, before, after) == ["accepted", "accepted"]
    await hold_put_aside(Tool(tenant, service), bad, OF_COMMANDS[kind].reason, {service})
    told = [event["data"].get("title") or event["data"].get("name") for event in await tenant.caller().events(service)]
    assert told[-2:] == ["before", "after"]


async def outcomes(tenant: Tenant, *asked: Command) -> list[str]:
    return [(await tenant.caller().decided(location(tenant, one)))["status"] for one in asked]


async def hold_put_aside(tool: Tool, bad: KafkaRecord, reason: str, services: set[str]) -> None:
    """Hold that a record, and nothing else of its tenant, is on the dead letters, whole, and that all is said of it."""
    (letter,) = await tool.when_there(1)
    assert (letter.key, letter.value, letter.headers) == (bad.key, bad.value, bad.headers)
    assert reason in letter.reason
    assert letter.reason
    assert letter.origin.topic == bad.topic
    assert letter.origin.offset >= 0
    assert letter.services <= services
    assert parse_timestamp(letter.put_aside_at) <= datetime.now(UTC)


def artist_event(tenant: Tenant, **data: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Write the event of a new artist, far down a tenant's stream."""
    now, artist = format_timestamp(datetime.now(UTC)), str(uuid4())
    described = {"id": artist, "name": "A", "time_zone": None, "status": "active", "version": 1, "position": 1_000}
    return {
        "stream": "tenancy",
        "position": 1_000,
        "id": str(uuid4()),
        "type": "ArtistCreated",
        "aggregate_id": artist,
        "version": 1,
        "occurred_at": now,
        "actor": "user_ana",
        "data": described | {"created_by": "user_ana", "created_at": now, "updated_at": now} | data,
    }


@pytest.mark.parametrize("kind", OF_EVENTS)
async def test_a_poisonous_event_is_put_aside_by_all_who_read_it_and_is_one_letter(tenant: Tenant, kind: str) -> None:
    bad = OF_EVENTS[kind].spoil(event_record(artist_event(tenant), tenant.id, TENANCY_EVENTS.name))
    await publish(tenant, bad)
    await tenant.booking(await tenant.artist())  # the roster has passed it
    await hold_put_aside(Tool(tenant, "notifications"), bad, OF_EVENTS[kind].reason, {"booking", "notifications"})


@pytest.mark.parametrize("kind", OF_EVENTS)
async def test_a_poisonous_event_of_booking_is_put_aside_by_notifications(tenant: Tenant, kind: str) -> None:
    good = event_record(artist_event(tenant), tenant.id, BOOKING_EVENTS.name)
    bad = OF_EVENTS[kind].spoil(good)
    await publish(tenant, bad)
    await hold_put_aside(Tool(tenant, "notifications"), bad, OF_EVENTS[kind].reason, {"notifications"})


async def test_an_artist_that_booking_can_not_store_is_put_aside_and_its_neighbours_are_known(tenant: Tenant) -> None:
    bad = event_record(artist_event(tenant, version=2**40), tenant.id, TENANCY_EVENTS.name)
    await publish(tenant, bad)
    await tenant.booking(await tenant.artist())
    await hold_put_aside(Tool(tenant, "booking"), bad, "DBAPIError", {"booking"})


async def test_an_event_that_no_socket_can_be_told_is_put_aside(tenant: Tenant) -> None:
    good = event_record(artist_event(tenant), tenant.id, BOOKING_EVENTS.name)
    bad = replace(good, value=good.value.replace(b'"name":"A"', b'"name":' + str(2**70).encode()))
    await publish(tenant, bad)
    await hold_put_aside(Tool(tenant, "notifications"), bad, "TypeError", {"notifications"})


async def test_an_event_of_a_type_that_is_not_known_is_left_to_newer_readers(tenant: Tenant) -> None:
    good = event_record(artist_event(tenant), tenant.id, TENANCY_EVENTS.name)
    newer = with_header(good, "ce_type", b"production.artist.praised.v1")
    bad = replace(good, value=b"{")
    await publish(tenant, newer, bad)
    await hold_put_aside(Tool(tenant, "booking"), bad, "unreadable", {"booking", "notifications"})


async def test_the_largest_booking_that_may_be_asked_for_is_not_oversized(tenant: Tenant) -> None:
    artist = await tenant.artist()
    largest: dict[str, Any] = {
        "title": "🎺" * 200,
        "venue": "🎺" * 200,
        "notes": "🎺" * 10_000,
        "contact": {"name": "🎺" * 200, "email": "🎺" * 64 + "@" + "🎺" * 255, "phone": "1" * 20},
        "fee": {"amount": 10**15 - 1, "currency": "EUR"},
    }
    booking = await tenant.booking(artist, **largest)
    again = await tenant.caller().patch(f"/v1/bookings/{booking['id']}", {"notes": "🎷" * 10_000})
    assert again.status == 200
    assert await Tool(tenant, "booking").letters() == []
    assert await Tool(tenant, "notifications").letters() == []
