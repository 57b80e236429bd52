"""Master keys: what one wraps opens under it alone, for whom it was wrapped; in memory, and in a Transit engine."""

import base64
import functools
import os
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from libs.servicekit.tests.transit_server import TransitServer
from pydantic import ValidationError

from servicekit.masters import (
    DataKey,
    KeyWrapper,
    LocalMaster,
    MasterAwayError,
    Masters,
    NotUnwrappedError,
    WrappedKey,
)
from servicekit.settings import MasterSettings, settings_config
from servicekit.transit import TransitMaster

TENANT = uuid4()
BOUND = b"whose"


@pytest.fixture(params=["local", "transit", "transit that does not bind"])
async def master(request: pytest.FixtureRequest) -> AsyncIterator[KeyWrapper]:
    if request.param == "local":
        yield LocalMaster("m", os.urandom(32))
        return
    async with TransitServer(token="t", binds=request.param == "transit").serving() as url:
        transit = TransitMaster(url, "production-tool", token="t")
        await transit.start()
        yield transit
        await transit.stop()


async def test_what_was_wrapped_opens_for_whom_it_was_wrapped(master: KeyWrapper) -> None:
    secret = os.urandom(32)
    wrapped = [await master.wrap(secret, BOUND) for _ in range(2)]
    assert wrapped[0] != wrapped[1], "nothing is told by two that are the same"
    assert [await master.unwrap(one, BOUND) for one in wrapped] == [secret, secret]
    assert base64.b64encode(secret).decode() not in wrapped[0]


async def test_it_opens_for_nobody_else(master: KeyWrapper) -> None:
    wrapped = await master.wrap(os.urandom(32), BOUND)
    for bound in (b"", b"whos", b"whose ", b"theirs"):
        with pytest.raises(NotUnwrappedError):
            await master.unwrap(wrapped, bound)


async def test_what_nobody_wrapped_or_somebody_changed_does_not_open(master: KeyWrapper) -> None:
    wrapped = await master.wrap(os.urandom(32), BOUND)
    changed = wrapped[:-9] + ("A" if wrapped[-9] != "A" else "B") + wrapped[-8:]
    for one in (changed, wrapped[:-12], "x", "!", "vault:v1:", "vault:v9:AAAA", "AAAA"):
        with pytest.raises(NotUnwrappedError):
            await master.unwrap(one, BOUND)


async def test_another_master_of_the_same_name_does_not_open_it() -> None:
    one, other = (Masters([LocalMaster("m", os.urandom(32))]) for _ in range(2))
    wrapped = await one.wrap(DataKey.new(TENANT))
    with pytest.raises(NotUnwrappedError):
        await other.unwrap(wrapped)


async def test_the_first_master_wraps_and_each_unwraps_its_own() -> None:
    old, new = LocalMaster("old", os.urandom(32)), LocalMaster("new", os.urandom(32))
    key = DataKey.new(TENANT)
    before = await Masters([old]).wrap(key)
    both = Masters([new, old])
    after = await both.wrap(await both.unwrap(before))
    assert (before.master, after.master, both.first) == ("old", "new", "new")
    assert await Masters([new]).unwrap(after) == key
    with pytest.raises(NotUnwrappedError, match="old"):
        await Masters([new]).unwrap(before)


async def test_a_wrapped_key_moved_to_another_tenant_or_another_name_does_not_open() -> None:
    masters = Masters([LocalMaster("m", os.urandom(32))])
    wrapped = await masters.wrap(DataKey.new(TENANT))
    for moved in (wrapped.model_copy(update={"tenant_id": uuid4()}), wrapped.model_copy(update={"kid": "other"})):
        with pytest.raises(NotUnwrappedError):
            await masters.unwrap(moved)


async def test_what_is_no_data_key_is_not_taken_for_one() -> None:
    master = LocalMaster("m", os.urandom(32))
    masters = Masters([master])
    bound = b"production/data-key/v1\x00" + TENANT.bytes + b"k"
    short = WrappedKey(tenant_id=TENANT, kid="k", master="m", wrapped=await master.wrap(b"short", bound))
    with pytest.raises(NotUnwrappedError, match="no data key"):
        await masters.unwrap(short)


def test_keys_are_random_and_never_shown() -> None:
    one, other = DataKey.new(TENANT), DataKey.new(TENANT)
    assert one.secret != other.secret
    assert one.kid != other.kid
    assert repr(one.secret) not in repr(one)


def test_there_is_a_master_and_no_two_of_one_name() -> None:
    with pytest.raises(ValueError, match="master"):
        Masters([])
    with pytest.raises(ValueError, match="one name"):
        Masters([LocalMaster("m", os.urandom(32)), LocalMaster("m", os.urandom(32))])


async def test_transit_sees_the_binding_and_opens_what_an_earlier_version_of_its_key_wrapped() -> None:
    server = TransitServer(token="t", namespace="team")
    async with server.serving() as url:
        transit = TransitMaster(url, "production-tool", token="t", namespace="team")
        async with Masters([transit]) as masters:
            key = DataKey.new(TENANT)
            before = await masters.wrap(key)
            server.rotate()
            after = await masters.wrap(await masters.unwrap(before))
            assert (before.wrapped[:9], after.wrapped[:9]) == ("vault:v1:", "vault:v2:")
            server.oldest = 2
            assert await masters.unwrap(after) == key
            with pytest.raises(NotUnwrappedError):
                await masters.unwrap(before)
    assert server.asked[0] == "/v1/transit/encrypt/production-tool"
    assert (transit.name, after.master) == ("transit/production-tool", "transit/production-tool")


@pytest.mark.parametrize(
    "instead",
    [
        (403, {"errors": ["permission denied"]}),
        (404, {"errors": ["no handler for route"]}),
        (429, {}),
        (500, "<html>"),
        (503, {"errors": ["Vault is sealed"]}),
        (307, {}),
        (200, {"data": {"plaintext": "!"}}),
        (200, {"data": None}),
        (200, []),
        (200, "not JSON"),
    ],
)
async def test_a_transit_engine_that_does_not_answer_as_it_should_is_away(instead: tuple[int, object]) -> None:
    server = TransitServer(token="t")
    async with server.serving() as url, Masters([TransitMaster(url, "production-tool", token="t")]) as masters:
        wrapped = await masters.wrap(DataKey.new(TENANT))
        server.instead = [instead, instead]
        with pytest.raises(MasterAwayError):
            await masters.unwrap(wrapped)
        with pytest.raises(MasterAwayError):
            await masters.wrap(DataKey.new(TENANT))
        assert (await masters.unwrap(wrapped)).kid == wrapped.kid


async def test_a_transit_engine_that_is_not_there_or_whose_token_can_not_be_read_is_away(tmp_path: Path) -> None:
    async with TransitServer(token="t").serving() as url:
        for transit in (
            TransitMaster("http://127.0.0.1:1", "k", token="t"),
            TransitMaster(url, "k", token_file=tmp_path / "absent"),
            TransitMaster(url, "production-tool", token="wrong"),
        ):
            async with Masters([transit]) as masters:
                with pytest.raises(MasterAwayError):
                    await masters.wrap(DataKey.new(TENANT))
    with pytest.raises(MasterAwayError):
        await transit.wrap(os.urandom(32), BOUND)


async def test_a_token_that_an_agent_renews_is_read_anew(tmp_path: Path) -> None:
    server, file = TransitServer(token="first"), tmp_path / "token"
    file.write_text("first\n")
    async with (
        server.serving() as url,
        Masters([TransitMaster(url, "production-tool", token_file=file)]) as masters,
    ):
        await masters.wrap(DataKey.new(TENANT))
        server.token = "second"
        file.write_text("second\n")
        await masters.wrap(DataKey.new(TENANT))


class Settings(MasterSettings):
    model_config = settings_config("TEST_MASTERS_")


KEY = base64.b64encode(bytes(32)).decode()


def test_masters_are_stated_in_the_environment_or_a_file_and_one_may_be_named(tmp_path: Path) -> None:
    file = tmp_path / "masters.json"
    file.write_text(f'{{"c": "{KEY}"}}')
    local = {"a": bytes(32), "b": bytes(32)}
    transit = functools.partial(Settings, transit_url="http://vault", transit_token="t", master_keys=local)
    assert not Settings().has_masters
    assert Settings(master_keys=local).masters().first == "a"
    assert Settings(master_keys=local, master="b").masters().first == "b"
    assert Settings(master_keys_file=file).masters().first == "c"
    assert transit().masters().first == "transit/production-tool"
    assert transit(master="a").masters().first == "a"
    with pytest.raises(ValueError, match="named 'z'"):
        Settings(master_keys=local, master="z").masters()
    with pytest.raises(ValueError, match="master key"):
        Settings().masters()


def test_a_file_that_is_not_right_is_refused_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "masters.json"
    file.write_text('{"c": "c2VjcmV0"}')
    with pytest.raises(ValidationError) as refused:
        Settings(master_keys_file=file).masters()
    assert "c2VjcmV0" not in str(refused.value)
