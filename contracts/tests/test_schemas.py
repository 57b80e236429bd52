"""The committed schemas are those of the models, and the models' records are what the schemas say."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema_rs
import pytest

from production_contracts import commands, events, problems
from production_contracts.__main__ import write
from production_contracts.artists import Artist, Tenant
from production_contracts.bookings import BookingEventData
from production_contracts.schemas import contract, models

FOLDER = Path(__file__).parents[1] / "schemas"


def read(folder: Path) -> dict[str, Any]:
    return {str(file.relative_to(folder)): json.loads(file.read_text()) for file in folder.rglob("*.json")}


def test_the_committed_schemas_are_current(tmp_path: Path) -> None:
    write(tmp_path)
    assert read(FOLDER) == read(tmp_path), "the contract has changed: run `make contracts`"


def test_what_is_no_more_leaves_the_folder(tmp_path: Path) -> None:
    write(tmp_path)
    gone = tmp_path / "events" / "production.booking.praised.v1.json"
    gone.write_text("{}")
    write(tmp_path)
    assert not gone.exists()


def test_every_command_event_and_problem_has_a_schema() -> None:
    schemas = contract().schemas.keys()
    assert {f"commands/{kind.name}" for kind in commands.COMMAND_TYPES} <= schemas
    assert {f"events/{kind.kafka}" for kind in events.EVENT_TYPES} <= schemas
    assert {f"problems/{slug}" for slug in problems.PROBLEM_TYPES} <= schemas
    assert {"requests/BookingRequest", "records/Booking", "records/CommandStatus", "records/Outcome"} <= schemas
    assert "replies/production.command.decided.v1" in schemas


@pytest.mark.parametrize("name", models())
def test_what_is_written_and_what_is_read_has_one_schema(name: str) -> None:
    model = models()[name]
    assert model.model_json_schema(mode="serialization") == model.model_json_schema(mode="validation")


@pytest.mark.parametrize("name", contract().schemas)
def test_a_schema_is_one_of_its_dialect(name: str) -> None:
    jsonschema_rs.meta.validate(contract().schemas[name])


def booking_created() -> dict[str, Any]:
    moment = datetime(2027, 5, 8, 20, tzinfo=UTC)
    written = BookingEventData(
        id=uuid4(),
        artist_id=uuid4(),
        start_time=moment,
        end_time=moment,
        status="pencil",
        title="A night",
        version=1,
        position=7,
        created_by="user_ana",
        created_at=moment,
        updated_at=moment,
    )
    return {
        "stream": "booking",
        "position": 7,
        "id": str(uuid4()),
        "type": "BookingCreated",
        "aggregate_id": str(uuid4()),
        "version": 1,
        "occurred_at": "2027-05-08T20:00:00.000Z",
        "actor": "user_ana",
        "data": written.model_dump(mode="json"),
    }


def test_an_event_is_what_the_schema_of_its_type_says_and_no_other() -> None:
    schemas = contract().schemas
    event = booking_created()
    assert jsonschema_rs.is_valid(schemas["events/production.booking.created.v1"], event)
    assert not jsonschema_rs.is_valid(schemas["events/production.booking.confirmed.v1"], event)
    del event["data"]["artist_id"]
    assert not jsonschema_rs.is_valid(schemas["events/production.booking.created.v1"], event)


SEALED = {"kid": "k", "ct": "c"}
NEW: dict[str, Any] = {
    "contact": {"name": SEALED, "email": None, "phone": None},
    "fee": {"amount": SEALED, "currency": SEALED},
}


@pytest.mark.parametrize("released", ["2.0.0", "2.1.0"])
@pytest.mark.parametrize("name", ["created", "confirmed", "cancelled", "rescheduled", "amended"])
def test_who_holds_a_released_form_reads_a_booking_with_contact_and_fee_and_we_read_one_without(
    released: str, name: str
) -> None:
    frozen = json.loads((FOLDER.parent / "released" / f"{released}.json").read_text())["schemas"]
    kind = f"events/production.booking.{name}.v1"
    event = booking_created() | {"type": f"Booking{name.capitalize()}"}
    for schema in (frozen[kind], contract().schemas[kind]):
        assert jsonschema_rs.is_valid(schema, event | {"data": event["data"] | NEW})
        before = {name: value for name, value in event["data"].items() if name not in NEW}
        assert jsonschema_rs.is_valid(schema, event | {"data": before})
        assert not jsonschema_rs.is_valid(schema, event | {"data": event["data"] | {"title": None}})
    plain = event | {"data": event["data"] | {"fee": {"amount": 1, "currency": "EUR"}}}
    assert not jsonschema_rs.is_valid(contract().schemas[kind], plain)


def test_events_of_the_roster_carry_an_artist_and_those_of_a_tenant_the_tenant() -> None:
    schemas = contract().schemas
    assert schemas["events/production.artist.created.v1"]["properties"]["data"]["$ref"].endswith(Artist.__name__)
    assert schemas["events/production.tenant.created.v1"]["properties"]["data"]["$ref"].endswith(Tenant.__name__)
