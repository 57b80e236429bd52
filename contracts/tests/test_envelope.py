"""Records on Kafka: what is written is read back, and what is not ours is unreadable and nothing else."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from production_contracts import commands, events
from production_contracts.audit import CallOrigin
from production_contracts.bookings import SealedContact, SealedFee
from production_contracts.commands import Author, Command, CommandBody, Idempotency
from production_contracts.envelope import (
    Headers,
    KafkaRecord,
    ReceivedEvent,
    UnreadableError,
    command_record,
    event_record,
    read_command,
    read_event,
    read_headers,
    reply_record,
    tenant_key,
)
from production_contracts.outcomes import Outcome, Reply
from production_contracts.records import Record
from production_contracts.roles import Role
from production_contracts.sealed import Sealed
from production_contracts.times import truncate_to_milliseconds

TENANT = UUID("8a0b1c2d-0000-4000-8000-00000000000a")
OTHER = UUID("8a0b1c2d-0000-4000-8000-00000000000b")
NOW = datetime(2027, 5, 8, 20, tzinfo=UTC)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
moments = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2200, 12, 31),  # noqa: DTZ001 - the same
    timezones=st.just(UTC),
).map(truncate_to_milliseconds)
certain = st.builds(Sealed, kid=texts, ct=texts)
sealed = st.none() | certain
contacts = st.none() | st.fixed_dictionaries({}, optional={"name": sealed, "email": sealed, "phone": sealed}).map(
    lambda given: SealedContact(**given)
)
fees = st.none() | st.builds(SealedFee, amount=certain, currency=certain)

DATA: dict[type[Record], st.SearchStrategy[Record]] = {
    commands.CreateBooking: st.builds(
        commands.CreateBooking,
        artist_id=st.uuids(),
        start_time=moments,
        end_time=moments,
        status=st.sampled_from(["pencil", "confirmed"]),
        title=texts,
        venue=st.none() | texts,
        notes=sealed,
        contact=contacts,
        fee=fees,
    ),
    commands.ConfirmBooking: st.builds(commands.ConfirmBooking),
    commands.CancelBooking: st.builds(commands.CancelBooking, reason=st.none() | texts),
    commands.RescheduleBooking: st.builds(commands.RescheduleBooking, start_time=moments, end_time=moments),
    commands.AmendBooking: st.fixed_dictionaries(
        {}, optional={"title": texts, "venue": st.none() | texts, "notes": sealed, "contact": contacts, "fee": fees}
    ).map(lambda given: commands.AmendBooking(**given)),
    commands.CreateArtist: st.builds(commands.CreateArtist, name=texts, time_zone=st.none() | texts),
    commands.AmendArtist: st.fixed_dictionaries({}, optional={"name": texts, "time_zone": st.none() | texts}).map(
        lambda given: commands.AmendArtist(**given)
    ),
    commands.ArchiveArtist: st.builds(commands.ArchiveArtist),
    commands.RecordTenant: st.builds(
        commands.RecordTenant, org_id=texts, name=st.none() | texts, slug=st.none() | texts, as_of=moments
    ),
    commands.DeleteTenant: st.builds(commands.DeleteTenant, as_of=moments),
    commands.CloseTenant: st.builds(commands.CloseTenant),
    commands.RecordMember: st.builds(
        commands.RecordMember,
        sub=texts,
        role=st.none() | st.sampled_from(Role),
        joined_at=st.none() | moments,
        as_of=moments,
    ),
    commands.RemoveMember: st.builds(commands.RemoveMember, sub=texts, as_of=moments),
    commands.RecordInvitation: st.builds(
        commands.RecordInvitation,
        invitation=texts,
        role=st.none() | st.sampled_from(Role),
        status=st.sampled_from(["pending", "accepted", "revoked"]),
        as_of=moments,
    ),
    commands.RecordPerson: st.fixed_dictionaries(
        {"sub": texts, "as_of": moments}, optional={"name": sealed, "email": sealed}
    ).map(lambda given: commands.RecordPerson(**given)),
    commands.ForgetPerson: st.builds(commands.ForgetPerson, sub=texts, as_of=moments),
    commands.RefusedBookingCall: st.builds(commands.RefusedBookingCall, operation=texts),
    commands.RefusedTenancyCall: st.builds(commands.RefusedTenancyCall, operation=texts),
}


@st.composite
def any_command(draw: st.DrawFn) -> Command:
    kind = draw(st.sampled_from(commands.COMMAND_TYPES))
    given_author = {"sub": draw(texts), "role": draw(st.sampled_from(Role)), "iat": draw(st.integers(0, 2**40))}
    if draw(st.booleans()):
        given_author["origin"] = CallOrigin(
            channel="api", address=draw(st.none() | texts), agent=draw(st.none() | texts)
        )
    given_body = {
        "author": Author(**given_author),
        "expires_at": draw(moments),
        "data": draw(DATA[kind.data]),
    }
    if draw(st.booleans()):
        given_body["idempotency"] = Idempotency(key=draw(texts), fingerprint=draw(texts))
    if draw(st.booleans()):
        given_body["expected_versions"] = draw(st.lists(st.integers(1, 100), max_size=3))
    return Command(
        id=draw(st.uuids()),
        type=kind,
        tenant_id=draw(st.uuids()),
        aggregate_id=draw(st.uuids()),
        body=CommandBody(**given_body),
        reply_partition=draw(st.none() | st.integers(0, 1000)),
        traceparent=draw(st.none() | st.just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")),
    )


def confirm() -> Command:
    body = CommandBody(
        author=Author(sub="user_ana", role=Role.MEMBER, iat=1),
        expires_at=NOW + timedelta(minutes=1),
        data=commands.ConfirmBooking(),
    )
    return Command(
        id=uuid4(),
        type=commands.BY_DATA[commands.ConfirmBooking],
        tenant_id=TENANT,
        aggregate_id=uuid4(),
        body=body,
        reply_partition=3,
    )


def event(kind: events.EventType = events.BOOKING_CREATED) -> dict[str, Any]:
    return {
        "stream": kind.stream,
        "position": 7,
        "id": str(uuid4()),
        "type": kind.name,
        "aggregate_id": str(uuid4()),
        "version": 1,
        "occurred_at": "2027-05-08T20:00:00.000Z",
        "actor": "user_ana",
        "data": {"title": "Nächte ☾", "venue": None},
    }


def with_header(record: KafkaRecord, name: str, value: bytes | None) -> Headers:
    kept = [(known, content) for known, content in record.headers if known != name]
    return kept if value is None else [*kept, (name, value)]


@given(any_command())
def test_a_command_is_read_as_it_was_written(command: Command) -> None:
    record = command_record(command, "booking.commands.v1", NOW)
    read = read_command(record.key, record.value, record.headers)
    for part in ("id", "type", "tenant_id", "aggregate_id", "reply_partition", "traceparent"):
        assert getattr(read, part) == getattr(command, part)
    assert read.body.model_dump() == command.body.model_dump()
    assert read.body.data.model_fields_set == command.body.data.model_fields_set


@pytest.mark.parametrize("kind", events.EVENT_TYPES, ids=lambda kind: kind.name)
def test_an_event_is_read_as_it_was_written_under_the_name_of_its_kind(kind: events.EventType) -> None:
    written = event(kind)
    record = event_record(written, TENANT, "topic", traceparent="00-a-b-01")
    read = read_event(record.key, record.value, record.headers)
    assert read == ReceivedEvent(tenant_id=TENANT, type=kind, position=7, event=written)
    headers = read_headers(record.headers)
    assert headers["ce_type"] == kind.kafka
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_tenantid"] == str(TENANT)
    assert headers["ce_position"] == "7"
    assert headers["ce_id"] == written["id"]
    assert headers["ce_subject"] == written["aggregate_id"]
    assert headers["ce_time"] == written["occurred_at"]
    assert headers["content-type"] == "application/json"
    assert headers["traceparent"] == "00-a-b-01"
    assert record.key == str(TENANT).encode()


def test_a_reply_goes_to_the_partition_of_who_waits() -> None:
    reply = Reply(command_id=uuid4(), outcome=Outcome(status=201, body={"a": 1}), position=4)
    record = reply_record(
        reply=reply, tenant_id=TENANT, partition=5, source="booking", topic="gateway.replies.v1", now=NOW
    )
    assert record.partition == 5
    assert record.key == tenant_key(TENANT)
    assert Reply.model_validate_json(record.value) == reply


def test_a_type_of_event_that_is_not_known_yet_is_passed_over() -> None:
    record = event_record(event(), TENANT, "topic")
    assert read_event(record.key, b"{}", with_header(record, "ce_type", b"production.booking.praised.v1")) is None


def test_of_a_repeated_header_the_last_counts() -> None:
    command = confirm()
    record = command_record(command, "topic", NOW)
    assert read_command(record.key, record.value, [("ce_id", b"x"), *record.headers]).id == command.id


BROKEN_HEADERS = [
    ("ce_type", None),
    ("ce_type", b"production.booking.praise.v1"),
    ("ce_type", b"production.booking.created.v1"),
    ("ce_type", b"\xff"),
    ("ce_tenantid", None),
    ("ce_tenantid", b"acme"),
    ("ce_tenantid", str(OTHER).encode()),
    ("ce_id", None),
    ("ce_id", b""),
    ("ce_id", b"not-an-id"),
    ("ce_subject", None),
    ("ce_subject", b"\x00"),
    ("ce_replypartition", b"-1"),
    ("ce_replypartition", b"first"),
    ("ce_replypartition", b" 1"),
    ("ce_replypartition", b"1_0"),
    ("ce_replypartition", "٣".encode()),
    ("ce_replypartition", b"99999999999"),
    ("ce_replypartition", b"9" * 5000),
    ("other", b"\xc3\x28"),
]


@pytest.mark.parametrize(("name", "value"), BROKEN_HEADERS)
def test_a_command_with_a_broken_header_is_unreadable(name: str, value: bytes | None) -> None:
    record = command_record(confirm(), "topic", NOW)
    with pytest.raises(UnreadableError):
        read_command(record.key, record.value, with_header(record, name, value))


@pytest.mark.parametrize("key", [None, b"", b"acme", str(OTHER).encode(), str(TENANT).upper().encode(), b"\xff"])
def test_a_record_whose_key_is_another_tenant_is_unreadable(key: bytes | None) -> None:
    command = command_record(confirm(), "topic", NOW)
    with pytest.raises(UnreadableError):
        read_command(key, command.value, command.headers)
    happened = event_record(event(), TENANT, "topic")
    with pytest.raises(UnreadableError):
        read_event(key, happened.value, happened.headers)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"{" * 100_000,
        b"[" * 100_000,
        b'{"author":' * 5_000,
        b'{"author": {"sub": "a", "role": "org:owner", "iat": 1}, "expires_at": "2027-05-08T20:00:00Z", "data": {}}',
        b'{"author": {"sub": "a", "role": "org:admin", "iat": "x"}, "expires_at": "2027-05-08T20:00:00Z", "data": {}}',
        b'{"author": {"sub": "a", "role": "org:admin", "iat": 1}, "expires_at": 5, "data": {}}',
        b'{"author": {"sub": "a", "role": "org:admin", "iat": 1}, "expires_at": "2027-05-08T20:00:00Z"}',
        b'{"author": {"sub": "a", "role": "org:admin", "iat": 1}, "expires_at": "2027-05-08T20:00:00Z", "data": []}',
        b'{"author": {"sub":"\\ud800", "role":"org:admin", "iat":1}, "expires_at": "2027-05-08T20:00:00Z", "data":{}}',
    ],
)
def test_a_command_with_a_broken_value_is_unreadable(value: bytes | None) -> None:
    record = command_record(confirm(), "topic", NOW)
    with pytest.raises(UnreadableError):
        read_command(record.key, value, record.headers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_type", None),
        ("ce_tenantid", None),
        ("ce_tenantid", str(OTHER).encode()),
        ("ce_position", None),
        ("ce_position", b"seven"),
        ("ce_position", b"8"),
        ("ce_position", b"9" * 5000),
        ("ce_type", b"production.booking.confirmed.v1"),
        ("ce_type", b"production.artist.created.v1"),
        ("other", b"\xff"),
    ],
)
def test_an_event_with_a_broken_header_is_unreadable(name: str, value: bytes | None) -> None:
    record = event_record(event(), TENANT, "topic")
    with pytest.raises(UnreadableError):
        read_event(record.key, record.value, with_header(record, name, value))


@pytest.mark.parametrize(
    "change",
    [
        {"position": 8},
        {"position": "7"},
        {"position": None},
        {"stream": "tenancy"},
        {"stream": "gossip"},
        {"type": "BookingConfirmed"},
        {"id": 5},
        {"aggregate_id": "a"},
        {"version": "one"},
        {"occurred_at": "yesterday"},
        {"data": None},
        {"data": []},
    ],
)
def test_an_event_with_a_broken_value_is_unreadable(change: dict[str, Any]) -> None:
    record = event_record(event(), TENANT, "topic")
    with pytest.raises(UnreadableError):
        read_event(record.key, json.dumps(event() | change).encode(), record.headers)


@pytest.mark.parametrize("value", [None, b"", b"null", b"5", b"[]", b"\xff", b"{" * 100_000, b'{"data":' * 5_000])
def test_an_event_whose_value_is_no_event_is_unreadable(value: bytes | None) -> None:
    record = event_record(event(), TENANT, "topic")
    with pytest.raises(UnreadableError):
        read_event(record.key, value, record.headers)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
members = ["author", "expires_at", "expected_versions", "data", "stream", "position", "id", "type", "version"]
near_misses = st.fixed_dictionaries({}, optional=dict.fromkeys(members, json_values))
values = st.none() | st.binary(max_size=60) | json_values.map(json.dumps).map(str.encode)
values |= near_misses.map(json.dumps).map(str.encode)
names = st.sampled_from(["ce_type", "ce_tenantid", "ce_id", "ce_subject", "ce_position", "ce_replypartition", "x"])
types = st.sampled_from([*commands.BY_NAME, *events.BY_KAFKA]).map(str.encode)
contents = st.binary(max_size=20) | st.just(str(TENANT).encode()) | types | st.just(b"7")
headers = st.lists(st.tuples(names, contents), max_size=6)


@settings(max_examples=60)
@given(st.none() | st.binary(max_size=40) | st.just(tenant_key(TENANT)), values, headers, st.sampled_from([0, 100]))
def test_whatever_arrives_is_read_or_unreadable_and_never_anything_else(
    key: bytes | None, value: bytes | None, broken: Headers, whole: int
) -> None:
    command = command_record(confirm(), "topic", NOW).headers[:whole]
    happened = event_record(event(), TENANT, "topic").headers[:whole]
    with suppress(UnreadableError):
        assert isinstance(read_command(key, value, [*command, *broken]), Command)
    with suppress(UnreadableError):
        assert isinstance(read_event(key, value, [*happened, *broken]), ReceivedEvent | None)


def test_what_is_wrong_with_a_value_is_said_without_repeating_it() -> None:
    record = command_record(confirm(), "topic", NOW)
    value = record.value.replace(b"org:member", b"org:secret")
    with pytest.raises(UnreadableError) as caught:
        read_command(record.key, value, record.headers)
    assert "role" in str(caught.value)
    assert "secret" not in str(caught.value)
