"""An issuer's keys: fetched seldom, kept through outages."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from local_stack.issuer import Issuer
from servicekit.keys import MISS_COOL_DOWN_SECONDS, RETRY_COOL_DOWN_SECONDS, IssuerKeys
from servicekit.problems import ProblemError

FRESH = 300.0
OLD, NEW = Issuer.new("http://old"), Issuer.new("http://new")


class Publisher:
    """An issuer's endpoint, under the test's control, and a clock beside it."""

    def __init__(self) -> None:
        self.body: Any = OLD.jwks()
        self.status = 200
        self.fetches = 0
        self.now = 1000.0
        self.keys: IssuerKeys

    async def answer(self, _request: web.Request) -> web.Response:
        self.fetches += 1
        text = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return web.Response(text=text, status=self.status)


@pytest.fixture
async def publisher() -> AsyncIterator[Publisher]:
    async with publishing() as found:
        yield found


@asynccontextmanager
async def publishing() -> AsyncIterator[Publisher]:
    publisher = Publisher()
    app = web.Application()
    app.router.add_get("/jwks", publisher.answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        url = str(server.make_url("/jwks"))
        publisher.keys = IssuerKeys(url, session, fresh_seconds=FRESH, clock=lambda: publisher.now)
        yield publisher


async def is_unavailable(publisher: Publisher, key_id: str) -> bool:
    try:
        await publisher.keys.find(key_id)
    except ProblemError as error:
        return error.kind.slug == "unavailable"
    return False


async def test_many_look_ups_share_one_fetch(publisher: Publisher) -> None:
    found = await asyncio.gather(*(publisher.keys.find(OLD.kid) for _ in range(50)))
    assert all(found)
    assert publisher.fetches == 1


async def test_keys_are_fetched_again_when_they_are_old(publisher: Publisher) -> None:
    await publisher.keys.find(OLD.kid)
    publisher.body = NEW.jwks()
    publisher.now += FRESH
    assert await publisher.keys.find(OLD.kid) is None
    assert await publisher.keys.find(NEW.kid) is not None


async def test_an_unknown_key_id_causes_exactly_one_fetch(publisher: Publisher) -> None:
    await publisher.keys.find(OLD.kid)
    publisher.body = {"keys": OLD.jwks()["keys"] + NEW.jwks()["keys"]}
    assert await publisher.keys.find(NEW.kid) is not None
    assert publisher.fetches == 2


async def test_made_up_key_ids_do_not_hammer_the_issuer(publisher: Publisher) -> None:
    await publisher.keys.find(OLD.kid)
    for number in range(100):
        assert await publisher.keys.find(f"made up {number}") is None
    assert publisher.fetches == 2
    publisher.now += MISS_COOL_DOWN_SECONDS
    assert await publisher.keys.find("made up") is None
    assert publisher.fetches == 3


async def test_an_outage_is_ridden_out_on_the_keys_already_had(publisher: Publisher) -> None:
    await publisher.keys.find(OLD.kid)
    publisher.status = 500
    publisher.now += FRESH
    assert await publisher.keys.find(OLD.kid) is not None
    assert await publisher.keys.find(OLD.kid) is not None
    assert publisher.fetches == 2
    publisher.now += RETRY_COOL_DOWN_SECONDS
    publisher.status = 200
    assert await publisher.keys.find(OLD.kid) is not None
    assert publisher.fetches == 3


async def test_in_an_outage_an_unknown_key_id_is_unavailable_and_not_wrong(publisher: Publisher) -> None:
    await publisher.keys.find(OLD.kid)
    publisher.status = 503
    assert await is_unavailable(publisher, NEW.kid)


async def test_without_any_keys_everything_is_unavailable_until_the_issuer_is_back(publisher: Publisher) -> None:
    publisher.status = 503
    assert await is_unavailable(publisher, OLD.kid)
    publisher.status = 200
    assert await is_unavailable(publisher, OLD.kid)
    publisher.now += RETRY_COOL_DOWN_SECONDS
    assert await publisher.keys.find(OLD.kid) is not None


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"keys": {}}', '{"keys": []}', '{"keys": [7, null]}', "[" * 100_000])
async def test_what_is_no_key_set_counts_as_an_outage(publisher: Publisher, body: str) -> None:
    publisher.body = body
    assert await is_unavailable(publisher, OLD.kid)


async def test_only_rsa_keys_for_signatures_are_taken(publisher: Publisher) -> None:
    good = OLD.jwks()["keys"][0]
    publisher.body = {
        "keys": [
            good,
            good | {"kid": "for encryption", "use": "enc"},
            good | {"kid": "other algorithm", "alg": "RS512"},
            good | {"kid": "other kind", "kty": "EC"},
            good | {"kid": "no modulus", "n": "!"},
            {"kty": "oct", "kid": "a secret", "k": "c2VjcmV0"},
        ]
    }
    assert await publisher.keys.find(OLD.kid) is not None
    for entry in publisher.body["keys"][1:]:
        assert await publisher.keys.find(entry["kid"]) is None
