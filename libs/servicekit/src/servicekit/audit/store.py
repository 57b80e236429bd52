"""The audit trail as it is stored: all SQL on the table ``audit``, and on where it stands in ``streams``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from production_contracts.events import Stream
from production_contracts.times import format_timestamp
from servicekit.audit.chain import Entered, Link, begin
from servicekit.statements import change

_APPEND = text("""
    insert into audit
        (tenant_id, sequence, at, actor, role, origin, operation, aggregate_id, command_id, data, status, outcome,
         position, events_digest, digest)
    select tenant_id, sequence, at, actor, role, origin::json, operation, aggregate_id, command_id, data::json, status,
        outcome, position, events_digest, digest
    from unnest(
        cast(:tenants as uuid[]), cast(:sequences as bigint[]), cast(:times as timestamptz[]),
        cast(:actors as text[]), cast(:roles as text[]), cast(:origins as text[]), cast(:operations as text[]),
        cast(:aggregates as uuid[]), cast(:commands as uuid[]), cast(:data as text[]), cast(:statuses as smallint[]),
        cast(:outcomes as text[]), cast(:positions as bigint[]), cast(:events as bytea[]), cast(:digests as bytea[])
    ) as n (tenant_id, sequence, at, actor, role, origin, operation, aggregate_id, command_id, data, status, outcome,
            position, events_digest, digest)
""")
_COLUMNS = """sequence, at, actor, role, origin, operation, aggregate_id, command_id, data, status, outcome, position,
    events_digest, digest"""
_AFTER = text(f"""
    select {_COLUMNS} from audit
    where tenant_id = :tenant and sequence > :after order by sequence limit :limit
""")  # noqa: S608 - the column list above
_AT = text(f"""
    select {_COLUMNS} from audit where tenant_id = :tenant and sequence = :sequence
""")  # noqa: S608 - the column list above
_STANDS = text("""
    select position, audited, audited_digest, audited_from from streams where tenant_id = :tenant
""")
_OUTCOMES = text("""
    select l.command_id, l.actor, l.status, l.position, l.audited
    from unnest(cast(:commands as uuid[])) as q (command_id)
    cross join lateral (
        select * from command_log c where c.tenant_id = :tenant and c.command_id = q.command_id offset 0
    ) l
""")
_UNENTERED = text("""
    select l.command_id, l.audited from command_log l
    where l.tenant_id = :tenant and l.audited > :after and not exists (
        select from audit a
        where a.tenant_id = :tenant and a.sequence = l.audited and a.command_id = l.command_id
    ) order by l.audited limit :limit
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What the command log says of a command: whose entry is ``sequence``."""

    actor: str
    status: int
    position: int
    sequence: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where ``streams`` says that a tenant's trail begins and ends; `end.position` is the head of the stream."""

    begins: Link
    end: Link


async def append(connection: AsyncConnection, entered: Sequence[Entered]) -> None:
    """Write entries; one that is there already raises an IntegrityError."""
    await change(
        connection,
        _APPEND,
        {
            "tenants": [one.decided.tenant_id for one in entered],
            "sequences": [one.sequence for one in entered],
            "times": [one.decided.at for one in entered],
            "actors": [one.decided.actor for one in entered],
            "roles": [one.asked.role for one in entered],
            "origins": [_json(one.asked.origin) for one in entered],
            "operations": [one.asked.operation for one in entered],
            "aggregates": [one.asked.aggregate_id for one in entered],
            "commands": [one.decided.command_id for one in entered],
            "data": [_json(one.asked.data) for one in entered],
            "statuses": [one.decided.status for one in entered],
            "outcomes": [one.decided.outcome for one in entered],
            "positions": [one.decided.position for one in entered],
            "events": [None if one.events_digest is None else bytes.fromhex(one.events_digest) for one in entered],
            "digests": [one.digest for one in entered],
        },
    )


def _json(value: Any) -> str | None:  # noqa: ANN401 - whatever was asked
    return None if value is None else orjson.dumps(value).decode()


async def entries_after(
    connection: AsyncConnection, stream: Stream, tenant_id: UUID, after: int, limit: int
) -> list[dict[str, Any]]:
    """Read a tenant's entries past a sequence, in order, as JSON objects of `audit.AuditEntry`."""
    rows = await connection.execute(_AFTER, {"tenant": tenant_id, "after": after, "limit": limit})
    return [entry_of(row, stream) for row in rows]


async def entry_at(
    connection: AsyncConnection, stream: Stream, tenant_id: UUID, sequence: int
) -> dict[str, Any] | None:
    """Read one entry, if it is there."""
    row = (await connection.execute(_AT, {"tenant": tenant_id, "sequence": sequence})).one_or_none()
    return None if row is None else entry_of(row, stream)


async def standing(connection: AsyncConnection, stream: Stream, tenant_id: UUID) -> Standing:
    """Tell where a tenant's trail begins and ends; of a tenant to whom nothing has happened at nothing."""
    row = (await connection.execute(_STANDS, {"tenant": tenant_id})).one_or_none()
    if row is None:
        nothing = begin(stream, tenant_id, 0)
        return Standing(begins=nothing, end=nothing)
    begins = begin(stream, tenant_id, row.audited_from)
    digest = begins.digest if row.audited_digest is None else row.audited_digest
    return Standing(begins=begins, end=Link(sequence=row.audited, digest=digest, position=row.position))


async def outcomes_of(connection: AsyncConnection, tenant_id: UUID, commands: Sequence[str]) -> dict[str, Outcome]:
    """Find the outcomes of commands in the log; those that are forgotten are left out."""
    rows = await connection.execute(_OUTCOMES, {"tenant": tenant_id, "commands": [UUID(one) for one in commands]})
    return {
        str(row.command_id): Outcome(actor=row.actor, status=row.status, position=row.position, sequence=row.audited)
        for row in rows
    }


async def unentered(connection: AsyncConnection, tenant_id: UUID, after: int, limit: int) -> list[tuple[int, UUID]]:
    """Find commands whose outcome names an entry past a sequence that is not there, or is another command's."""
    rows = await connection.execute(_UNENTERED, {"tenant": tenant_id, "after": after, "limit": limit})
    return [(row.audited, row.command_id) for row in rows]


def entry_of(row: Any, stream: str) -> dict[str, Any]:  # noqa: ANN401 - a row of the columns above
    """Write a row of the trail as the JSON object of `audit.AuditEntry`, as it was hashed."""
    finer = row.at.microsecond % 1000  # we write none: a time that has been changed by less than we tell shows too
    return {
        "stream": stream,
        "sequence": row.sequence,
        "at": row.at.isoformat() if finer else format_timestamp(row.at),
        "actor": row.actor,
        "role": row.role,
        "origin": row.origin,
        "operation": row.operation,
        "aggregate_id": None if row.aggregate_id is None else str(row.aggregate_id),
        "command_id": str(row.command_id),
        "data": row.data,
        "status": row.status,
        "outcome": row.outcome,
        "position": row.position,
        "events_digest": None if row.events_digest is None else row.events_digest.hex(),
        "digest": row.digest.hex(),
    }
