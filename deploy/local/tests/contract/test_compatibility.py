"""Every kind of change that breaks somebody is seen, and growth is not held up."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, create_model

from local_stack.contract.compatibility import breaks, schema_breaks
from production_contracts import commands, events, problems, topics
from production_contracts.records import Record, Request
from production_contracts.schemas import Contract, contract
from production_contracts.times import Timestamp

Fields = dict[str, Any]
GONE: Any = object()


class Mood(StrEnum):
    LOUD = "loud"
    QUIET = "quiet"


class LouderMood(StrEnum):
    LOUD = "loud"
    QUIET = "quiet"
    DEAFENING = "deafening"


class Inner(Record):
    kid: str
    ct: str = ""


class InnerWithout(Record):
    ct: str = ""


class InnerRequiring(Record):
    kid: str
    ct: str


class InnerGrown(Inner):
    alg: str | None = None


Title = Annotated[str, Field(min_length=1, max_length=200)]
LongerTitle = Annotated[str, Field(min_length=2, max_length=200)]

BEFORE: Fields = {
    "id": (UUID, ...),
    "title": (Title, ...),
    "status": (Literal["pencil", "confirmed"], ...),
    "mood": (Mood, Mood.LOUD),
    "venue": (str | None, None),
    "count": (Annotated[int, Field(ge=0, le=100)], 1),
    "at": (Timestamp, ...),
    "sealed": (Inner | None, None),
    "versions": (Annotated[list[int], Field(max_length=100)], []),
    "free": (dict[str, Any], ...),
}


def schema(change: Fields, base: type[BaseModel] = Record) -> dict[str, Any]:
    fields = {name: field for name, field in (BEFORE | change).items() if field is not GONE}
    return create_model("Message", __base__=base, **fields).model_json_schema()


READER_OF_NEW = "the old form does not read what the new one writes"
READER_OF_OLD = "the new form does not read what the old one writes"

BREAKING: dict[str, tuple[Fields, str]] = {
    "a required field is removed": ({"id": GONE}, "the field id is gone"),
    "an optional field is removed": ({"venue": GONE}, "the field venue is gone"),
    "a required field is renamed": ({"title": GONE, "name": BEFORE["title"]}, "the field title is gone"),
    "an optional field is renamed": ({"venue": GONE, "place": BEFORE["venue"]}, "the field venue is gone"),
    "a required field is added": ({"fee": (int, ...)}, READER_OF_OLD),
    "an optional field is made required": ({"venue": (str | None, ...)}, READER_OF_OLD),
    "a required field is made optional": ({"title": (Title, "untitled")}, READER_OF_NEW),
    "a type is another one": ({"title": (int, ...)}, READER_OF_NEW),
    "an id is any text": ({"id": (str, ...)}, READER_OF_NEW),
    "a text is an id": ({"venue": (UUID | None, None)}, READER_OF_OLD),
    "a time is any text": ({"at": (str, ...)}, READER_OF_NEW),
    "a whole number may have a fraction": ({"count": (Annotated[float, Field(ge=0, le=100)], 1)}, READER_OF_NEW),
    "a text may be a number as well": ({"venue": (str | int | None, None)}, READER_OF_NEW),
    "a field may be null as well": ({"title": (Title | None, ...)}, READER_OF_NEW),
    "a field may not be null any more": ({"venue": (str, "")}, READER_OF_OLD),
    "a value is taken from a choice": ({"status": (Literal["pencil"], ...)}, READER_OF_OLD),
    "a value is added to a choice": ({"status": (Literal["pencil", "confirmed", "held"], ...)}, READER_OF_NEW),
    "a value is renamed in a choice": ({"status": (Literal["pencil", "booked"], ...)}, READER_OF_NEW),
    "a value is added to an enumeration": ({"mood": (LouderMood, LouderMood.LOUD)}, READER_OF_NEW),
    "a value is taken from an enumeration": ({"mood": (Literal[Mood.LOUD], Mood.LOUD)}, READER_OF_OLD),
    "a default is another one": ({"count": (BEFORE["count"][0], 2)}, "the default of count was 1, is 2"),
    "a default is removed": ({"count": (BEFORE["count"][0], ...)}, "the default of count was 1, is 'none'"),
    "a length is narrowed": ({"title": (Annotated[str, Field(min_length=1, max_length=100)], ...)}, READER_OF_OLD),
    "a length is widened": ({"title": (Annotated[str, Field(min_length=1, max_length=300)], ...)}, READER_OF_NEW),
    "a least length is demanded": (
        {"title": (Annotated[str, Field(min_length=2, max_length=200)], ...)},
        READER_OF_OLD,
    ),
    "a pattern is demanded": ({"venue": (Annotated[str, Field(pattern="^[a-z]+$")] | None, None)}, READER_OF_OLD),
    "a range is narrowed": ({"count": (Annotated[int, Field(ge=1, le=100)], 1)}, READER_OF_OLD),
    "a range is widened": ({"count": (Annotated[int, Field(ge=0, le=101)], 1)}, READER_OF_NEW),
    "a list is shorter": ({"versions": (Annotated[list[int], Field(max_length=99)], [])}, READER_OF_OLD),
    "a list holds something else": ({"versions": (Annotated[list[str], Field(max_length=100)], [])}, READER_OF_NEW),
    "a list is a single value": ({"versions": (int, 1)}, READER_OF_NEW),
    "a free object is a fixed one": ({"free": (Inner, ...)}, READER_OF_OLD),
    "an inner field is removed": ({"sealed": (InnerWithout | None, None)}, "the field sealed.kid is gone"),
    "an inner field is made required": ({"sealed": (InnerRequiring | None, None)}, READER_OF_OLD),
}

ALLOWED: dict[str, Fields] = {
    "nothing": {},
    "a new optional field": {"fee": (int | None, None)},
    "a new field with a default": {"currency": (str, "EUR")},
    "a new optional object": {"contact": (Inner | None, None)},
    "a new optional field within an object": {"sealed": (InnerGrown | None, None)},
    "a description": {"title": (Annotated[Title, Field(description="What is on")], ...)},
}


@pytest.mark.parametrize("change", BREAKING)
def test_a_change_of_a_record_that_breaks_somebody_is_seen(change: str) -> None:
    fields, expected = BREAKING[change]
    found = list(schema_breaks(schema({}), schema(fields), both_ways=True))
    assert any(sentence.startswith(expected) for sentence in found), found


@pytest.mark.parametrize("change", ALLOWED)
def test_growth_of_a_record_is_allowed(change: str) -> None:
    assert list(schema_breaks(schema({}), schema(ALLOWED[change]), both_ways=True)) == []


@pytest.mark.parametrize(
    "change",
    [
        "a required field is made optional",
        "an id is any text",
        "a text may be a number as well",
        "a field may be null as well",
        "a value is added to a choice",
        "a length is widened",
        "a range is widened",
    ],
)
def test_the_gateway_may_accept_more_of_a_request_than_before(change: str) -> None:
    fields, _ = BREAKING[change]
    assert list(schema_breaks(schema({}, Request), schema(fields, Request), both_ways=False)) == []


@pytest.mark.parametrize(
    "change",
    [change for change, (_, expected) in BREAKING.items() if expected != READER_OF_NEW]
    + ["a type is another one", "a value is renamed in a choice", "a list holds something else"],
)
def test_the_gateway_goes_on_to_accept_what_it_accepted(change: str) -> None:
    fields, _ = BREAKING[change]
    assert list(schema_breaks(schema({}, Request), schema(fields, Request), both_ways=False))


def test_a_record_that_refuses_what_it_does_not_know_breaks_with_the_first_field_that_is_added_later() -> None:
    grown = schema({"fee": (int | None, None)})
    assert list(schema_breaks(schema({}, Request), grown, both_ways=True)) == [READER_OF_NEW]


def test_the_field_to_blame_is_named() -> None:
    found = list(schema_breaks(schema({}), schema({"at": (str, ...), "count": (str, "1")}), both_ways=True))
    assert f"{READER_OF_NEW}: count, at" in found


# --- the real contract ------------------------------------------------------------------------------------------------

REAL = contract()
Table = Callable[[pytest.MonkeyPatch], None]


def test_the_contract_follows_itself() -> None:
    assert breaks(REAL, REAL) == []


def rename_event(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        events,
        "EVENT_TYPES",
        (replace(events.EVENT_TYPES[0], kafka="production.booking.made.v1"), *events.EVENT_TYPES[1:]),
    )


def rename_event_in_the_store(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(events, "EVENT_TYPES", (replace(events.EVENT_TYPES[0], name="Made"), *events.EVENT_TYPES[1:]))


def rename_event_on_sockets(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        events, "EVENT_TYPES", (replace(events.EVENT_TYPES[0], socket="booking:made"), *events.EVENT_TYPES[1:])
    )


def move_event_to_another_stream(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(events, "EVENT_TYPES", (replace(events.EVENT_TYPES[0], stream="tenancy"), *events.EVENT_TYPES[1:]))


def change_data_of_event(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(events, "EVENT_TYPES", (replace(events.EVENT_TYPES[0], data=Inner), *events.EVENT_TYPES[1:]))


def drop_event(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(events, "EVENT_TYPES", events.EVENT_TYPES[1:])


def drop_command(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(commands, "COMMAND_TYPES", commands.COMMAND_TYPES[1:])


def rename_command(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        commands,
        "COMMAND_TYPES",
        (replace(commands.COMMAND_TYPES[0], name="production.booking.make.v1"), *commands.COMMAND_TYPES[1:]),
    )


def give_command_to_another_service(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        commands, "COMMAND_TYPES", (replace(commands.COMMAND_TYPES[0], service="tenancy"), *commands.COMMAND_TYPES[1:])
    )


def rename_topic(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(topics, "EVENTS_OF", topics.EVENTS_OF | {"booking": replace(topics.BOOKING_EVENTS, name="bookings")})


def drop_topic(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(topics, "ALL_TOPICS", topics.ALL_TOPICS[1:])


def keep_events_for_a_day(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        topics,
        "ALL_TOPICS",
        tuple(
            replace(topic, retention_ms=86_400_000) if topic.retention_ms < 0 else topic for topic in topics.ALL_TOPICS
        ),
    )


def change_status_of_problem(patch: pytest.MonkeyPatch) -> None:
    conflict = replace(problems.BOOKING_CONFLICT, status=400)
    patch.setattr(problems, "PROBLEM_TYPES", problems.PROBLEM_TYPES | {conflict.slug: conflict})


def drop_problem(patch: pytest.MonkeyPatch) -> None:
    left = {slug: kind for slug, kind in problems.PROBLEM_TYPES.items() if slug != "expired"}
    patch.setattr(problems, "PROBLEM_TYPES", left)


TABLES: list[tuple[Table, str]] = [
    (rename_event, "names: events production.booking.created.v1"),
    (rename_event, "events/production.booking.created.v1 is gone"),
    (rename_event_in_the_store, "names: events production.booking.created.v1"),
    (rename_event_in_the_store, f"events/production.booking.created.v1: {READER_OF_NEW}: type"),
    (rename_event_on_sockets, "names: events production.booking.created.v1"),
    (move_event_to_another_stream, "names: events production.booking.created.v1"),
    (change_data_of_event, "events/production.booking.created.v1: the field data.artist_id is gone"),
    (drop_event, "names: events production.booking.created.v1"),
    (drop_command, "names: commands production.booking.create.v1"),
    (rename_command, "commands/production.booking.create.v1 is gone"),
    (give_command_to_another_service, "names: commands production.booking.create.v1"),
    (rename_topic, "names: events production.booking.created.v1"),
    (drop_topic, "names: topics booking.commands.v1"),
    (keep_events_for_a_day, "names: topics booking.events.v1"),
    (change_status_of_problem, f"problems/booking-conflict: {READER_OF_NEW}: status"),
    (drop_problem, "names: problems expired"),
]


@pytest.mark.parametrize(("change", "expected"), TABLES)
def test_a_change_of_a_table_that_breaks_somebody_is_seen(
    monkeypatch: pytest.MonkeyPatch, change: Table, expected: str
) -> None:
    change(monkeypatch)
    found = breaks(REAL, contract())
    assert any(sentence.startswith(expected) for sentence in found), found


def test_a_new_command_event_topic_and_problem_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    less = Contract(
        names={table: dict(list(names.items())[:-1]) for table, names in REAL.names.items()},
        schemas=dict(list(REAL.schemas.items())[:-1]),
    )
    assert breaks(less, REAL) == []


def objects(part: object) -> list[dict[str, Any]]:
    """Find every object of a schema that declares fields."""
    if isinstance(part, list):
        return [found for inner in part for found in objects(inner)]
    if not isinstance(part, dict):
        return []
    here = [part] if part.get("properties") and part.get("type") == "object" else []
    return here + [found for inner in part.values() for found in objects(inner)]


def remove(thing: dict[str, Any], name: str) -> None:
    del thing["properties"][name]
    thing["required"] = [other for other in thing.get("required", []) if other != name]


def rename(thing: dict[str, Any], name: str) -> None:
    thing["properties"][f"{name}_renamed"] = thing["properties"].pop(name)
    thing["required"] = [f"{name}_renamed" if other == name else other for other in thing.get("required", [])]


def retype(thing: dict[str, Any], name: str) -> None:
    thing["properties"][name] = {"type": "boolean"}


def demand(thing: dict[str, Any], name: str) -> None:
    thing["required"] = [*thing.get("required", []), f"{name}_too"]
    thing["properties"][f"{name}_too"] = {"type": "string"}


@pytest.mark.parametrize("change", [remove, rename, retype, demand])
@pytest.mark.parametrize("name", REAL.schemas)
def test_no_field_of_any_real_message_can_be_broken_unseen(
    name: str, change: Callable[[dict[str, Any], str], None]
) -> None:
    before = REAL.schemas[name]
    for index, thing in enumerate(objects(before)):
        for field in thing["properties"]:
            after = deepcopy(before)
            change(objects(after)[index], field)
            found = schema_breaks(before, after, both_ways=not name.startswith("requests/"))
            assert next(found, None), (thing, field)
