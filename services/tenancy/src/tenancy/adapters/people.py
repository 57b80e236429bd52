"""Names and addresses of people in PostgreSQL: the one table that holds any, sealed. All SQL on it stands here.

A row's ``tenant_id`` is the person's own id: row-level security opens exactly the people in hand. The rows follow from
no events, so a rebuild leaves them alone.
"""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tenancy.domain.person import Person, Told

_LOAD = text("select * from people where tenant_id = any (cast(:people as uuid[]))")
_PUT = text("""
    insert into people (tenant_id, name, name_as_of, email, email_as_of, forgotten)
    select tenant_id, name::json, name_as_of, email::json, email_as_of, forgotten from unnest(
        cast(:people as uuid[]), cast(:names as text[]), cast(:name_times as timestamptz[]),
        cast(:emails as text[]), cast(:email_times as timestamptz[]), cast(:forgotten as boolean[])
    ) as n (tenant_id, name, name_as_of, email, email_as_of, forgotten)
    on conflict (tenant_id) do update
    set name = excluded.name, name_as_of = excluded.name_as_of, email = excluded.email,
        email_as_of = excluded.email_as_of, forgotten = excluded.forgotten
""")


def _person(row: Any) -> Person:  # noqa: ANN401 - a row of the table
    return Person(
        id=row.tenant_id,
        name=Told(sealed=row.name, as_of=row.name_as_of),
        email=Told(sealed=row.email, as_of=row.email_as_of),
        forgotten=row.forgotten,
    )


def _json(told: Told) -> str | None:
    return None if told.sealed is None else orjson.dumps(told.sealed).decode()


async def load(connection: AsyncConnection, people: Collection[UUID]) -> dict[UUID, Person]:
    """Load people to whom the transaction is open; who is not there is left out."""
    if not people:
        return {}
    return {row.tenant_id: _person(row) for row in await connection.execute(_LOAD, {"people": list(people)})}


async def put(connection: AsyncConnection, people: Sequence[Person]) -> None:
    """Store people as they are now, new or not."""
    if people:
        await connection.execute(
            _PUT,
            {
                "people": [person.id for person in people],
                "names": [_json(person.name) for person in people],
                "name_times": [person.name.as_of for person in people],
                "emails": [_json(person.email) for person in people],
                "email_times": [person.email.as_of for person in people],
                "forgotten": [person.forgotten for person in people],
            },
        )
