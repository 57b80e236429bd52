"""Writes the document: OpenAPI 3.1, from the table of operations and the models of the contract."""

from collections.abc import Iterable
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from gateway.entrypoints.bodies import JSON, MERGE_PATCH
from gateway.entrypoints.openapi import examples, webhooks
from gateway.entrypoints.openapi.operations import OPERATIONS, Operation
from production_contracts import problems
from production_contracts.outcomes import CommandStatus
from production_contracts.problems import Problem, ProblemType

_TEMPLATE: Final = "#/components/schemas/{model}"
_DESCRIPTION: Final = """\
One calendar of a tenant's artists. A write answers with its outcome; one that takes longer, or that prefers
`respond-async`, answers 202 with where to ask. Every error is a problem (RFC 9457) of a type `/problems/<slug>`."""

_ANY_READ: Final = (problems.UNAVAILABLE,)
_ANY_WRITE: Final = (
    problems.PAYLOAD_TOO_LARGE,
    problems.UNSUPPORTED_MEDIA_TYPE,
    problems.INVALID_REQUEST,
    problems.IDEMPOTENCY_KEY_REUSED,
    problems.UNAVAILABLE,
    problems.EXPIRED,
)
_ANY: Final = (
    problems.UNAUTHENTICATED,
    problems.FORBIDDEN,
    problems.NOT_ACCEPTABLE,
    problems.INVALID_REQUEST,
    problems.RATE_LIMITED,
    problems.HEADERS_TOO_LARGE,
    problems.INTERNAL,
)


def _header(description: str, schema: dict[str, Any], example: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {"description": description, "schema": schema, "example": example}


_STRING: Final = {"type": "string"}
_NUMBER: Final = {"type": "integer", "minimum": 0}
RESPONSE_HEADERS: Final = {
    "ETag": _header("The version in quotes; of lists, a hash", _STRING, '"1"'),
    "Link": _header(
        "Of lists, where switched on for the tenant: the next page (RFC 8288)",
        _STRING,
        '<?cursor=MDE5&limit=50>; rel="next"',
    ),
    "Location": _header("Where it stands", _STRING, f"/v1/bookings/{examples.BOOKING_ID}"),
    "Position": _header("The position of the stream that this was read or decided at", _NUMBER, 41),
    "Retry-After": _header("Seconds to wait before another try", _NUMBER, 2),
    "Preference-Applied": _header("The preferences that were honoured (RFC 7240)", _STRING, "respond-async"),
    "WWW-Authenticate": _header("How to authenticate (RFC 9110)", _STRING, "Bearer"),
    "RateLimit-Policy": _header(
        "The limits (draft-ietf-httpapi-ratelimit-headers)", _STRING, '"user";q=2000;w=1, "tenant";q=5000;w=1'
    ),
    "RateLimit": _header("What is left of them", _STRING, '"user";r=1999;t=1, "tenant";r=4999;t=1'),
}
_ALWAYS: Final = ("RateLimit-Policy", "RateLimit")


def _request_header(name: str, description: str, schema: dict[str, Any], example: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"name": name, "in": "header", "required": False, **_header(description, schema, example)}


REQUEST_HEADERS: Final = {
    "Idempotency-Key": _request_header(
        "Idempotency-Key",
        "The same key with the same request has the same outcome, once",
        {"type": "string", "pattern": "^[!-~]{1,255}$"},
        "8e03978e-40d5-43dd-bc93-6894a57f9324",
    ),
    "If-Match": _request_header("If-Match", "Only if it is still at one of these versions", _STRING, '"1"'),
    "Prefer": _request_header("Prefer", "`respond-async`, `wait=N` (RFC 7240)", _STRING, "respond-async"),
    "If-None-Match": _request_header("If-None-Match", "Only if it is not this any more", _STRING, '"0"'),
    "Min-Position": _request_header(
        "Min-Position", "Answer from a state that holds this position", {"type": "integer", "minimum": 0}, 0
    ),
}


def openapi(version: str) -> dict[str, Any]:
    """Write the document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    paths[webhooks.PATH] = {"post": webhooks.webhook()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Production Tool", "version": version, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": [{"name": tag} for tag in (*dict.fromkeys(operation.tag for operation in OPERATIONS), "webhooks")],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "headers": RESPONSE_HEADERS,
            "parameters": REQUEST_HEADERS,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A Clerk session token with an active organisation",
                }
            },
        },
    }


def _schemas() -> dict[str, Any]:
    bodies = {operation.body.model: None for operation in OPERATIONS if operation.body is not None}
    answers = {operation.model: None for operation in OPERATIONS} | {CommandStatus: None}
    _, document = models_json_schema(
        [
            *((model, "validation") for model in bodies),
            *((model, "serialization") for model in answers),
            (Problem, "validation"),
        ],
        ref_template=_TEMPLATE,
    )
    schemas: dict[str, Any] = document["$defs"]
    return schemas


def _operation(operation: Operation) -> dict[str, Any]:
    written: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": list(_parameters(operation)),
        "responses": _responses(operation),
    }
    if operation.body is not None:
        content = {
            "schema": {"$ref": _TEMPLATE.format(model=operation.body.model.__name__)},
            "example": operation.body.example,
        }
        media_types = (MERGE_PATCH, JSON) if operation.method == "PATCH" else (JSON,)
        written["requestBody"] = {
            "required": operation.body.required,
            "content": dict.fromkeys(media_types, content),
        }
    return written


def _parameters(operation: Operation) -> Iterable[dict[str, Any]]:
    if "{id}" in operation.path:
        is_command = operation.path.startswith("/v1/commands")
        yield {
            "name": "id",
            "in": "path",
            "required": True,
            "schema": {"type": "string"} if is_command else {"type": "string", "format": "uuid"},
            "example": _path_example(operation.path),
        }
    if operation.query is not None:
        yield from _query_parameters(operation)
    names = ["If-None-Match"] if not operation.writes else ["Idempotency-Key", "Prefer"]
    if operation.writes and not operation.creates:
        names.append("If-Match")
    if not operation.writes and not operation.path.startswith("/v1/commands"):
        names.append("Min-Position")
    yield from ({"$ref": f"#/components/parameters/{name}"} for name in names)


def _path_example(path: str) -> str:
    if path.startswith("/v1/commands"):
        return examples.COMMAND_ID
    return examples.ARTIST_ID if path.startswith("/v1/artists") else examples.BOOKING_ID


def _query_parameters(operation: Operation) -> Iterable[dict[str, Any]]:
    assert operation.query is not None  # noqa: S101 - the caller has looked
    schema = operation.query.model_json_schema(by_alias=True)
    required = schema.get("required", [])
    for name, property_ in schema["properties"].items():
        stated = dict(property_)
        description = stated.pop("description", None)
        stated.pop("title", None)
        variants = [variant for variant in stated.pop("anyOf", ()) if variant != {"type": "null"}]
        for variant in variants:
            stated.update(variant)
        if stated.get("default", 0) is None:
            del stated["default"]
        yield {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": description or stated.pop("description", ""),
            "schema": stated,
        }


def _responses(operation: Operation) -> dict[str, Any]:
    tagged = ["ETag", "Position"]
    if operation.query is not None and "cursor" in operation.query.model_fields:
        tagged.append("Link")
    main: dict[str, Any] = {
        "description": "Created" if operation.creates else "As asked",
        "headers": _headers([*tagged, *(["Location"] if operation.creates else [])]),
        "content": {
            JSON: {
                "schema": {"$ref": _TEMPLATE.format(model=operation.model.__name__)},
                "example": operation.example,
            }
        },
    }
    if operation.leads_to:
        main["links"] = {name: _link(name) for name in operation.leads_to}
    responses: dict[str, Any] = {str(operation.status): main}
    if operation.writes:
        responses["202"] = {
            "description": "Taken, not decided yet: ask at Location",
            "headers": _headers(["Location", "Preference-Applied"]),
            "content": {
                JSON: {
                    "schema": {"$ref": _TEMPLATE.format(model=CommandStatus.__name__)},
                    "example": examples.COMMAND_PENDING,
                }
            },
            "links": {"showCommand": _link("showCommand")},
        }
        main["headers"] |= _headers(["Preference-Applied"])
    else:
        responses["304"] = {"description": "What the caller has is current", "headers": _headers(tagged)}
    by_status: dict[int, list[ProblemType]] = {}
    for kind in dict.fromkeys((*_refusals(operation), *_ANY)):
        by_status.setdefault(kind.status, []).append(kind)
    responses |= {str(status): _problems(kinds) for status, kinds in sorted(by_status.items())}
    return responses


def _link(name: str) -> dict[str, Any]:
    """Say where an answer's id goes: into the path, or as the artist of a new booking into the body."""
    answered = "$response.body#/id"
    if name == "createBooking":
        return {"operationId": name, "requestBody": {"artist_id": answered}}
    return {"operationId": name, "parameters": {"id": answered}}


def _refusals(operation: Operation) -> Iterable[ProblemType]:
    yield from operation.refusals
    if "{id}" in operation.path:
        yield problems.NOT_FOUND
    if operation.writes and not operation.creates:
        yield problems.VERSION_MISMATCH
    yield from _ANY_WRITE if operation.writes else _ANY_READ


def _problems(kinds: list[ProblemType]) -> dict[str, Any]:
    names = [] if kinds[0].status in {401, 406, 431} else list(_ALWAYS)
    if kinds[0].status in {429, 503}:
        names.append("Retry-After")
    if kinds[0].status == problems.UNAUTHENTICATED.status:
        names.append("WWW-Authenticate")
    return {
        "description": "; ".join(kind.title for kind in kinds),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {
            problems.MEDIA_TYPE: {
                "schema": {"$ref": _TEMPLATE.format(model=Problem.__name__)},
                "examples": {kind.slug: {"value": examples.PROBLEMS[kind.slug]} for kind in kinds},
            }
        },
    }


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*names, *_ALWAYS)}
