"""Members as they run: a removal is in force for commands under way, and a deleted tenant takes none."""

from datetime import timedelta

from services.tenancy.tests.conftest import Service, ask, eventually

from production_contracts.commands import CreateArtist, DeleteTenant, RecordMember, RecordTenant, RemoveMember
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
        ("Acme again", "deleted"),
    ]
    assert (await service.desk.do(ask(tenant, CreateArtist(name="Rosa")))).outcome.status == 403
    assert (await service.desk.do(ask(tenant, RemoveMember(sub="user_ana", as_of=now())))).outcome.status == 200


async def test_a_fact_that_is_not_allowed_to_a_member_is_refused(service: Service) -> None:
    command = ask(service.reader().tenant_id, DeleteTenant(as_of=now()), role=Role.MEMBER)
    assert (await service.desk.do(command)).outcome.status == 403
