"""Data keys: who may read them, who wins, what rotation leaves, and that deleting destroys them."""

import asyncio
import os
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import timedelta
from io import StringIO
from uuid import UUID, uuid4

import pytest
from services.tenancy.tests.conftest import KEYS_SECRET, Service, ask

from production_contracts.commands import CreateArtist, DeleteTenant, ForgetPerson, RecordPerson
from production_contracts.members import person_id
from servicekit import key_api
from servicekit.clock import now
from servicekit.keyring import Kept
from servicekit.masters import DataKey, LocalMaster, Masters, NotUnwrappedError, WrappedKey
from tenancy.entrypoints.command_line.rotation import KEYS

OLD, NEW = bytes(32), bytes([7]) * 32
MASTERS = Masters([LocalMaster("old", OLD)])


async def read(service: Service, *tenants: UUID, header: str | None = f"Bearer {KEYS_SECRET}") -> list[Kept]:
    headers = {} if header is None else {"Authorization": header}
    body = key_api.ReadKeys(tenants=list(tenants)).model_dump_json()
    async with service.session.post(service.url + key_api.READ, data=body, headers=headers) as response:
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-store"
        return key_api.KeysRead.model_validate_json(await response.read()).items


async def offered(service: Service, tenant: UUID | None = None) -> WrappedKey:
    key = await MASTERS.wrap(DataKey.new(tenant or uuid4()))
    (kept,) = (await service.offer(key)).keys
    return kept


def job(service: Service, *words: str, **masters: bytes) -> Callable[[], int]:
    parser = ArgumentParser()
    assert KEYS.arguments is not None
    KEYS.arguments(parser)
    asked = parser.parse_args(words)
    settings = service.settings.model_copy(update={"master_keys": masters})
    return lambda: KEYS.run(settings, asked)


async def did(work: Callable[[], int], status: int = 0) -> str:
    told = StringIO()
    with redirect_stdout(told):
        assert await asyncio.to_thread(work) == status
    return told.getvalue()


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {KEYS_SECRET}",
        KEYS_SECRET,
        f"Bearer {KEYS_SECRET}x",
        f"Bearer {KEYS_SECRET[:-1]}",
        "Bearer \u00e9",
        "token of an admin",
    ],
)
@pytest.mark.parametrize("path", [key_api.READ, key_api.OFFER])
async def test_who_shows_no_secret_of_a_service_is_refused_and_nothing_is_looked_at(
    service: Service, path: str, header: str | None
) -> None:
    if header == "token of an admin":
        header = f"Bearer {service.issuer.token(tenant='acme', role='admin')}"
    headers = {} if header is None else {"Authorization": header}
    answers = []
    for body in (b"", b"{", b'{"tenants": []}'):
        async with service.session.post(service.url + path, data=body, headers=headers) as response:
            answers.append((response.status, (await response.json(content_type=None))["type"]))
    assert set(answers) == {(401, "/problems/unauthenticated")}


async def test_either_of_two_secrets_will_do_while_one_is_replaced(service: Service) -> None:
    assert await read(service, uuid4(), header=f"bearer {KEYS_SECRET}-new")


@pytest.mark.parametrize("body", ["", "{", "[]", '{"tenants": []}', '{"tenants": ["x"]}', '{"key": {}}', "x" * 70_000])
async def test_what_is_no_request_is_refused(service: Service, body: str) -> None:
    for path in (key_api.READ, key_api.OFFER):
        headers = {"Authorization": f"Bearer {KEYS_SECRET}"}
        async with service.session.post(service.url + path, data=body, headers=headers) as response:
            assert response.status == (413 if len(body) > key_api.LARGEST_BODY else 422)


async def test_no_more_are_read_at_once_than_stand_on_a_page(service: Service) -> None:
    assert len(await read(service, *(uuid4() for _ in range(200)))) == 200
    with pytest.raises(ValueError, match="200"):
        key_api.ReadKeys(tenants=[uuid4() for _ in range(201)])


async def test_the_first_who_offers_a_key_wins_however_many_do_so_at_once(service: Service) -> None:
    tenant = uuid4()
    keys = [await MASTERS.wrap(DataKey.new(tenant)) for _ in range(10)]
    stand = await asyncio.gather(*(service.offer(key) for key in keys))
    assert len({kept.keys for kept in stand}) == 1
    (key,) = stand[0].keys
    assert (key.kid in {one.kid for one in keys}, key.current) == (True, True)
    assert service.look("select kid from data_keys where tenant_id = %s", tenant) == [(key.kid,)]


async def test_each_is_told_what_is_kept_for_it_and_no_more(service: Service) -> None:
    one, other, without = await offered(service), await offered(service), uuid4()
    told = {kept.tenant_id: kept for kept in await read(service, one.tenant_id, other.tenant_id, without)}
    assert [key.kid for key in told[one.tenant_id].keys] == [one.kid]
    assert [key.kid for key in told[other.tenant_id].keys] == [other.kid]
    assert told[without] == Kept(tenant_id=without)


async def test_deleting_a_tenant_destroys_its_keys_for_good(service: Service) -> None:
    reader = service.reader()
    tenant = reader.tenant_id
    await service.desk.do(ask(tenant, CreateArtist(name="Ana")))
    key = await offered(service, tenant)
    bystander = await offered(service)
    await service.desk.do(ask(tenant, DeleteTenant(as_of=now())))
    assert await read(service, tenant) == [Kept(tenant_id=tenant, destroyed=True)]
    assert await service.offer(key) == Kept(tenant_id=tenant, destroyed=True)
    assert service.look("select count(*) from data_keys where tenant_id = %s", tenant) == [(0,)]
    assert [one.kid for one in (await read(service, bystander.tenant_id))[0].keys] == [bystander.kid]


async def test_forgetting_a_person_destroys_the_persons_keys(service: Service) -> None:
    person = person_id(UUID(int=0), uuid4().hex)
    key = await offered(service, person)
    await service.desk.do(ask(person, RecordPerson(sub="x", name=None, as_of=now())))
    assert not (await read(service, person))[0].destroyed
    await service.desk.do(ask(person, ForgetPerson(sub="x", as_of=now())))
    assert await service.offer(key) == Kept(tenant_id=person, destroyed=True)
    assert service.look("select count(*) from data_keys where tenant_id = %s", person) == [(0,)]


async def test_a_key_offered_while_its_tenant_is_deleted_is_not_left_behind(service: Service) -> None:
    tenants = [uuid4() for _ in range(20)]
    offers = [service.offer(await MASTERS.wrap(DataKey.new(tenant))) for tenant in tenants]
    deletes = [service.desk.do(ask(tenant, DeleteTenant(as_of=now()))) for tenant in tenants]
    await asyncio.gather(*offers, *deletes)
    assert service.look("select count(*) from data_keys where tenant_id = any (%s)", tenants) == [(0,)]


async def test_rotation_makes_a_new_key_current_and_the_old_one_stays_to_open(service: Service) -> None:
    key, bystander = await offered(service), await offered(service)
    told = await did(job(service, "rotate", "--tenant", str(key.tenant_id), old=OLD))
    assert told == "1 tenants and people have keys; 1 have a new key\n"
    (kept,) = await read(service, key.tenant_id)
    assert [(one.kid == key.kid, one.current) for one in kept.keys] == [(True, False), (False, True)]
    assert {(await MASTERS.unwrap(one)).kid for one in kept.keys} == {one.kid for one in kept.keys}
    assert [one.kid for one in (await read(service, bystander.tenant_id))[0].keys] == [bystander.kid]
    assert await did(job(service, "rotate", "--tenant", str(uuid4()), old=OLD)) == (
        "0 tenants and people have keys; 0 have a new key\n"
    )


async def test_rotation_by_age_leaves_what_is_younger(service: Service) -> None:
    young, aged = await offered(service), await offered(service)
    with service.superuser() as connection:
        connection.execute(
            "update data_keys set created_at = %s where kid = %s", (now() - timedelta(days=91), aged.kid)
        )
    await did(job(service, "rotate", "--older-than", "90", old=OLD))
    counts = {kept.tenant_id: len(kept.keys) for kept in await read(service, young.tenant_id, aged.tenant_id)}
    assert counts == {young.tenant_id: 1, aged.tenant_id: 2}


async def test_keys_are_wrapped_anew_and_then_the_old_master_can_go(service: Service) -> None:
    key = await offered(service)
    await did(job(service, "rotate", "--tenant", str(key.tenant_id), old=OLD))
    (backup,) = await read(service, key.tenant_id)
    lost = await Masters([LocalMaster("lost", os.urandom(32))]).wrap(DataKey.new(uuid4()))
    await service.offer(lost)
    await did(job(service, "rewrap", new=NEW, old=OLD), status=1)
    (kept,) = await read(service, key.tenant_id)
    assert [(one.kid, one.master, one.current) for one in kept.keys] == [
        (one.kid, "new", one.current) for one in backup.keys
    ]
    rest = Masters([LocalMaster("new", NEW)])
    for before, after in zip(backup.keys, kept.keys, strict=True):
        assert (await rest.unwrap(after)).secret == (await MASTERS.unwrap(before)).secret
        with pytest.raises(NotUnwrappedError):
            await rest.unwrap(before)
        with pytest.raises(NotUnwrappedError):
            await Masters([LocalMaster("old", NEW)]).unwrap(before)
    (unreadable,) = await read(service, lost.tenant_id)
    assert [one.wrapped for one in unreadable.keys] == [lost.wrapped], "what can't be opened is left as it is"
    assert "; 0 keys were wrapped anew" in await did(job(service, "rewrap", new=NEW, lost=OLD), status=1)
    again = await did(job(service, "rewrap", "--all", new=NEW), status=1)
    assert "; 0 keys" not in again
    with service.superuser() as connection:
        connection.execute("delete from data_keys where tenant_id = %s", (lost.tenant_id,))


async def test_without_a_master_key_nothing_is_changed(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    key = await offered(service)
    assert await asyncio.to_thread(job(service, "rotate")) == 1
    assert "TENANCY_MASTER_KEYS" in capsys.readouterr().err
    assert [one.kid for one in (await read(service, key.tenant_id))[0].keys] == [key.kid]


async def test_the_database_lets_one_key_be_current(service: Service) -> None:
    key = await offered(service)
    with service.superuser() as connection, pytest.raises(Exception, match="one_current_key"):
        connection.execute(
            "insert into data_keys (tenant_id, kid, master, wrapped, current) values (%s, 'x', 'm', 'w', true)",
            (key.tenant_id,),
        )
