"""A gateway as the export reads it: patient with one that is busy, and careful with the token."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tenancy.adapters.gateway import TRIES, GatewayApi, Token
from tenancy.application.export import ExportError, Page

OK: dict[str, Any] = {"items": [], "next_cursor": None}


@dataclass
class Door:
    """A gateway that answers what a test has put there, one after the other, and the last one from then on."""

    answers: list[tuple[int, Any, dict[str, str]]] = field(default_factory=list)
    asked: list[web.Request] = field(default_factory=list)
    before: Callable[[], None] = lambda: None
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        self.before()
        status, body, headers = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.json_response(body, status=status, headers={"Position": "7", **headers})


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door, app = Door(), web.Application()
    app.router.add_get("/{path:.*}", door.answer)
    async with TestServer(app) as server:
        door.url = str(server.make_url(""))
        yield door


def problem(detail: str) -> dict[str, str]:
    return {"detail": detail}


async def read(door: Door, token: Token | None = None, **more: Any) -> tuple[Page | None, list[str]]:  # noqa: ANN401
    told: list[str] = []
    known = token or Token("t\n")
    async with GatewayApi(door.url, known, tell=told.append, longest_wait_s=0.01, renewal_s=0.2) as api:
        return await api.get("/v1/bookings", {"limit": 3}, **more), told


async def test_a_page_is_asked_with_the_token_and_the_position_that_it_must_hold(door: Door) -> None:
    door.answers = [(200, OK, {})]
    page, told = await read(door, at_least=5)
    assert page == Page(body=OK, position=7)
    (asked,) = door.asked
    assert (asked.headers["Authorization"], asked.headers["Min-Position"]) == ("Bearer t", "5")
    assert (asked.path_qs, told) == ("/v1/bookings?limit=3", [])


async def test_what_is_not_there_is_none(door: Door) -> None:
    door.answers = [(404, problem("nothing"), {})]
    assert (await read(door))[0] is None


async def test_one_that_is_busy_is_asked_again_when_it_says(door: Door) -> None:
    door.answers = [(429, problem("too many"), {"Retry-After": "1"}), (503, {}, {}), (502, {}, {}), (200, OK, {})]
    page, told = await read(door)
    assert page == Page(body=OK, position=7)
    assert told[0] == "/v1/bookings: 429 too many; asked again in 0.01 s"
    assert len(told) == 3


async def test_one_that_stays_away_is_given_up(door: Door) -> None:
    door.answers = [(503, problem("away"), {})]
    with pytest.raises(ExportError, match="503 away"):
        await read(door)
    assert len(door.asked) == TRIES


async def test_one_that_nobody_reaches_is_given_up_with_the_reason() -> None:
    with pytest.raises(ExportError, match="/v1/bookings: "):
        await read(Door(url="http://127.0.0.1:1"))


@pytest.mark.parametrize(("status", "detail"), [(403, "This organisation is deleted."), (422, "no"), (302, "moved")])
async def test_what_no_patience_helps_is_told_at_once(door: Door, status: int, detail: str) -> None:
    door.answers = [(status, problem(detail), {"Location": "https://elsewhere.example"})]
    with pytest.raises(ExportError, match=f"{status} {detail}"):
        await read(door)
    assert len(door.asked) == 1, "and the token goes nowhere else"


async def test_what_is_no_page_of_ours_is_asked_again_and_given_up(door: Door) -> None:
    door.answers = [(200, ["x"], {})]
    with pytest.raises(ExportError, match="200"):
        await read(door)


async def test_a_token_that_has_run_out_is_an_error_that_says_so(door: Door) -> None:
    door.answers = [(401, problem("The token has expired."), {})]
    with pytest.raises(ExportError, match=r"there is no new one: The token has expired\."):
        await read(door)
    assert len(door.asked) == 1


async def test_a_token_that_has_run_out_is_read_from_its_file_again(door: Door, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old\n")
    door.answers = [(401, problem("The token has expired."), {}), (200, OK, {})]
    token = Token.in_file(file)

    def renew() -> None:
        file.write_text("new\n")

    door.before = renew
    page, _ = await read(door, token)
    assert page is not None
    assert [asked.headers["Authorization"] for asked in door.asked] == ["Bearer old", "Bearer new"]


async def test_a_file_with_the_same_token_is_waited_for_and_then_given_up(door: Door, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    door.answers = [(401, problem("The token has expired."), {})]
    with pytest.raises(ExportError, match="there is no new one"):
        await read(door, Token.in_file(file))
