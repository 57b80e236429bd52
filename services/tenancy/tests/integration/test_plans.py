"""What PostgreSQL makes of the reads under the serving role, whose policy hides what is no leakproof condition."""

import re
from uuid import UUID, uuid4

import psycopg
from services.tenancy.tests.conftest import Service

from servicekit.looks import Look
from tenancy.adapters import data_keys, roster


def _explain(service: Service, statement: str, **values: object) -> str:
    with psycopg.connect(service.database.dsn) as connection:
        connection.execute("select set_config('app.tenant_ids', %s, true)", ("{" + str(values["tenant"]) + "}",))
        for name in sorted(values, key=len, reverse=True):
            statement = statement.replace(f":{name}", f"%({name})s")
        rows = connection.execute(f"explain {statement}".encode(), values).fetchall()
        return "\n".join(row[0] for row in rows)


def _look(service: Service, asked: Look, tenant: UUID, **values: object) -> str:
    statement = re.sub(r"\$(\d+)", r"%(p\1)s", asked.statement)
    given = {f"p{number}": value for number, value in enumerate(asked.arguments(tenant, values), start=1)}
    with psycopg.connect(service.database.dsn) as connection:
        rows = connection.execute(f"explain analyze {statement}".encode(), given).fetchall()
        return "\n".join(row[0] for row in rows)


async def test_a_page_of_a_long_roster_is_read_in_the_order_of_its_index(service: Service) -> None:
    tenants = uuid4(), uuid4()
    for tenant in tenants:
        service.look(
            """
            insert into artists
            select %s, gen_random_uuid(), 'Artist ' || n, null, 'active', 1, n, 'user_ana', now(), now()
            from generate_series(1, 5000) n returning 1
            """,
            tenant,
        )
    with psycopg.connect(service.database.superuser_dsn, autocommit=True) as connection:
        connection.execute("analyze artists")
    page = {"after_name": "Artist 4", "after_id": uuid4(), "status": None, "limit": 51}
    plan = _look(service, roster.PAGE, tenants[0], **page)
    for tenant in tenants:
        service.look("delete from artists where tenant_id = %s returning 1", tenant)
    assert "Index Scan using artists_by_name" in plan, plan
    assert "Sort" not in plan, plan


async def test_the_keys_of_a_page_of_people_are_found_by_their_index_among_many(service: Service) -> None:
    fill = (
        "insert into data_keys select gen_random_uuid(), 'k' || n, 'plan', 'w', true from generate_series(1, 20000) n"
    )
    with service.superuser() as connection:
        connection.execute(fill)
        connection.execute("analyze data_keys")
        found = connection.execute("select tenant_id from data_keys where master = 'plan' limit 200").fetchall()
        people = [person for (person,) in found]
        plan = _explain(service, data_keys._READ.text, tenant=people[0], tenants=people)
        connection.execute("delete from data_keys where master = 'plan'")
        connection.execute("analyze data_keys")
    assert "data_keys_pkey" in plan, plan
    assert "Seq Scan on data_keys" not in plan, plan
