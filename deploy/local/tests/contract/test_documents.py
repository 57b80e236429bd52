"""The committed documents are current, and valid in the eyes of who makes the formats."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from local_stack.contract.documents import documents
from local_stack.contract.releases import CONTRACTS
from production_contracts import commands, events, topics
from production_contracts.commands import Author, Command, CommandBody
from production_contracts.envelope import KafkaRecord, command_record, event_record, reply_record
from production_contracts.outcomes import Outcome, Reply
from production_contracts.roles import Role

Json = dict[str, Any]
VALIDATION = CONTRACTS / "validation"
TENANT = uuid4()
NOW = datetime(2027, 5, 8, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def asyncapi() -> Json:
    document: Json = json.loads((CONTRACTS / "asyncapi.json").read_text())
    return document


def complaints(file: Path) -> str:
    """Let the official parser read a document; what it says is empty where nothing is wrong."""
    node = shutil.which("node")
    assert node, "Node.js is missing: run contracts/validation/setup"
    assert (VALIDATION / "node_modules").is_dir(), "the parser is missing: run contracts/validation/setup"
    command = [node, str(VALIDATION / "asyncapi.mjs"), str(file)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert not done.stderr, done.stderr
    assert bool(done.stdout) == bool(done.returncode)
    return done.stdout


def test_the_committed_documents_are_current() -> None:
    committed = {name: json.loads((CONTRACTS / name).read_text()) for name in ("asyncapi.json", "openapi.json")}
    assert committed == documents(), "what they describe has changed: run `make contracts`"


def test_the_asyncapi_document_is_valid() -> None:
    assert complaints(CONTRACTS / "asyncapi.json") == ""


def break_version(document: Json) -> None:
    document["asyncapi"] = "3.0"


def break_reference(document: Json) -> None:
    document["operations"]["booking.receive.booking.commands.v1"]["channel"] = {"$ref": "#/channels/nowhere"}


def break_action(document: Json) -> None:
    document["operations"]["booking.receive.booking.commands.v1"]["action"] = "subscribe"


def break_payload(document: Json) -> None:
    document["components"]["schemas"]["Reply"]["type"] = "thing"


def break_binding(document: Json) -> None:
    document["channels"]["booking.events.v1"]["bindings"]["kafka"]["partitions"] = "many"


@pytest.mark.parametrize("change", [break_version, break_reference, break_action, break_payload, break_binding])
def test_the_parser_sees_what_is_wrong(asyncapi: Json, tmp_path: Path, change: Callable[[Json], None]) -> None:
    broken = json.loads(json.dumps(asyncapi))
    change(broken)
    file = tmp_path / "asyncapi.json"
    file.write_text(json.dumps(broken))
    assert complaints(file)


def test_the_openapi_document_is_valid() -> None:
    document = json.loads((CONTRACTS / "openapi.json").read_text())
    assert document["openapi"].startswith("3.1.")
    validate(document, cls=OpenAPIV31SpecValidator)


def test_every_topic_command_event_and_reply_is_in_the_document(asyncapi: Json) -> None:
    assert asyncapi["channels"].keys() == {topic.name for topic in topics.ALL_TOPICS}
    messages = asyncapi["components"]["messages"].keys()
    assert messages >= commands.BY_NAME.keys() | events.BY_KAFKA.keys() | {"production.command.decided.v1"}


def test_the_document_tells_who_receives_what(asyncapi: Json) -> None:
    assert asyncapi["operations"].keys() >= {
        "gateway.receive.gateway.replies.v1",
        "booking.receive.booking.commands.v1",
        "booking.receive.tenancy.events.v1",
        "tenancy.receive.tenancy.commands.v1",
        "notifications.receive.booking.events.v1",
        "notifications.receive.tenancy.events.v1",
    }
    decides = asyncapi["operations"]["booking.receive.booking.commands.v1"]
    assert decides["bindings"]["kafka"]["groupId"]["enum"] == ["booking"]
    assert "bindings" not in asyncapi["operations"]["gateway.receive.gateway.replies.v1"]


def some_records() -> Iterable[KafkaRecord]:
    author = Author(sub="user_ana", role=Role.MEMBER, iat=1)
    command = Command(
        id=uuid4(),
        type=commands.BY_DATA[commands.ConfirmBooking],
        tenant_id=TENANT,
        aggregate_id=uuid4(),
        body=CommandBody(author=author, expires_at=NOW, data=commands.ConfirmBooking()),
    )
    yield command_record(command, topics.BOOKING_COMMANDS.name, NOW)
    for kind in events.EVENT_TYPES:
        event: Json = {
            "stream": kind.stream,
            "position": 7,
            "id": str(uuid4()),
            "type": kind.name,
            "aggregate_id": str(uuid4()),
            "version": 1,
            "occurred_at": "2027-05-08T20:00:00.000Z",
            "actor": "user_ana",
            "data": {},
        }
        yield event_record(event, TENANT, topics.EVENTS_OF[kind.stream].name)
    reply = Reply(command_id=uuid4(), outcome=Outcome(status=201, body={}), position=1)
    topic = topics.GATEWAY_REPLIES.name
    yield reply_record(reply, tenant_id=TENANT, partition=1, source="tenancy", topic=topic, now=NOW)


@pytest.mark.parametrize("record", list(some_records()), ids=lambda record: dict(record.headers)["ce_type"].decode())
def test_a_record_has_the_headers_and_the_key_that_the_document_says(asyncapi: Json, record: KafkaRecord) -> None:
    headers = {name: value.decode() for name, value in record.headers}
    message = asyncapi["components"]["messages"][headers["ce_type"]]
    jsonschema_rs.validate(message["headers"], headers, validate_formats=True)
    assert UUID(record.key.decode()) == TENANT
    assert message["bindings"]["kafka"]["key"]["format"] == "uuid"
    assert headers["ce_type"] in asyncapi["channels"][record.topic]["messages"]
    for name in message["headers"]["required"]:
        without = {other: value for other, value in headers.items() if other != name}
        assert not jsonschema_rs.is_valid(message["headers"], without)
