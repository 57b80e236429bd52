"""The contract as data: its names, and a JSON Schema (2020-12) per command, event, reply, REST model and problem.

All of it is derived from the tables of commands, events, topics and problems and from the models of this package, so
that what is added to them is in here too. ``python -m production_contracts FOLDER`` writes it as files.
"""

import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from inspect import getmembers, isclass
from typing import Any, Final, Literal

from pydantic import BaseModel, create_model

import production_contracts
from production_contracts import commands, events, problems, topics
from production_contracts.dead_letters import AUDIT_TYPE
from production_contracts.envelope import REPLY_TYPE, body_model
from production_contracts.events import Event, EventType
from production_contracts.outcomes import Reply
from production_contracts.problems import Problem, ProblemType
from production_contracts.records import Record, Request

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, kw_only=True, slots=True)
class Contract:
    """What was promised at one time: names by table, schemas by ``<kind>/<name>``."""

    names: dict[str, dict[str, Any]]
    schemas: dict[str, dict[str, Any]]


def event_model(kind: EventType) -> type[Event]:
    """Make the model of a kind of event, with its own type and data, where `Event` takes any."""
    fields: dict[str, Any] = {
        "stream": (Literal[kind.stream], ...),
        "type": (Literal[kind.name], ...),
        "data": (kind.data, ...),
    }
    model: type[Event] = create_model(kind.name, __base__=Event, __doc__=f"The value of a {kind.kafka}.", **fields)
    return model


def problem_model(kind: ProblemType) -> type[Problem]:
    """Make the model of a kind of problem, with its own type and status."""
    name = "".join(word.capitalize() for word in kind.slug.split("-"))
    fields: dict[str, Any] = {"type": (Literal[kind.uri], ...), "status": (Literal[kind.status], ...)}
    model: type[Problem] = create_model(name, __base__=Problem, __doc__=f"{kind.title}.", **fields)
    return model


def _public_models() -> Iterator[tuple[str, type[BaseModel]]]:
    """Find the models of this package that clients send, and those they read; commands have a schema of their own."""
    for module in pkgutil.iter_modules(production_contracts.__path__, production_contracts.__name__ + "."):
        if module.name in {f"{production_contracts.__name__}.__main__", commands.__name__}:
            continue
        for name, model in getmembers(import_module(module.name), isclass):
            if model.__module__ != module.name or name.startswith("_") or model in {Record, Request}:
                continue
            if issubclass(model, Request):
                yield f"requests/{name}", model
            elif issubclass(model, Record):
                yield f"records/{name}", model


def models() -> dict[str, type[BaseModel]]:
    """Give every model of the contract, by ``<kind>/<name>``."""
    return {
        **{f"commands/{kind.name}": body_model(kind) for kind in commands.COMMAND_TYPES},
        **{f"events/{kind.kafka}": event_model(kind) for kind in events.EVENT_TYPES},
        f"replies/{REPLY_TYPE}": Reply,
        **{f"problems/{kind.slug}": problem_model(kind) for kind in problems.PROBLEM_TYPES.values()},
        **dict(_public_models()),
    }


def _names() -> dict[str, dict[str, Any]]:
    return {
        "topics": {topic.name: {"retention_ms": topic.retention_ms} for topic in topics.ALL_TOPICS},
        "commands": {
            kind.name: {"service": kind.service, "topic": topics.COMMANDS_OF[kind.service].name}
            for kind in commands.COMMAND_TYPES
        },
        "events": {
            kind.kafka: {
                "stream": kind.stream,
                "name": kind.name,
                "socket": kind.socket,
                "topic": topics.EVENTS_OF[kind.stream].name,
            }
            for kind in events.EVENT_TYPES
        },
        "replies": {REPLY_TYPE: {"topic": topics.GATEWAY_REPLIES.name}},
        "audit": {AUDIT_TYPE: {"topic": topics.DEAD_LETTER_AUDIT.name}},
        "problems": {kind.slug: {"type": kind.uri, "status": kind.status} for kind in problems.PROBLEM_TYPES.values()},
    }


def contract() -> Contract:
    """Give what this version of the package promises."""
    schemas = {name: {"$schema": DIALECT, **model.model_json_schema()} for name, model in sorted(models().items())}
    return Contract(names=_names(), schemas=schemas)
