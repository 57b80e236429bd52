"""Members as they run: a removal is in force for commands under way, and a deleted tenant takes none."""

from datetime import timedelta

from services.tenancy.tests.conftest import Service, ask, eventually

from production_contracts.commands import (
    CloseTenant,
    CreateArtist,
    DeleteTenant,
    RecordMember,
    RecordTenant,
    RemoveMember,
)
from production_contracts.records import Record
from production_contracts.roles import Role
from servicekit.clock import now


async def test_a_command_of_who_was_removed_meanwhile_is_refused_where_it_is_decided(service: Service) -> None:
    tenant = service.reader().tenant_id
    joined = RecordMember(sub="user_ana", role=Role.ADMIN, joined_at=now(), as_of=now() - timedelta(minutes=1))
    for data in (joined, CreateArtist(name="Rosa"), RemoveMember(sub="user_ana", as_of=now())):
        assert (await service.desk.do(ask(tenant, data))).outcome.status in {200, 201}

    async def is_refused() -> bool:
        outcome = (await service.desk.do(ask(tenant, CreateArtist(name="Rosa")))).outcome
        return (outcome.status, outcome.body["type"]) == (403, "/problems/forbidden") if outcome.status > 299 else False

    await eventually(is_refused, "commands of a token of before the removal are refused")
    assert (await service.desk.do(ask(tenant, joined))).outcome.body["status"] == "removed"


async def test_a_deleted_tenant_takes_no_command_of_its_users_from_then_on(service: Service) -> None:
    tenant = service.reader().tenant_id
    told: list[Record] = [
        RecordTenant(org_id="org_x", name="Acme", as_of=now()),
        DeleteTenant(as_of=now()),
        RecordTenant(org_id="org_x", name="Acme again", as_of=now() + timedelta(days=1)),
    ]
    bodies = [(await service.desk.do(ask(tenant, data))).outcome.body for data in told]
    assert [(body["name"], body["status"]) for body in bodies] == [
        ("Acme", "active"),
        ("Acme", "deleted"),
        ("Acme", "deleted"),
    ]
    assert (await service.desk.do(ask(tenant, CreateArtist(name="Rosa")))).outcome.status == 403
    assert (await service.desk.do(ask(tenant, RemoveMember(sub="user_ana", as_of=now())))).outcome.status == 200


async def test_an_owner_who_deletes_the_tenant_ends_it_for_good(service: Service) -> None:
    reader = service.reader()
    tenant = reader.tenant_id
    assert (await service.desk.do(ask(tenant, CreateArtist(name="Rosa")))).outcome.status == 201
    for role in (Role.MEMBER, Role.VIEWER):
        refused = (await service.desk.do(ask(tenant, CloseTenant(), role=role))).outcome
        assert (refused.status, refused.body["detail"]) == (403, "this needs the permission tenant:delete")
    closing = ask(tenant, CloseTenant())
    deleted = (await service.desk.do(closing)).outcome
    assert (deleted.status, deleted.body["status"]) == (200, "deleted")
    await service.desk.send(closing)
    assert (await service.desk.replied(closing, 2)).outcome == deleted, "a redelivered command has the outcome it had"
    for order in (CreateArtist(name="Bea"), CloseTenant()):
        assert (await service.desk.do(ask(tenant, order))).outcome.status == 403
    late: list[Record] = [
        RecordTenant(org_id="org_x", name="Acme", as_of=now()),
        RecordMember(sub="user_ana", role=Role.ADMIN, as_of=now()),
        DeleteTenant(as_of=now()),
    ]
    for data in late:
        assert (await service.desk.do(ask(tenant, data))).outcome.body["status"] == "deleted"
    assert service.look("select event_type from events where tenant_id = %s order by position", tenant) == [
        ("TenantCreated",),
        ("ArtistCreated",),
        ("TenantDeleted",),
    ]
    assert service.look("select deleted from streams where tenant_id = %s", tenant) == [(True,)]
    for path in ("/v1/tenant", "/v1/artists", "/v1/members", "/v1/events", "/v1/head"):
        status, body, _ = await reader.get(path)
        assert (status, body["type"]) == (403, "/problems/forbidden")


async def test_an_order_of_who_was_removed_meanwhile_deletes_nothing(service: Service) -> None:
    tenant = service.reader().tenant_id
    for data in (CreateArtist(name="Rosa"), RemoveMember(sub="user_ana", as_of=now())):
        assert (await service.desk.do(ask(tenant, data))).outcome.status in {200, 201}

    async def is_refused() -> bool:
        return (await service.desk.do(ask(tenant, CreateArtist(name="Bea")))).outcome.status == 403

    await eventually(is_refused, "the removal is in force")
    assert (await service.desk.do(ask(tenant, CloseTenant()))).outcome.status == 403
    assert service.look("select deleted from streams where tenant_id = %s", tenant) == [(False,)]


async def test_a_fact_that_is_not_allowed_to_a_member_is_refused(service: Service) -> None:
    command = ask(service.reader().tenant_id, DeleteTenant(as_of=now()), role=Role.MEMBER)
    assert (await service.desk.do(command)).outcome.status == 403
