"""Problems: every error of an app answers as one."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

import aiohttp
import pytest
from fastapi import FastAPI, Query
from pydantic import BaseModel, Field

from production_contracts import problems as kinds
from servicekit.problems import NOT_THERE, ProblemError, install, json_pointer
from servicekit.testing import running


class Thing(BaseModel):
    name: Annotated[str, Field(min_length=1)]
    inner: dict[str, int] = {}


def made_app() -> FastAPI:
    app = FastAPI()
    install(app)

    @app.post("/things/{thing_id}")
    async def make(thing_id: UUID, thing: Thing, limit: Annotated[int, Query(ge=1)] = 1) -> str:
        return f"{thing_id} {thing.name} {limit}"

    @app.get("/refused")
    async def refuse() -> None:
        raise ProblemError(kinds.BOOKING_CONFLICT, "taken", headers={"Retry-After": "3"}, conflicts=[])

    @app.get("/broken")
    async def break_() -> None:
        message = "a secret"
        raise RuntimeError(message)

    return app


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with running(made_app()) as url, aiohttp.ClientSession(url) as session:
        yield session


async def test_a_problem_answers_with_its_members_and_headers(client: aiohttp.ClientSession) -> None:
    async with client.get("/refused") as response:
        assert response.content_type == "application/problem+json"
        assert (response.status, response.headers["Retry-After"]) == (409, "3")
        assert await response.json() == {
            "type": "/problems/booking-conflict",
            "title": "The artist is taken",
            "status": 409,
            "detail": "taken",
            "conflicts": [],
        }


async def test_an_unknown_path_answers_as_a_problem(client: aiohttp.ClientSession) -> None:
    async with client.get("/nowhere") as response:
        assert (response.status, (await response.json())["type"]) == (404, "/problems/not-found")


async def test_a_malformed_id_in_the_path_is_an_address_at_which_nothing_is(client: aiohttp.ClientSession) -> None:
    async with client.post("/things/7", json={"name": "x"}) as response:
        body = await response.json()
    assert (body["type"], body["detail"]) == ("/problems/not-found", NOT_THERE)


async def test_a_wrong_method_names_those_that_are_known(client: aiohttp.ClientSession) -> None:
    async with client.delete("/refused") as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET")
        assert (await response.json())["type"] == "/problems/method-not-allowed"


async def test_what_is_wrong_is_pointed_at(client: aiohttp.ClientSession) -> None:
    path = f"/things/{UUID(int=1)}?limit=0"
    async with client.post(path, json={"name": "", "inner": {"a/b ~": "x"}}) as response:
        body = await response.json()
    assert response.status == 422
    assert {error["pointer"] for error in body["errors"]} == {"#/name", "#/inner/a~1b%20~0", "#/query/limit"}


async def test_what_is_no_json_is_an_invalid_request(client: aiohttp.ClientSession) -> None:
    headers = {"Content-Type": "application/json"}
    async with client.post(f"/things/{UUID(int=1)}", data=b"{", headers=headers) as response:
        body = await response.json()
    assert (response.status, [error["pointer"] for error in body["errors"]]) == (422, ["#"])


async def test_a_fault_of_ours_tells_nothing_about_itself(client: aiohttp.ClientSession) -> None:
    async with client.get("/broken") as response:
        text = await response.text()
    assert (response.status, response.content_type) == (500, "application/problem+json")
    assert "secret" not in text


def test_a_pointer_survives_any_name() -> None:
    assert json_pointer(["\ud800", "%", '"']) == "#/%3F/%25/%22"
