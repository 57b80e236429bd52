"""Row-level security, seen by the serving role itself."""

from uuid import UUID, uuid4

import psycopg
import pytest
from services.tenancy.tests.conftest import Service, ask

from production_contracts.commands import CreateArtist, RecordInvitation, RecordMember, RecordPerson
from production_contracts.members import person_id
from production_contracts.roles import Role
from production_contracts.sealed import Sealed
from servicekit.clock import now
from servicekit.masters import WrappedKey

TABLES = ("tenants", "artists", "members", "invitations", "events", "command_log", "data_keys", "audit")
FACTS = (
    RecordMember(sub="user_ana", role=Role.ADMIN, as_of=now()),
    RecordInvitation(invitation="inv", status="pending", as_of=now()),
)


async def test_without_a_tenant_in_hand_nothing_is_read_and_with_one_its_own(service: Service) -> None:
    mine, other = service.reader().tenant_id, service.reader().tenant_id
    for tenant in (mine, other):
        for data in (CreateArtist(name="Ana"), *FACTS):
            await service.desk.do(ask(tenant, data))
        await service.offer(WrappedKey(tenant_id=tenant, kid="k", master="m", wrapped="w"))
    with psycopg.connect(service.database.dsn) as connection:
        for table in TABLES:
            assert connection.execute(f"select count(*) from {table}".encode()).fetchone() == (0,)  # noqa: S608
        connection.execute("select set_config('app.tenant_ids', %s, true)", ("{" + str(mine) + "}",))
        for table in TABLES:
            seen = connection.execute(f"select distinct tenant_id from {table}".encode()).fetchall()  # noqa: S608
            assert seen == [(mine,)]
        connection.commit()
        assert connection.execute("select count(*) from artists").fetchone() == (0,)


async def test_names_are_read_of_exactly_the_people_in_hand(service: Service) -> None:
    people = [person_id(UUID(int=0), uuid4().hex) for _ in range(2)]
    for person in people:
        name = RecordPerson(sub="x", name=Sealed(kid="k", ct="c"), as_of=now())
        assert (await service.desk.do(ask(person, name))).outcome.body == {"id": str(person)}
    tenant = service.reader().tenant_id
    with psycopg.connect(service.database.dsn) as connection:
        for opened, seen in (([], []), ([tenant], []), ([tenant, people[0]], [(people[0],)])):
            hand = "{" + ",".join(map(str, opened)) + "}"
            connection.execute("select set_config('app.tenant_ids', %s, true)", (hand,))
            assert connection.execute("select tenant_id from people").fetchall() == seen
    assert service.look("select count(*) from events where tenant_id = any (%s)", people) == [(0,)]


async def test_nothing_is_written_for_a_tenant_that_is_not_in_hand(service: Service) -> None:
    mine, other = service.reader().tenant_id, service.reader().tenant_id
    with psycopg.connect(service.database.dsn) as connection:
        connection.execute("select set_config('app.tenant_ids', %s, true)", ("{" + str(mine) + "}",))
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            connection.execute("insert into tenants values (%s, 1, 1, now())", (other,))


def test_the_owner_of_the_tables_is_bound_as_well(service: Service) -> None:
    with psycopg.connect(service.database.owner_dsn) as connection:
        for table in TABLES:
            assert connection.execute(f"select count(*) from {table}".encode()).fetchone() == (0,)  # noqa: S608
