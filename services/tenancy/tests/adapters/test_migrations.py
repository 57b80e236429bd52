"""A database of before knows, once it is migrated, whose tenants are deleted."""

from collections.abc import Callable
from uuid import uuid4

import psycopg

from local_stack.databases import Database as FreshDatabase
from servicekit.migrate import upgrade

BEFORE = "0003"
TENANT = "insert into tenants (tenant_id, version, position, created_at, status) values (%s, 1, 1, now(), %s)"


def test_tenants_that_were_deleted_before_are_marked_each_by_itself(
    fresh_database: Callable[..., FreshDatabase],
) -> None:
    deleted, active, person = uuid4(), uuid4(), uuid4()
    with fresh_database("tenancy", migrated=False) as database:
        upgrade("tenancy", database.owner_url, BEFORE)
        with psycopg.connect(database.superuser_dsn, autocommit=True) as connection:
            for tenant, status in ((deleted, "deleted"), (active, "active")):
                connection.execute(TENANT, (tenant, status))
            for stream in (deleted, active, person):
                connection.execute("insert into streams (tenant_id, position) values (%s, 1)", (stream,))
        upgrade("tenancy", database.owner_url)
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            found = connection.execute("select tenant_id from streams where deleted").fetchall()
    assert found == [(deleted,)]
