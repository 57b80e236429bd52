"""The document: every operation is there, with examples that the contract's own models accept."""

from typing import Any

import aiohttp
import pytest
from starlette.routing import Route

from gateway.entrypoints.openapi import examples, webhooks
from gateway.entrypoints.openapi.document import openapi
from gateway.entrypoints.openapi.operations import OPERATIONS, Operation
from gateway.testing import FakeGateway
from production_contracts.problems import ARTIST_ARCHIVED, PROBLEM_TYPES, Problem

DOCUMENT = openapi("2.0.0")


def test_the_document_and_the_routes_name_the_same_operations(gateway: FakeGateway) -> None:
    served = {
        (method, route.path)
        for route in gateway.app.routes
        if isinstance(route, Route) and route.path.startswith("/v1/")
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert served == {(operation.method, operation.path) for operation in OPERATIONS} | {("POST", webhooks.PATH)}


async def test_it_is_served(client: aiohttp.ClientSession) -> None:
    async with client.get("/openapi.json") as response:
        assert (await response.json())["openapi"] == "3.1.0"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_example_is_what_the_contract_says(operation: Operation) -> None:
    operation.model.model_validate(operation.example)
    if operation.body is not None:
        operation.body.model.model_validate(operation.body.example)
    shown = DOCUMENT["paths"][operation.path][operation.method.lower()]["responses"]
    for status, response in shown.items():
        for media_type, content in response.get("content", {}).items():
            assert "example" in content or content["examples"], (status, media_type)
            for example in content.get("examples", {}).values():
                assert Problem.model_validate(example["value"]).status == int(status)


def test_every_problem_that_an_operation_can_answer_has_an_example() -> None:
    assert set(PROBLEM_TYPES) - set(examples.PROBLEMS) == {"method-not-allowed"}


def test_an_archived_artist_stands_in_the_way_of_new_bookings_alone() -> None:
    refused = {operation.name for operation in OPERATIONS if ARTIST_ARCHIVED in operation.refusals}
    assert refused == {"createBooking"}, "what it is called may still be put right"


def test_every_link_leads_to_an_operation_that_takes_the_id() -> None:
    by_name = {operation.name: operation for operation in OPERATIONS}
    linked = [
        (name, link)
        for path in DOCUMENT["paths"].values()
        for operation in path.values()
        for response in operation["responses"].values()
        for name, link in response.get("links", {}).items()
    ]
    assert {name for name, _ in linked} == {"showCommand", *(name for one in OPERATIONS for name in one.leads_to)}
    for name, link in linked:
        assert link["operationId"] == name
        if "parameters" in link:
            assert "{id}" in by_name[name].path
        else:
            body = by_name[name].body
            assert body is not None
            assert link["requestBody"].keys() <= body.model.model_fields.keys()


def test_every_reference_points_somewhere() -> None:
    for reference in _references(DOCUMENT):
        found: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def _references(node: Any) -> list[str]:  # noqa: ANN401 - any JSON
    if isinstance(node, list):
        return [reference for item in node for reference in _references(item)]
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [reference for item in node.values() for reference in _references(item)]
    return []


def test_every_operation_documents_who_may_call_it_how_often_and_with_which_headers() -> None:
    for operation in OPERATIONS:
        shown = DOCUMENT["paths"][operation.path][operation.method.lower()]
        assert {"401", "403", "406", "429", "431", "500", "503"} <= set(shown["responses"])
        named = {parameter.get("$ref", "").rpartition("/")[2] for parameter in shown["parameters"]}
        assert ("Idempotency-Key" in named) == operation.writes
        assert ("If-None-Match" in named) == (not operation.writes)
