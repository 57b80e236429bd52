"""The audit trail of tenancy: members, webhooks' facts, people and what a job decides."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from services.tenancy.tests.conftest import Reader, Service, ask
from services.tenancy.tests.integration.test_reconcile import House, reconciled

from local_stack.clerk_api import Books, ClerkServer
from production_contracts.commands import CreateArtist, ForgetPerson, RecordMember, RecordPerson, RefusedTenancyCall
from production_contracts.members import person_id
from production_contracts.roles import Role
from production_contracts.sealed import Sealed
from servicekit.audit import verification
from servicekit.audit.verification import Report
from servicekit.clock import now
from servicekit.database import Database


async def verified(service: Service, tenant: UUID) -> Report:
    database = Database(service.database.url, pool_size=1)
    try:
        return await verification.verify(database, "tenancy", tenant_id=tenant)
    finally:
        await database.stop()


async def trail(reader: Reader) -> list[dict[str, Any]]:
    status, page, _ = await reader.get("/v1/audit", role="admin")
    assert status == 200
    items: list[dict[str, Any]] = page["items"]
    return items


async def test_what_was_decided_for_a_tenant_is_on_record_and_verified(service: Service) -> None:
    reader = service.reader()
    tenant = reader.tenant_id
    await service.desk.do(ask(tenant, CreateArtist(name="Ana")))
    await service.desk.do(ask(tenant, CreateArtist(name="Ben"), role=Role.VIEWER))
    await service.desk.do(ask(tenant, RecordMember(sub="user_ben", role=Role.MEMBER, as_of=now())))
    call = ask(tenant, RefusedTenancyCall(operation="POST /v1/artists"), tenant, role=Role.MEMBER)
    assert (await service.desk.do(call)).outcome.status == 403
    assert [(one["operation"], one["outcome"], one["position"]) for one in await trail(reader)] == [
        ("production.artist.create.v1", "accepted", 2),
        ("production.artist.create.v1", "forbidden", 2),
        ("production.member.record.v1", "accepted", 3),
        ("POST /v1/artists", "forbidden", 3),
    ]
    report = await verified(service, tenant)
    assert (report.entries, report.flaws) == (4, {})
    status, body, _ = await reader.get("/v1/audit", role="member")
    assert (status, body["type"]) == (403, "/problems/forbidden")


async def test_a_refused_call_founds_no_tenant(service: Service) -> None:
    reader = service.reader()
    await service.desk.do(ask(reader.tenant_id, RefusedTenancyCall(operation="POST /v1/artists"), reader.tenant_id))
    assert (await reader.get("/v1/tenant"))[0] == 404
    assert len(await trail(reader)) == 1


async def test_a_persons_trail_is_the_persons_own_and_holds_names_sealed_alone(service: Service) -> None:
    person = person_id(UUID(int=0), uuid4().hex)
    name = Sealed(kid="k", ct="ciphertext")
    await service.desk.do(ask(person, RecordPerson(sub="x", name=name, as_of=now())))
    await service.desk.do(ask(person, ForgetPerson(sub="x", as_of=now())))
    rows = service.look("select data from audit where tenant_id = %s order by sequence", person)
    assert [row[0].get("name") for row in rows] == [name.model_dump(), None]
    assert (await verified(service, person)).flaws == {}


@pytest.fixture
def books() -> Books:
    return Books()


async def test_what_the_job_mends_is_on_record_as_its_own(service: Service, books: Books) -> None:
    house = House(books, service)
    house.joins("user_ana", "admin")
    with ClerkServer(books, secret_key="sk_test") as server:
        await reconciled(service, server)
    rows = service.look("select actor, origin from audit where tenant_id = %s", house.tenant)
    assert {actor for actor, _ in rows} == {"reconcile"}
    assert all(origin["channel"] == "job" for _, origin in rows)
    assert (await verified(service, house.tenant)).flaws == {}
