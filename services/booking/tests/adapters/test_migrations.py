"""A database of before tells the past, once it is migrated, and reads from the roster's topic who is deleted."""

from collections.abc import Callable
from uuid import uuid4

import psycopg

from local_stack.databases import Database as FreshDatabase
from servicekit.migrate import upgrade

BEFORE = "0002"
EVENT = """
    insert into events (id, aggregate_id, event_type, event_data, version, tenant_id, position, actor, command_id)
    values (gen_random_uuid(), %s, 'BookingCreated', jsonb_build_object(
        'artist_id', %s::text, 'status', 'pencil',
        'start_time', '2027-05-08T20:00:00.000Z', 'end_time', '2027-05-08T23:30:00.000Z'
    ), 1, %s, 1, 'user_ana', gen_random_uuid())
"""


def test_events_of_before_are_found_by_when_their_bookings_start(fresh_database: Callable[..., FreshDatabase]) -> None:
    tenant, booking, artist = uuid4(), uuid4(), uuid4()
    with fresh_database("booking", migrated=False) as database:
        upgrade("booking", database.owner_url, BEFORE)
        with psycopg.connect(database.superuser_dsn, autocommit=True) as connection:
            connection.execute("insert into streams (tenant_id, position) values (%s, 1)", (tenant,))
            connection.execute(EVENT, (booking, str(artist), tenant))
            connection.execute("insert into roster_offsets values (3, 17)")
        upgrade("booking", database.owner_url)
        with psycopg.connect(database.superuser_dsn, autocommit=True) as connection:
            ((starts, ends, of, status),) = connection.execute("select starts, ends, artist_id, status from events")
            offsets = connection.execute("select * from roster_offsets").fetchall()
            heads = connection.execute("select position, last_at, deleted from streams").fetchall()
    assert (starts, ends) == ("2027-05-08T20:00:00.000Z", "2027-05-08T23:30:00.000Z")
    assert (of, status) == (artist, "pencil")
    assert offsets == [], "the roster is read once more: it tells which tenants are deleted"
    assert heads == [(1, None, False)]
