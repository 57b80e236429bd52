"""Our records as others read them: with the CloudEvents SDK, in binary mode, from what aiokafka's consumer gives."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from aiokafka import ConsumerRecord
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event

from production_contracts import commands
from production_contracts.commands import Author, Command, CommandBody
from production_contracts.envelope import KafkaRecord, command_record, event_record, reply_record
from production_contracts.outcomes import Outcome, Reply
from production_contracts.roles import Role

TENANT = UUID("8a0b1c2d-0000-4000-8000-00000000000a")
BOOKING = UUID("8a0b1c2d-0000-4000-8000-00000000000b")
COMMAND = UUID("8a0b1c2d-0000-4000-8000-00000000000c")
NOW = datetime(2027, 5, 8, 20, 0, 0, 125_000, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
EVENT: dict[str, Any] = {
    "stream": "booking",
    "position": 7,
    "id": "0190f3a4-0000-7000-8000-000000000001",
    "type": "BookingCreated",
    "aggregate_id": str(BOOKING),
    "version": 1,
    "occurred_at": "2027-05-08T20:00:00.125Z",
    "actor": "user_ana",
    "data": {"title": "Nächte ☾"},
}


def received(record: KafkaRecord) -> ConsumerRecord[bytes, bytes]:
    """Give a record as aiokafka's consumer does."""
    return ConsumerRecord(
        topic=record.topic,
        partition=3,
        offset=41,
        timestamp=0,
        timestamp_type=0,
        key=record.key,
        value=record.value,
        checksum=None,
        serialized_key_size=len(record.key),
        serialized_value_size=len(record.value),
        headers=tuple(record.headers),
    )


def read(record: KafkaRecord) -> BaseCloudEvent:
    one = received(record)
    assert one.value is not None
    return from_binary_event(KafkaMessage(headers=dict(one.headers), key=one.key, value=one.value))


def test_an_event() -> None:
    event = read(event_record(EVENT, TENANT, "booking.events.v1", TRACE))
    assert event.get_attributes() == {
        "specversion": "1.0",
        "id": EVENT["id"],
        "source": "/production/booking",
        "type": "production.booking.created.v1",
        "subject": str(BOOKING),
        "time": NOW,
        "datacontenttype": "application/json",
        "tenantid": str(TENANT),
        "position": "7",
        "partitionkey": str(TENANT),
    }
    assert event.get_data() == EVENT


def test_a_command() -> None:
    body = CommandBody(
        author=Author(sub="user_ana", role=Role.MEMBER, iat=1), expires_at=NOW, data=commands.ConfirmBooking()
    )
    command = Command(
        id=COMMAND,
        type=commands.BY_DATA[commands.ConfirmBooking],
        tenant_id=TENANT,
        aggregate_id=BOOKING,
        body=body,
        reply_partition=3,
    )
    event = read(command_record(command, "booking.commands.v1", NOW))
    assert (event.get_id(), event.get_type(), event.get_source()) == (
        str(COMMAND),
        "production.booking.confirm.v1",
        "/production/gateway",
    )
    assert (event.get_subject(), event.get_time()) == (str(BOOKING), NOW)
    assert event.get_extension("replypartition") == "3"
    assert event.get_data() == json.loads(body.model_dump_json(exclude_unset=True))


def test_a_reply() -> None:
    reply = Reply(command_id=COMMAND, outcome=Outcome(status=200, body={"id": str(BOOKING)}), position=7)
    record = reply_record(reply, tenant_id=TENANT, partition=3, source="booking", topic="gateway.replies.v1", now=NOW)
    event = read(record)
    assert (event.get_id(), event.get_type()) == (str(COMMAND), "production.command.decided.v1")
    assert event.get_data() == json.loads(reply.model_dump_json())
