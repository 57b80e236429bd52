"""Deleting a tenant's key: what it has sealed opens nowhere any more, wherever it was copied to."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import psycopg
import pytest

from gateway.adapters.keys import HttpShelf
from local_stack import clerk
from local_stack.clerk import Clerk
from local_stack.clients.caller import expect
from local_stack.clients.tenant import Tenant
from local_stack.clients.topic import Topic
from local_stack.clients.waiting import until
from local_stack.environment import MASTER, NAMESPACE
from local_stack.system import System
from production_contracts.members import person_id
from production_contracts.sealed import Sealed
from servicekit.keyring import KeyDestroyedError, Keyring
from servicekit.masters import LocalMaster, Masters, NotUnwrappedError, WrappedKey
from servicekit.vault import AesVault, SealBrokenError

NOTES = "leave the keys with the porter"


@pytest.fixture
async def keyring(whole: System, masters: Masters) -> AsyncIterator[Keyring]:
    """All that the system has to open with: the wrapped keys that are kept, and the master key."""
    shelf = HttpShelf(whole.at.tenancy_url, whole.engines.credentials.keys_secret)
    await shelf.start()
    keyring = Keyring(shelf, masters)
    yield keyring
    await keyring.stop()
    await shelf.stop()


def rows(whole: System, service: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(whole.engines.postgres_dsn(service)) as connection:
        return connection.execute(query.encode(), values).fetchall()


def backup_of_keys(whole: System, tenant: UUID) -> list[WrappedKey]:
    query = "select tenant_id, kid, master, wrapped, current from data_keys where tenant_id = %s"
    names = ("tenant_id", "kid", "master", "wrapped", "current")
    return [WrappedKey(**dict(zip(names, row, strict=True))) for row in rows(whole, "tenancy", query, tenant)]


def told(whole: System, session: aiohttp.ClientSession) -> Clerk:
    secret = whole.engines.credentials.webhook_secret
    return Clerk(session=session, gateway_url=whole.at.gateway_url, secret=secret)


async def delete(whole: System, session: aiohttp.ClientSession, tenant: Tenant) -> None:
    gone = {"id": f"org_{tenant.name}", "deleted": True}
    assert await told(whole, session).tell("organization.deleted", gone) == 200

    async def is_out() -> bool:
        return (await tenant.caller().get("/v1/bookings")).slug == "forbidden"

    await until(is_out, "the gateway refuses a deleted tenant")


async def test_what_a_deleted_tenant_has_sealed_opens_from_no_copy_of_it(
    whole: System, session: aiohttp.ClientSession, new_tenant: Callable[[], Tenant], keyring: Keyring, masters: Masters
) -> None:
    tenant, other = new_tenant(), new_tenant()
    for one in (tenant, other):
        await one.booking(await one.artist(), notes=NOTES)
    copies: list[tuple[str, Sealed, UUID]] = []
    for service, query in (
        ("booking", "select event_data->'notes', event_data->>'id' from events where tenant_id = %s"),
        ("booking", "select body->'notes', body->>'id' from command_log where tenant_id = %s"),
        ("booking", "select notes, id::text from bookings where tenant_id = %s"),
    ):
        copies += [(query, Sealed(**notes), UUID(id_)) for notes, id_ in rows(whole, service, query, tenant.id)]
    async with Topic(whole.engines.kafka_bootstrap, "booking.events.v1") as topic:
        copies += [
            ("topic", Sealed(**record.event["data"]["notes"]), UUID(record.event["data"]["id"]))
            for record in await topic.records()
            if record.key == str(tenant.id)
        ]
    assert len(copies) == 4
    vault = (await keyring.opening({tenant.id: {copies[0][1].kid}}))[tenant.id]
    assert vault is not None
    assert {vault.open(tenant.id, holder, "notes", sealed) for _, sealed, holder in copies} == {NOTES}, "they did open"

    await delete(whole, session, tenant)
    assert backup_of_keys(whole, tenant.id) == []
    shelf = HttpShelf(whole.at.tenancy_url, whole.engines.credentials.keys_secret)
    await shelf.start()
    anew = Keyring(shelf, masters, legacy={"local": bytes(32)})
    for _, sealed, holder in copies:
        assert await anew.opening({tenant.id: {sealed.kid}}) == {tenant.id: None}
        stranger = (await anew.opening({other.id: {sealed.kid}}))[other.id]
        assert stranger is not None
        with pytest.raises(SealBrokenError):
            stranger.open(tenant.id, holder, "notes", sealed)
    with pytest.raises(KeyDestroyedError):
        await anew.sealing(tenant.id)
    await shelf.stop()
    (booking,) = expect(await other.caller().get("/v1/bookings"), 200).body["items"]
    assert booking["notes"] == NOTES, "nobody else has lost anything"


async def test_a_backup_of_the_keys_opens_for_as_long_as_its_master_key_exists_and_no_longer(
    whole: System, session: aiohttp.ClientSession, new_tenant: Callable[[], Tenant], masters: Masters
) -> None:
    tenant = new_tenant()
    booking = await tenant.booking(await tenant.artist(), notes=NOTES)
    query = "select notes from bookings where tenant_id = %s"
    ((notes,),) = rows(whole, "booking", query, tenant.id)
    (backup,) = backup_of_keys(whole, tenant.id)
    await delete(whole, session, tenant)
    vault = AesVault({backup.kid: (await masters.unwrap(backup)).secret})
    assert vault.open(tenant.id, UUID(booking["id"]), "notes", Sealed(**notes)) == NOTES, "a limit, and documented"
    for retired in (Masters([LocalMaster("local-2", bytes(32))]), Masters([LocalMaster(MASTER, bytes(32))])):
        with pytest.raises(NotUnwrappedError):
            await retired.unwrap(backup)


async def test_a_forgotten_persons_name_opens_from_no_copy_of_it(
    whole: System, session: aiohttp.ClientSession, new_tenant: Callable[[], Tenant], keyring: Keyring
) -> None:
    tenant, tell = new_tenant(), told(whole, session).tell
    user = f"ben-{uuid4().hex}"
    person = person_id(UUID(NAMESPACE), f"user_{user}")
    assert await tell("organizationMembership.created", clerk.membership(tenant.name, user)) == 200
    ((name,),) = rows(whole, "tenancy", "select name from people where tenant_id = %s", person)
    sealed = Sealed(**name)
    vault = (await keyring.opening({person: {sealed.kid}}))[person]
    assert vault is not None
    assert vault.open(person, person, "name", sealed) == user.title()
    assert await tell("user.deleted", {"id": f"user_{user}", "deleted": True}) == 200
    (member,) = await tenant.caller().every("/v1/members")
    assert (member["name"], member["email"]) == (None, None)
    assert backup_of_keys(whole, person) == []

    async def is_destroyed() -> bool:
        keyring.drop(person)
        async with session.post(
            f"{whole.at.tenancy_url}/internal/keys/read",
            json={"tenants": [str(person)]},
            headers={"Authorization": f"Bearer {whole.engines.credentials.keys_secret}"},
        ) as response:
            return bool((await response.json())["items"][0]["destroyed"])

    assert await is_destroyed()


async def test_the_public_api_leads_to_no_key(
    whole: System, session: aiohttp.ClientSession, new_tenant: Callable[[], Tenant]
) -> None:
    headers = {"Authorization": f"Bearer {whole.engines.credentials.keys_secret}"}
    for path in ("/internal/keys/read", "/internal/keys/offer"):
        for method in ("GET", "POST"):
            url = f"{whole.at.gateway_url}{path}"
            async with session.request(method, url, json={"tenants": [str(uuid4())]}, headers=headers) as response:
                assert response.status == 404
            for role in ("admin", "member", "viewer"):
                caller = new_tenant().caller("ana", role, url=whole.at.tenancy_url)
                answer = await caller.call(method, path, {"tenants": [str(uuid4())]})
                assert answer.status == (405 if method == "GET" else 401)
