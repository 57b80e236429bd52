"""The AsyncAPI 3.0 document of the whole system: who sends and receives what on which topic.

Who receives comes from the FastStream applications, messages and topics from ``production_contracts``. FastStream's own
document would say less: it knows neither headers nor keys, one channel stands for each subscriber, and the payload of a
subscriber that takes raw records (decision 0022) is unknown to it.

Source: AsyncAPI 3.0.0; Kafka bindings 0.5.0.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from local_stack.contract.applications import Reception
from local_stack.port import HOST, Ports
from production_contracts import commands, events, topics
from production_contracts.dead_letters import (
    AUDIT_TYPE,
    OFFSET,
    PARTITION,
    REASON,
    SERVICE,
    TIME,
    TOPIC,
    DeadLetterDecision,
)
from production_contracts.envelope import CONTENT_TYPE, REPLY_TYPE, body_model
from production_contracts.outcomes import Reply
from production_contracts.schemas import event_model

Json = dict[str, Any]
BINDING_VERSION: Final = "0.5.0"
DEAD_LETTER: Final = "deadLetter"
_GATEWAY: Final = "gateway"
_OWNERS: Final = tuple(topics.EVENTS_OF)
_SCHEMAS: Final = "#/components/schemas/"
_DESCRIPTION: Final = """\
The topics of Production Tool. Every record is a CloudEvent 1.0 in binary mode: attributes are headers `ce_*`, the value
is JSON. The key is the tenant id, so that all of a tenant is in order. Topics have 12 partitions locally and 48 in
production. Events are numbered per tenant and stream, 1, 2, 3, …, in `ce_position`, without a gap; a record may be
repeated: drop positions already seen. Types that you do not know are to be passed over: the contract only grows."""
_TEXT: Final = {"type": "string"}
_ID: Final = {"type": "string", "format": "uuid"}
_TIME: Final = {"type": "string", "format": "date-time"}
_ORIGIN: Final = {**_TEXT, "description": "Where the record stood: topic/partition/offset"}


def asyncapi(version: str, receptions: Iterable[Reception]) -> Json:
    """Write the document."""
    messages = _messages()
    channels = {topic.name: _channel(topic, list(messages[topic.name])) for topic in topics.ALL_TOPICS}
    return {
        "asyncapi": "3.0.0",
        "id": "urn:production-tool:topics",
        "info": {"title": "Production Tool", "version": version, "description": _DESCRIPTION},
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "local": {
                "host": f"{HOST}:{Ports().kafka}",
                "protocol": "kafka",
                "description": "Kafka of the local stack (`make run`)",
            }
        },
        "channels": channels,
        "operations": _operations(sorted(set(receptions), key=repr)),
        "components": {
            "messages": {name: message for of_topic in messages.values() for name, message in of_topic.items()},
            "schemas": _schemas(),
        },
    }


def _messages() -> dict[str, dict[str, Json]]:
    """Give the messages of every topic by their names."""
    found: dict[str, dict[str, Json]] = {topic.name: {} for topic in topics.ALL_TOPICS}
    for kind in commands.COMMAND_TYPES:
        message = _message(kind.name, body_model(kind).__name__, kind.data.__doc__ or "", _command_headers(kind.name))
        found[topics.COMMANDS_OF[kind.service].name][kind.name] = message
    for event in events.EVENT_TYPES:
        about = f"`{event.name}` in the store and in REST, `{event.socket}` on sockets."
        message = _message(event.kafka, event_model(event).__name__, about, _event_headers(event))
        found[topics.EVENTS_OF[event.stream].name][event.kafka] = message
    reply = _message(REPLY_TYPE, Reply.__name__, Reply.__doc__ or "", _reply_headers())
    found[topics.GATEWAY_REPLIES.name][REPLY_TYPE] = reply
    for topic in topics.DEAD_LETTER_TOPICS:
        found[topic.name][DEAD_LETTER] = _dead_letter()
    found[topics.DEAD_LETTER_AUDIT.name][AUDIT_TYPE] = _decision()
    return found


def _message(name: str, schema: str, about: str, headers: Json) -> Json:
    return {
        "name": name,
        "title": schema,
        "summary": " ".join(about.split()),
        "contentType": CONTENT_TYPE,
        "headers": headers,
        "payload": {"$ref": _SCHEMAS + schema},
        "bindings": {"kafka": {"key": {**_ID, "description": "The tenant id"}, "bindingVersion": BINDING_VERSION}},
    }


def _headers(kind: str, source: Json, **more: Json) -> Json:
    attributes: dict[str, Json] = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": _ID,
        "ce_source": source,
        "ce_type": {"const": kind},
        "ce_subject": _ID,
        "ce_time": _TIME,
        "ce_tenantid": {**_ID, "description": "The same as the key"},
        "content-type": {"const": CONTENT_TYPE},
    }
    optional: dict[str, Json] = {"traceparent": {**_TEXT, "description": "W3C Trace Context"}}
    if "ce_replypartition" in more:
        optional["ce_replypartition"] = more.pop("ce_replypartition")
    attributes |= more
    return {"type": "object", "properties": attributes | optional, "required": list(attributes)}


def _command_headers(kind: str) -> Json:
    return _headers(
        kind,
        {"const": f"/production/{_GATEWAY}"},
        ce_subject={**_ID, "description": "The aggregate that it is about"},
        ce_replypartition={
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": f"The partition of {topics.GATEWAY_REPLIES.name} where somebody waits",
        },
    )


def _event_headers(event: events.EventType) -> Json:
    return _headers(
        event.kafka,
        {"const": f"/production/{event.stream}"},
        ce_subject={**_ID, "description": "The aggregate that it happened to"},
        ce_position={
            "type": "string",
            "pattern": "^[1-9][0-9]*$",
            "description": "Where it stands in its tenant's stream",
        },
    )


def _reply_headers() -> Json:
    return _headers(
        REPLY_TYPE,
        {"enum": [f"/production/{owner}" for owner in _OWNERS]},
        ce_subject={**_ID, "description": "The id of the command, as `ce_id`"},
    )


def _dead_letter() -> Json:
    own = (REASON, TOPIC, PARTITION, OFFSET, TIME)
    return {
        "name": DEAD_LETTER,
        "title": "Dead letter",
        "summary": "A record that could not be handled, whole, with the reason and where it was.",
        "headers": {"type": "object", "properties": dict.fromkeys((*own, SERVICE), _TEXT), "required": list(own)},
        "payload": {"description": "Whatever it was"},
    }


def _decision() -> Json:
    headers = _headers(AUDIT_TYPE, _TEXT, ce_id=_ORIGIN, ce_subject=_ORIGIN)
    del headers["properties"]["ce_tenantid"]
    headers["required"].remove("ce_tenantid")
    about = DeadLetterDecision.__doc__ or ""
    message = _message(AUDIT_TYPE, DeadLetterDecision.__name__, about, headers)
    message["bindings"]["kafka"]["key"] = {**_TEXT, "description": "The key of the dead letter"}
    return message


def _channel(topic: topics.Topic, messages: Sequence[str]) -> Json:
    return {
        "address": topic.name,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "topicConfiguration": {"cleanup.policy": ["delete"], "retention.ms": topic.retention_ms},
                "bindingVersion": BINDING_VERSION,
            }
        },
    }


def _operations(receptions: Sequence[Reception]) -> Json:
    receive = {f"{one.service}.receive.{one.topic}": _receive(one) for one in receptions}
    sends = {(_GATEWAY, topic.name) for topic in topics.COMMANDS_OF.values()}
    sends |= {(owner, topic.name) for owner, topic in topics.EVENTS_OF.items()}
    sends |= {(owner, topics.GATEWAY_REPLIES.name) for owner in _OWNERS}
    sends |= {(one.service, one.topic + topics.DEAD_LETTER_SUFFIX) for one in receptions}
    send = {f"{service}.send.{topic}": _operation("send", service, topic) for service, topic in sorted(sends)}
    for topic in topics.COMMANDS_OF.values():
        send[f"{_GATEWAY}.send.{topic.name}"]["reply"] = {
            "channel": {"$ref": f"#/channels/{topics.GATEWAY_REPLIES.name}"}
        }
    return receive | send


def _operation(action: str, service: str, topic: str) -> Json:
    return {"action": action, "channel": {"$ref": f"#/channels/{topic}"}, "tags": [{"name": service}]}


def _receive(one: Reception) -> Json:
    if one.group is None:
        return _operation("receive", one.service, one.topic) | {
            "summary": "Each instance reads for itself, in no consumer group"
        }
    return _operation("receive", one.service, one.topic) | {
        "summary": "Instances share the partitions, from the earliest record on",
        "bindings": {
            "kafka": {"groupId": {"type": "string", "enum": [one.group]}, "bindingVersion": BINDING_VERSION},
        },
    }


def _schemas() -> Json:
    models: list[type[BaseModel]] = [
        *(body_model(kind) for kind in commands.COMMAND_TYPES),
        *(event_model(kind) for kind in events.EVENT_TYPES),
        Reply,
        DeadLetterDecision,
    ]
    _, document = models_json_schema([(model, "validation") for model in models], ref_template=_SCHEMAS + "{model}")
    schemas: Json = document["$defs"]
    return schemas
