"""Members and invitations in PostgreSQL: projections of the events. All SQL on them stands here, as in `roster`."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tenancy.domain.member import Invitation, Member, Standing

Key = tuple[UUID, str]
"""A tenant, and the provider's id of a user or an invitation."""

_MEMBER = "tenant_id, id, role, status, as_of, joined_at, removed_at, version, position, updated_at"
_INVITATION = "tenant_id, id, role, status, as_of, version, position, updated_at"

_LOAD_MEMBERS = text("""
    select m.* from unnest(cast(:tenants as uuid[]), cast(:ids as text[])) as q (tenant_id, id)
    cross join lateral (select * from members where members.tenant_id = q.tenant_id and members.id = q.id offset 0) m
""")
_LOAD_INVITATIONS = text("""
    select i.* from unnest(cast(:tenants as uuid[]), cast(:ids as text[])) as q (tenant_id, id)
    cross join lateral (
        select * from invitations where invitations.tenant_id = q.tenant_id and invitations.id = q.id offset 0
    ) i
""")
_PUT_MEMBERS = text(f"""
    insert into members ({_MEMBER})
    select * from unnest(
        cast(:tenants as uuid[]), cast(:ids as text[]), cast(:roles as text[]), cast(:statuses as text[]),
        cast(:times as timestamptz[]), cast(:joined as timestamptz[]), cast(:removed as timestamptz[]),
        cast(:versions as integer[]), cast(:positions as bigint[]), cast(:updated as timestamptz[])
    )
    on conflict (tenant_id, id) do update
    set role = excluded.role, status = excluded.status, as_of = excluded.as_of, joined_at = excluded.joined_at,
        removed_at = excluded.removed_at, version = excluded.version, position = excluded.position,
        updated_at = excluded.updated_at
""")  # noqa: S608 - the column list above
_PUT_INVITATIONS = text(f"""
    insert into invitations ({_INVITATION})
    select * from unnest(
        cast(:tenants as uuid[]), cast(:ids as text[]), cast(:roles as text[]), cast(:statuses as text[]),
        cast(:times as timestamptz[]), cast(:versions as integer[]), cast(:positions as bigint[]),
        cast(:updated as timestamptz[])
    )
    on conflict (tenant_id, id) do update
    set role = excluded.role, status = excluded.status, as_of = excluded.as_of, version = excluded.version,
        position = excluded.position, updated_at = excluded.updated_at
""")  # noqa: S608 - as above
_PAGE = text(f"""
    select {_MEMBER} from members
    where tenant_id = :tenant and status = 'active' and id > :after order by id limit :limit
""")  # noqa: S608 - as above
_ALL_MEMBERS = text(f"select {_MEMBER} from members where tenant_id = :tenant")  # noqa: S608 - as above
_ALL_INVITATIONS = text(f"select {_INVITATION} from invitations where tenant_id = :tenant")  # noqa: S608 - as above
_REMOVE_MEMBERS = text("delete from members where tenant_id = :tenant")
_REMOVE_INVITATIONS = text("delete from invitations where tenant_id = :tenant")


def _member(row: Any) -> Member:  # noqa: ANN401 - a row of the columns above
    return Member(
        id=row.id,
        role=row.role,
        status=Standing(row.status),
        as_of=row.as_of,
        joined_at=row.joined_at,
        removed_at=row.removed_at,
        version=row.version,
        position=row.position,
        updated_at=row.updated_at,
    )


def _invitation(row: Any) -> Invitation:  # noqa: ANN401 - a row of the columns above
    return Invitation(
        id=row.id,
        role=row.role,
        status=row.status,
        as_of=row.as_of,
        version=row.version,
        position=row.position,
        updated_at=row.updated_at,
    )


async def load_members(connection: AsyncConnection, keys: Iterable[Key]) -> dict[Key, Member]:
    """Load memberships; what is not there is left out."""
    wanted = list(keys)
    if not wanted:
        return {}
    asked = {"tenants": [tenant for tenant, _ in wanted], "ids": [one for _, one in wanted]}
    return {(row.tenant_id, row.id): _member(row) for row in await connection.execute(_LOAD_MEMBERS, asked)}


async def load_invitations(connection: AsyncConnection, keys: Iterable[Key]) -> dict[Key, Invitation]:
    """Load invitations; what is not there is left out."""
    wanted = list(keys)
    if not wanted:
        return {}
    asked = {"tenants": [tenant for tenant, _ in wanted], "ids": [one for _, one in wanted]}
    return {(row.tenant_id, row.id): _invitation(row) for row in await connection.execute(_LOAD_INVITATIONS, asked)}


async def put_members(connection: AsyncConnection, members: Sequence[tuple[UUID, Member]]) -> None:
    """Store memberships with their tenants as they are now, new or not."""
    if members:
        await connection.execute(
            _PUT_MEMBERS,
            {
                "tenants": [tenant for tenant, _ in members],
                "ids": [member.id for _, member in members],
                "roles": [member.role for _, member in members],
                "statuses": [member.status.value for _, member in members],
                "times": [member.as_of for _, member in members],
                "joined": [member.joined_at for _, member in members],
                "removed": [member.removed_at for _, member in members],
                "versions": [member.version for _, member in members],
                "positions": [member.position for _, member in members],
                "updated": [member.updated_at for _, member in members],
            },
        )


async def put_invitations(connection: AsyncConnection, invitations: Sequence[tuple[UUID, Invitation]]) -> None:
    """Store invitations with their tenants as they are now, new or not."""
    if invitations:
        await connection.execute(
            _PUT_INVITATIONS,
            {
                "tenants": [tenant for tenant, _ in invitations],
                "ids": [invitation.id for _, invitation in invitations],
                "roles": [invitation.role for _, invitation in invitations],
                "statuses": [invitation.status for _, invitation in invitations],
                "times": [invitation.as_of for _, invitation in invitations],
                "versions": [invitation.version for _, invitation in invitations],
                "positions": [invitation.position for _, invitation in invitations],
                "updated": [invitation.updated_at for _, invitation in invitations],
            },
        )


async def page(connection: AsyncConnection, tenant_id: UUID, *, after: str, limit: int) -> list[Member]:
    """Read up to ``limit`` members past an id, in order of id; those removed are not among them."""
    asked = {"tenant": tenant_id, "after": after, "limit": limit}
    return [_member(row) for row in await connection.execute(_PAGE, asked)]


async def all_members(connection: AsyncConnection, tenant_id: UUID) -> list[Member]:
    """Read all memberships of a tenant, tombstones too."""
    return [_member(row) for row in await connection.execute(_ALL_MEMBERS, {"tenant": tenant_id})]


async def all_invitations(connection: AsyncConnection, tenant_id: UUID) -> list[Invitation]:
    """Read all invitations of a tenant."""
    return [_invitation(row) for row in await connection.execute(_ALL_INVITATIONS, {"tenant": tenant_id})]


async def remove(connection: AsyncConnection, tenant_id: UUID) -> None:
    """Remove a tenant's memberships and invitations, so that they can be made anew."""
    await connection.execute(_REMOVE_MEMBERS, {"tenant": tenant_id})
    await connection.execute(_REMOVE_INVITATIONS, {"tenant": tenant_id})
