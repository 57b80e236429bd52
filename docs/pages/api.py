"""The page of the HTTP API, from the gateway's OpenAPI document."""

from collections.abc import Iterator
from typing import Any, Final

from gateway.entrypoints.openapi.document import openapi
from pages.markdown import Schema, block, code, fields, kind, prose, remarks, table
from production_contracts.problems import MEDIA_TYPE

_HEAD: Final = """\
# API

The gateway's HTTP API, made from its OpenAPI 3.1 document. A running gateway serves that document at `/openapi.json`
and shows it at `/docs`; in the repository it is `contracts/openapi.json`. How to use it well is told in
[Write a frontend](../how-to/frontend.md).

- Every request has a token: `Authorization: Bearer <token>`.
- Times are RFC 3339 with an offset, to the millisecond; they come back in UTC with `Z`.
- Unknown fields and parameters are refused, as is a parameter that stands twice.
- Every error is a [problem](problems.md), `application/problem+json`. The tables name those an operation can answer
  with.
- What is measured out is listed under [Limits](limits.md).

"""
_JSON: Final = "application/json"


def page() -> str:
    """Make the page."""
    document = openapi("2.0")
    sections = [_HEAD, *_headers(document), *_operations(document), "## Models\n"]
    for name, schema in sorted(document["components"]["schemas"].items()):
        shown = fields(schema, "#") if schema.get("properties") else remarks(schema) + "\n"
        if "enum" in schema:
            shown = "One of " + ", ".join(code(value) for value in schema["enum"]) + ".\n"
        sections.append(f"### {name}\n\n{prose(schema.get('description'))}\n\n{shown}")
    return "\n".join(sections)


def _headers(document: dict[str, Any]) -> Iterator[str]:
    components = document["components"]
    rows = (
        (code(header["name"]), prose(header["description"]), code(header["example"]))
        for header in components["parameters"].values()
    )
    yield "## Headers of requests\n\n" + table(("header", "what it says", "example"), rows)
    rows = (
        (code(name), prose(header["description"]), code(header["example"]))
        for name, header in components["headers"].items()
    )
    yield "## Headers of responses\n\n" + table(("header", "what it says", "example"), rows)


def _operations(document: dict[str, Any]) -> Iterator[str]:
    for tag in (tag["name"] for tag in document["tags"]):
        yield f"## {tag.capitalize()}\n"
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if operation["tags"] == [tag]:
                    yield "\n".join(_operation(document, method.upper(), path, operation))


def _operation(document: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### {operation['summary']} {{ #{operation['operationId']} }}\n"
    yield f"`{method} {path}`\n"
    if "description" in operation:
        yield prose(operation["description"]) + "\n"
    parameters = [_resolved(document, parameter) for parameter in operation.get("parameters", ())]
    if parameters:
        yield table(("parameter", "in", "type", "required", ""), (_parameter(stated) for stated in parameters))
    if "requestBody" in operation:
        yield from _body("Body", operation["requestBody"]["content"])
    yield from _answers(document, operation["responses"])


def _resolved(document: dict[str, Any], stated: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in stated:
        return stated
    found: dict[str, Any] = document
    for name in stated["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def _parameter(stated: Schema) -> tuple[str, str, str, str, str]:
    schema = {name: value for name, value in stated["schema"].items() if name != "description"}
    told = "; ".join(text for text in (prose(stated.get("description")), remarks(schema)) if text)
    return code(stated["name"]), stated["in"], kind(schema, "#"), "yes" if stated.get("required") else "", told


def _body(title: str, content: dict[str, Any]) -> Iterator[str]:
    types = " or ".join(code(media_type) for media_type in content)
    first = next(iter(content.values()))
    yield f"{title}: {kind(first.get('schema', {}), '#')}, {types}\n"
    if "example" in first:
        yield block(first["example"])


def _answers(document: dict[str, Any], responses: dict[str, Any]) -> Iterator[str]:
    problems: list[str] = []
    for status, stated in responses.items():
        response = _resolved(document, stated)
        content = response.get("content", {})
        if MEDIA_TYPE in content:
            slugs = content[MEDIA_TYPE].get("examples", {})
            problems += (f"[{slug}](problems.md#{slug}) {status}" for slug in slugs)
            continue
        headers = ", ".join(code(name) for name in response.get("headers", {}))
        told = f"**{status}** {response['description']}." + (f" Headers: {headers}." if headers else "")
        if _JSON in content:
            yield from _body(told + " Body", {_JSON: content[_JSON]})
        else:
            yield told + "\n"
    if problems:
        yield "Problems: " + ", ".join(problems) + ".\n"
