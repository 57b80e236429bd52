"""The page of topics: what stands on Kafka, from the contracts."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from pydantic import BaseModel

from pages.markdown import Schema, code, duration, fields, prose, table
from production_contracts import commands, events, topics
from production_contracts.envelope import REPLY_TYPE
from production_contracts.outcomes import Reply

_HEAD: Final = """\
# Topics

What stands on Kafka. The package `production_contracts` holds all of it as pydantic models, and needs pydantic only;
how to read the events with it is told in [Consume the events](../how-to/consume-events.md).

- **Key**: the tenant id as text, so all of a tenant is in one partition, in order.
- **Value**: JSON, UTF-8.
- **Delivery**: at least once. A producer here is idempotent with `acks=all`, yet a relay that was interrupted may send
  events again; readers drop positions that they have seen.
- **Partitions**: {local} on a developer's machine, {production} in production, the same for every topic, and never
  changed afterwards: keys would move.
- **Growth**: fields are added, never renamed or removed. Ignore fields and types that you do not know.

"""
_HEADERS: Final = (
    ("ce_specversion", "all", "`1.0`"),
    ("ce_id", "all", "the id of the event, or of the command"),
    ("ce_type", "all", "the type, as in the tables below"),
    ("ce_source", "all", "`/production/<service>`: who wrote it"),
    ("ce_subject", "all", "the id of the aggregate; of a reply, that of the command"),
    ("ce_time", "all", "when it happened (events), or was written (commands, replies)"),
    ("ce_tenantid", "all", "the tenant; the same as the key"),
    ("ce_position", "events", "the position in the tenant's stream"),
    ("ce_replypartition", "commands", "the partition of `gateway.replies.v1` on which somebody waits, if anybody does"),
    ("content-type", "all", "`application/json`"),
    ("traceparent", "where there is a trace", "W3C Trace Context"),
    ("dlq_reason", "dead letters", "why it could not be handled"),
    ("dlq_topic, dlq_partition, dlq_offset", "dead letters", "where it stood"),
    ("dlq_time", "dead letters", "when it was put aside"),
    ("dlq_service", "dead letters", "who put it aside"),
)
_WRITERS: Final = {
    topics.BOOKING_COMMANDS: ("gateway", "booking"),
    topics.BOOKING_EVENTS: ("booking's relay", "notifications, and your systems"),
    topics.TENANCY_COMMANDS: ("gateway", "tenancy"),
    topics.TENANCY_EVENTS: ("tenancy's relay", "booking, gateway, notifications, and your systems"),
    topics.GATEWAY_REPLIES: ("booking, tenancy", "gateway"),
}


def page() -> str:
    """Make the page."""
    return "\n".join(
        (
            _HEAD.format(local=topics.PARTITIONS_LOCAL, production=topics.PARTITIONS_PRODUCTION),
            _topics(),
            _headers(),
            _events(),
            _commands(),
            *_schemas(),
        )
    )


def _topics() -> str:
    rows = [(code(t.name), *_WRITERS[t], _kept(t)) for t in topics.TOPICS]
    rows += [(code(t.name), "whoever reads the topic", "operators", _kept(t)) for t in topics.DEAD_LETTER_TOPICS]
    rows.append((code(topics.DEAD_LETTER_AUDIT.name), "the tools `deadletters`", "those, and auditors", "for ever"))
    return "## The topics\n\n" + table(("topic", "written by", "read by", "kept"), rows)


def _kept(topic: topics.Topic) -> str:
    return "for ever" if topic.retention_ms == topics.FOR_EVER else duration(timedelta(milliseconds=topic.retention_ms))


def _headers() -> str:
    rows = ((code(name), where, what) for name, where, what in _HEADERS)
    told = "CloudEvents 1.0 in binary mode: attributes are headers, the data is the value.\n\n"
    return "## Headers\n\n" + told + table(("header", "on", "what it says"), rows)


def _events() -> str:
    topic = topics.EVENTS_OF
    rows = (
        (
            code(kind.name),
            code(kind.kafka),
            code(kind.socket),
            code(topic[kind.stream].name),
            _link(kind.data),
        )
        for kind in events.EVENT_TYPES
    )
    told = (
        "Each type has three names. The value on Kafka is an [Event](#event), the same as in `GET /v1/events`; its"
        " `data` is the model of the last column. A socket gets a [SocketMessage](#socketmessage).\n\n"
    )
    head = ("store and REST (`type`)", "Kafka (`ce_type`)", "sockets", "topic", "`data`")
    return "## Events\n\n" + told + table(head, rows)


def _commands() -> str:
    rows = (
        (
            code(kind.name),
            code(topics.COMMANDS_OF[kind.service].name),
            "nothing: it is refused already" if kind.is_refusal else code(kind.permission.value),
            _link(kind.data),
        )
        for kind in commands.COMMAND_TYPES
    )
    told = (
        "Commands are between the gateway and the services that decide; other systems use the API. The value is a"
        f" [CommandBody](#commandbody). A [Reply](#reply) has the type `{REPLY_TYPE}`.\n\n"
    )
    head = ("type (`ce_type`)", "topic", "the author needs", "`data`")
    return "## Commands and replies\n\n" + told + table(head, rows)


def _link(model: type[Any]) -> str:
    return f"[{model.__name__}](#{model.__name__.lower()})"


def _schemas() -> Iterator[str]:
    models: list[type[BaseModel]] = [events.Event, events.SocketMessage, commands.CommandBody, Reply]
    models += (event.data for event in events.EVENT_TYPES)
    models += (command.data for command in commands.COMMAND_TYPES)
    found: dict[str, Schema] = {}
    for model in models:
        schema = model.model_json_schema(mode="serialization")
        found |= schema.pop("$defs", {})
        found[model.__name__] = schema
    yield "## Models\n\nThe JSON Schemas are in the repository under `contracts/schemas`.\n"
    for name, schema in sorted(found.items()):
        yield f"### {name}\n\n{prose(schema.get('description'))}\n\n{_body(schema)}"


def _body(schema: Schema) -> str:
    if "enum" in schema:
        return "One of " + ", ".join(code(value) for value in schema["enum"]) + ".\n"
    return fields(schema, "#") if schema.get("properties") else "No fields.\n"
