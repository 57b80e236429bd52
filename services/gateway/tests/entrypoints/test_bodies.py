"""Bodies: bounded, of the right kind, JSON to the letter; what is wrong is pointed at and never a 500."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.entrypoints.bodies import LARGEST_BODY, parse_object
from gateway.testing import FakeGateway, problem_of
from servicekit.problems import ProblemError

JSON = {"Content-Type": "application/json"}
ASKED: dict[str, Any] = {
    "artist_id": str(uuid4()),
    "start_time": "2027-05-08T20:00:00Z",
    "end_time": "2027-05-08T23:00:00Z",
    "title": "Spring tour",
}


async def refusal(client: aiohttp.ClientSession, raw: bytes | AsyncIterator[bytes], **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.post("/v1/bookings", data=raw, headers=JSON | named) as response:
        return problem_of(response, await response.read())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"7",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'{"title": NaN}',
        b'{"title": Infinity}',
        b'{"title": "\\ud800"}',
        b'{"title": "a\tb"}',
        b'{"title": "x", "title": "x"}',
        b'{"a": {"b": 1, "b": 2}}',
        b"[" * 200_000,
        b'{"a":' * 40_000,
        b'{"a":' * 990 + b"1" + b"}" * 990,
        b'{"title": ' + b"9" * 100_000 + b"}",
        b'{"title": 1e999999}',
        b"{'title': 1}",
        b'{"title": "x"} {}',
    ],
)
async def test_what_is_no_sound_json_object_is_an_invalid_request(
    client: aiohttp.ClientSession, gateway: FakeGateway, raw: bytes
) -> None:
    problem = await refusal(client, raw)
    assert problem["type"] == "/problems/invalid-request"
    assert problem["errors"]
    assert gateway.kafka.sent == []


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"title": ""}, "#/title"),
        ({"title": " "}, "#/title"),
        ({"title": "x" * 201}, "#/title"),
        ({"title": "a\u0000b"}, "#/title"),
        ({"title": None}, "#/title"),
        ({"title": 7}, "#/title"),
        ({"notes": "x" * 10_001}, "#/notes"),
        ({"notes": {"kid": "k1", "ct": "x"}}, "#/notes"),
        ({"contact": "Ana"}, "#/contact"),
        ({"contact": {"email": "ana"}}, "#/contact/email"),
        ({"contact": {"phone": "call me"}}, "#/contact/phone"),
        ({"contact": {"fax": "1"}}, "#/contact/fax"),
        ({"fee": {"currency": "EUR"}}, "#/fee/amount"),
        ({"fee": {"amount": 150_000}}, "#/fee/currency"),
        ({"fee": {"amount": 1500.5, "currency": "EUR"}}, "#/fee/amount"),
        ({"fee": {"amount": 10**15, "currency": "EUR"}}, "#/fee/amount"),
        ({"fee": {"amount": 10**40, "currency": "EUR"}}, "#/fee/amount"),
        ({"fee": {"amount": 1, "currency": "EUX"}}, "#/fee/currency"),
        ({"venue": ["x"]}, "#/venue"),
        ({"status": "cancelled"}, "#/status"),
        ({"artist_id": "x"}, "#/artist_id"),
        ({"artist_id": 7}, "#/artist_id"),
        ({"start_time": 1_800_000_000}, "#/start_time"),
        ({"start_time": "1800000000"}, "#/start_time"),
        ({"start_time": "2027-05-08 20:00:00Z"}, "#/start_time"),
        ({"start_time": "2027-05-08T20:00:00"}, "#/start_time"),
        ({"start_time": "2027-05-08T20:00:00.0001Z"}, "#/start_time"),
        ({"start_time": "0001-01-01T00:00:00Z"}, "#/start_time"),
        ({"end_time": "2027-02-30T20:00:00Z"}, "#/end_time"),
        ({"end_time": "2027-05-08T20:00:00Z"}, "#"),
        ({"end_time": "2029-05-08T20:00:00Z"}, "#"),
        ({"colour": "red"}, "#/colour"),
        ({"a/b~": 1}, "#/a~1b~0"),
    ],
)
async def test_what_the_contract_does_not_allow_is_pointed_at(
    client: aiohttp.ClientSession, gateway: FakeGateway, change: dict[str, Any], pointer: str
) -> None:
    problem = await refusal(client, json.dumps(ASKED | change).encode())
    assert problem["status"] == 422
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert gateway.kafka.sent == []


async def test_what_is_refused_is_not_repeated_to_whoever_reads_the_problem(client: aiohttp.ClientSession) -> None:
    secrets = {"contact": {"name": "\x00Ana", "email": "ana at home", "phone": "ask Ana"}, "fee": {"amount": -4711}}
    problem = json.dumps(await refusal(client, json.dumps(ASKED | secrets).encode()))
    assert not [word for word in ("Ana", "at home", "4711") if word in problem]


async def test_every_error_is_told_at_once(client: aiohttp.ClientSession) -> None:
    problem = await refusal(client, b'{"title": "", "colour": 1}')
    pointers = {error["pointer"] for error in problem["errors"]}
    assert pointers == {"#/title", "#/colour", "#/artist_id", "#/start_time", "#/end_time"}


async def test_a_confirmation_takes_no_members(client: aiohttp.ClientSession) -> None:
    async with client.post(f"/v1/bookings/{uuid4()}/confirm", json={"title": "x"}) as response:
        assert problem_of(response, await response.read())["errors"][0]["pointer"] == "#/title"


async def test_a_body_that_is_too_large_is_refused_by_its_stated_length(client: aiohttp.ClientSession) -> None:
    assert (await refusal(client, b" " * (LARGEST_BODY + 1)))["type"] == "/problems/payload-too-large"


async def test_a_body_that_is_too_large_is_refused_while_it_comes(client: aiohttp.ClientSession) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(LARGEST_BODY // 1024 + 1):
            yield b" " * 1024

    assert (await refusal(client, endless()))["type"] == "/problems/payload-too-large"


async def test_the_largest_body_passes(client: aiohttp.ClientSession) -> None:
    raw = json.dumps(ASKED).encode()
    async with client.post("/v1/bookings", data=raw + b" " * (LARGEST_BODY - len(raw)), headers=JSON) as response:
        assert response.status == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/merge-patch+json"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": ""},
    ],
)
async def test_another_kind_of_body_is_unsupported(client: aiohttp.ClientSession, headers: dict[str, str]) -> None:
    async with client.post("/v1/bookings", data=json.dumps(ASKED).encode(), headers=headers) as response:
        assert problem_of(response, await response.read())["type"] == "/problems/unsupported-media-type"


@pytest.mark.parametrize(
    "media_type", ["Application/JSON", "application/json;charset=UTF-8", 'application/json; charset="utf-8"']
)
async def test_json_is_recognised_however_it_is_written(client: aiohttp.ClientSession, media_type: str) -> None:
    raw = json.dumps(ASKED).encode()
    async with client.post("/v1/bookings", data=raw, headers={"Content-Type": media_type}) as response:
        assert response.status == 201


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: json.dumps(text).encode()))
def test_no_bytes_break_the_parser(raw: bytes) -> None:
    with pytest.raises(ProblemError) as caught:
        parse_object(b"\x00" + raw)
    assert caught.value.kind.slug == "invalid-request"
