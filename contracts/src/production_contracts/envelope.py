"""Kafka records: CloudEvents 1.0 in binary mode.

Source: CloudEvents Kafka protocol binding 1.0.2, section 3.2 (attributes are headers ``ce_*``, the data is the value).
Extensions of ours: ``tenantid``, on events ``position``, on commands ``replypartition``; W3C ``traceparent`` as it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from production_contracts import commands, events
from production_contracts.commands import Command, CommandBody
from production_contracts.outcomes import Reply
from production_contracts.times import format_timestamp
from production_contracts.topics import LARGEST_MESSAGE

CONTENT_TYPE: Final = "application/json"
REPLY_TYPE: Final = "production.command.decided.v1"
LARGEST_PARTITION: Final = 2**31 - 1

Headers = list[tuple[str, bytes]]


class UnreadableError(ValueError):
    """This record is not one of ours: the message says what is wrong with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KafkaRecord:
    """A record ready to be sent."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers
    partition: int | None = None


def tenant_key(tenant_id: UUID) -> bytes:
    """Make the record key of a tenant."""
    return str(tenant_id).encode()


def cloud_headers(attributes: dict[str, str], traceparent: str | None = None) -> Headers:
    """Write CloudEvents attributes as headers of a record."""
    headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
    headers.append(("ce_specversion", b"1.0"))
    headers.append(("content-type", CONTENT_TYPE.encode()))
    if traceparent is not None:
        headers.append(("traceparent", traceparent.encode()))
    return headers


def read_headers(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """Read a record's headers as text; of a repeated one the last counts.

    Raises:
        UnreadableError: a header is not UTF-8.
    """
    try:
        return {name: (value or b"").decode() for name, value in headers}
    except UnicodeDecodeError:
        message = "a header is not UTF-8"
        raise UnreadableError(message) from None


def _read_envelope(value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """Read the headers of a message that is not larger than one of ours."""
    written = list(headers)
    size = len(value or b"") + sum(len(name) + len(content or b"") for name, content in written)
    if size > LARGEST_MESSAGE:
        message = f"oversized: {size} bytes of value and headers, at most {LARGEST_MESSAGE} are read"
        raise UnreadableError(message)
    return read_headers(written)


def _read_tenant(attributes: dict[str, str], key: bytes | None) -> UUID:
    tenant_id = UUID(attributes["ce_tenantid"])
    if key != tenant_key(tenant_id):
        message = "the key is not the tenant of the header ce_tenantid"
        raise UnreadableError(message)
    return tenant_id


def command_record(command: Command, topic: str, now: datetime) -> "KafkaRecord":
    """Write a command as a record."""
    attributes = {
        "id": str(command.id),
        "source": "/production/gateway",
        "type": command.type.name,
        "subject": str(command.aggregate_id),
        "time": format_timestamp(now),
        "tenantid": str(command.tenant_id),
    }
    if command.reply_partition is not None:
        attributes["replypartition"] = str(command.reply_partition)
    return KafkaRecord(
        topic=topic,
        key=tenant_key(command.tenant_id),
        value=command.body.model_dump_json(exclude_unset=True).encode(),
        headers=cloud_headers(attributes, command.traceparent),
    )


def read_command(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> Command:
    """Read a command from a record.

    Raises:
        UnreadableError: a header or the value is missing or not as the type asks, the type is unknown, key and header
            name different tenants, or it is larger than `LARGEST_MESSAGE`.
    """
    attributes = _read_envelope(value, headers)
    try:
        kind = commands.BY_NAME[attributes["ce_type"]]
        tenant_id = _read_tenant(attributes, key)
        return Command(
            id=UUID(attributes["ce_id"]),
            type=kind,
            tenant_id=tenant_id,
            aggregate_id=UUID(attributes["ce_subject"]),
            body=_read_body(kind, value or b""),
            reply_partition=_read_partition(attributes.get("ce_replypartition")),
            traceparent=attributes.get("traceparent"),
        )
    except KeyError as error:
        message = f"unknown type or missing header: {error}"
        raise UnreadableError(message) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        message = f"the value does not fit its type at {first['loc']}: {first['msg']}"
        raise UnreadableError(message) from None
    except UnreadableError:
        raise
    except (ValueError, RecursionError) as error:
        message = f"unreadable: {error}"
        raise UnreadableError(message) from None


def _read_partition(written: str | None) -> int | None:
    if written is None:
        return None
    if not (written.isascii() and written.isdecimal()) or int(written) > LARGEST_PARTITION:
        message = "ce_replypartition is not the number of a partition"
        raise UnreadableError(message)
    return int(written)


def _read_body(kind: commands.CommandType, value: bytes) -> CommandBody:
    return _BODIES[kind.name].model_validate_json(value)


def body_model(kind: commands.CommandType) -> type[CommandBody]:
    """Make the model of a command's value, with the data that its type asks for."""
    annotations = {"data": kind.data}
    namespace = {"__annotations__": annotations, "__module__": __name__, "__doc__": f"Body of {kind.name}."}
    return type(f"{kind.data.__name__}Body", (CommandBody,), namespace)


_BODIES: Final = {kind.name: body_model(kind) for kind in commands.COMMAND_TYPES}


def event_record(event: dict[str, Any], tenant_id: UUID, topic: str, traceparent: str | None = None) -> "KafkaRecord":
    """Write an event, given as the JSON object of `events.Event`, as a record."""
    kind = events.BY_NAME[event["type"]]
    attributes = {
        "id": event["id"],
        "source": f"/production/{kind.stream}",
        "type": kind.kafka,
        "subject": event["aggregate_id"],
        "time": event["occurred_at"],
        "tenantid": str(tenant_id),
        "position": str(event["position"]),
    }
    return KafkaRecord(
        topic=topic, key=tenant_key(tenant_id), value=to_json(event), headers=cloud_headers(attributes, traceparent)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceivedEvent:
    """An event read from a record: its tenant, its kind, and the JSON object of `events.Event`."""

    tenant_id: UUID
    type: events.EventType
    position: int
    event: dict[str, Any]


def read_event(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> ReceivedEvent | None:
    """Read an event from a record; None for a type that this version does not know yet.

    Raises:
        UnreadableError: it is not an event of ours.
    """
    attributes = _read_envelope(value, headers)
    try:
        kind = events.BY_KAFKA.get(attributes["ce_type"])
        tenant_id = _read_tenant(attributes, key)
        position = int(attributes["ce_position"])
        if kind is None:
            return None
        events.Event.model_validate_json(value or b"")
        event = from_json(value or b"")
    except KeyError as error:
        message = f"missing header: {error}"
        raise UnreadableError(message) from None
    except UnreadableError:
        raise
    except (ValueError, RecursionError) as error:
        message = f"unreadable: {error}"
        raise UnreadableError(message) from None
    if (event["position"], event["stream"], event["type"]) != (position, kind.stream, kind.name):
        message = "headers and value disagree on position, stream or type"
        raise UnreadableError(message)
    return ReceivedEvent(tenant_id=tenant_id, type=kind, position=position, event=event)


def reply_record(
    reply: Reply,
    *,
    tenant_id: UUID,
    partition: int,
    source: str,
    topic: str,
    now: datetime,
    traceparent: str | None = None,
) -> "KafkaRecord":
    """Write a reply as a record for the partition of the gateway that waits."""
    attributes = {
        "id": str(reply.command_id),
        "source": f"/production/{source}",
        "type": REPLY_TYPE,
        "subject": str(reply.command_id),
        "time": format_timestamp(now),
        "tenantid": str(tenant_id),
    }
    return KafkaRecord(
        topic=topic,
        key=tenant_key(tenant_id),
        value=reply.model_dump_json().encode(),
        headers=cloud_headers(attributes, traceparent),
        partition=partition,
    )
