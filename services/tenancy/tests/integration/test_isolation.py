"""Names are opened person by person. What holds for every table alike stands in `tests/isolation`."""

from uuid import UUID, uuid4

import psycopg
from services.tenancy.tests.conftest import Service, ask

from production_contracts.commands import RecordPerson
from production_contracts.members import person_id
from production_contracts.sealed import Sealed
from servicekit.clock import now


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
