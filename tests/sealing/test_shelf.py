"""Where wrapped keys are kept: the fake, tenancy's database and tenancy over HTTP keep the same promises."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from gateway.adapters.keys import HttpShelf
from local_stack.environment import MASTER
from local_stack.system import System
from servicekit.database import Database
from servicekit.keyring import Kept, Keyring, KeysAwayError, Shelf
from servicekit.masters import DataKey, Masters
from servicekit.testing import MemoryShelf
from tenancy.adapters.data_keys import DatabaseShelf


@pytest.fixture(params=["memory", "database", "http"])
async def shelf(request: pytest.FixtureRequest, whole: System) -> AsyncIterator[Shelf]:
    if request.param == "memory":
        yield MemoryShelf()
    elif request.param == "database":
        database = Database(whole.engines.postgres_url("tenancy", "tenancy_service"), pool_size=10)
        yield DatabaseShelf(database)
        await database.stop()
    else:
        http = HttpShelf(whole.at.tenancy_url, whole.engines.credentials.keys_secret)
        await http.start()
        yield http
        await http.stop()


async def test_nothing_is_kept_until_it_is_offered(shelf: Shelf) -> None:
    tenant = uuid4()
    assert list(await shelf.read([tenant])) == [Kept(tenant_id=tenant)]


async def test_what_was_offered_first_stands_and_is_read_by_its_tenant_alone(shelf: Shelf, masters: Masters) -> None:
    tenant, other = uuid4(), uuid4()
    first, second = [await masters.wrap(DataKey.new(tenant)) for _ in range(2)]
    stand = [await shelf.offer(key) for key in (first, second)]
    assert [[key.kid for key in kept.keys] for kept in stand] == [[first.kid], [first.kid]]
    read = {kept.tenant_id: kept for kept in await shelf.read([tenant, other])}
    assert [(key.kid, key.master, key.wrapped, key.current) for key in read[tenant].keys] == [
        (first.kid, MASTER, first.wrapped, True)
    ]
    assert read[other] == Kept(tenant_id=other)


async def test_of_many_who_offer_at_once_one_wins(shelf: Shelf, masters: Masters) -> None:
    tenant = uuid4()
    keys = [await masters.wrap(DataKey.new(tenant)) for _ in range(8)]
    stand = await asyncio.gather(*(shelf.offer(key) for key in keys))
    assert len({key.kid for kept in stand for key in kept.keys}) == 1


async def test_keyrings_on_one_shelf_open_for_each_other(shelf: Shelf, masters: Masters) -> None:
    tenant, booking = uuid4(), uuid4()
    one, other = Keyring(shelf, masters), Keyring(shelf, masters)
    sealed = (await one.sealing(tenant)).seal(tenant, booking, "notes", "x")
    vault = (await other.opening({tenant: {sealed.kid}}))[tenant]
    assert vault is not None
    assert vault.open(tenant, booking, "notes", sealed) == "x"


async def test_who_does_not_show_the_secret_or_finds_nobody_there_is_told_so(whole: System) -> None:
    for url, secret in (
        (whole.at.tenancy_url, "x" * 32),
        (whole.at.gateway_url, "x" * 32),
        ("http://127.0.0.1:1", "x"),
    ):
        stranger = HttpShelf(url, secret)
        with pytest.raises(KeysAwayError):
            await stranger.read([uuid4()])
        await stranger.start()
        with pytest.raises(KeysAwayError):
            await stranger.read([uuid4()])
        await stranger.stop()
