"""Tenants and artists in PostgreSQL: projections of the events. All SQL on them stands here.

What decides works on arrays, for all tenants of a batch at once, under the locks of their streams; what reads names its
one tenant besides the policy.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from servicekit.looks import Look
from tenancy.domain.artist import Artist, Status
from tenancy.domain.tenant import Tenant, TenantStatus

Key = tuple[UUID, UUID]
"""A tenant and the id of an artist of it."""

_COLUMNS = "tenant_id, id, name, time_zone, status, version, position, created_by, created_at, updated_at"

_TENANT_COLUMNS = "tenant_id, org_id, name, slug, status, as_of, version, position, created_at, updated_at"

_LOAD_TENANTS = text(f"""
    select {_TENANT_COLUMNS} from tenants where tenant_id = any (cast(:tenants as uuid[]))
""")  # noqa: S608 - the column list above
_LOAD = text("""
    select a.* from unnest(cast(:tenants as uuid[]), cast(:ids as uuid[])) as q (tenant_id, id)
    cross join lateral (select * from artists where artists.tenant_id = q.tenant_id and artists.id = q.id) a
""")
_PUT_TENANTS = text(f"""
    insert into tenants ({_TENANT_COLUMNS})
    select * from unnest(
        cast(:tenants as uuid[]), cast(:orgs as text[]), cast(:names as text[]), cast(:slugs as text[]),
        cast(:statuses as text[]), cast(:times as timestamptz[]), cast(:versions as integer[]),
        cast(:positions as bigint[]), cast(:created as timestamptz[]), cast(:updated as timestamptz[])
    )
    on conflict (tenant_id) do update
    set org_id = excluded.org_id, name = excluded.name, slug = excluded.slug, status = excluded.status,
        as_of = excluded.as_of, version = excluded.version, position = excluded.position,
        updated_at = excluded.updated_at
""")  # noqa: S608 - the column list above
_PUT_ARTISTS = text(f"""
    insert into artists ({_COLUMNS})
    select * from unnest(
        cast(:tenants as uuid[]), cast(:ids as uuid[]), cast(:names as text[]), cast(:zones as text[]),
        cast(:statuses as text[]), cast(:versions as integer[]), cast(:positions as bigint[]),
        cast(:creators as text[]), cast(:created as timestamptz[]), cast(:updated as timestamptz[])
    )
    on conflict (tenant_id, id) do update
    set name = excluded.name, time_zone = excluded.time_zone, status = excluded.status, version = excluded.version,
        position = excluded.position, updated_at = excluded.updated_at
""")  # noqa: S608 - the column list above
_ONE_TENANT = f"select {_TENANT_COLUMNS} from tenants where tenant_id = :tenant"  # noqa: S608 - as above
_TENANT = text(_ONE_TENANT)
TENANT = Look(_ONE_TENANT)
"""The tenant itself, for `tenant_of`."""
ARTIST = Look(f"select {_COLUMNS} from artists where tenant_id = :tenant and id = :id")  # noqa: S608 - as above
"""One artist, by ``id``, for `artist_of`."""
_ALL_ARTISTS = text(f"select {_COLUMNS} from artists where tenant_id = :tenant")  # noqa: S608 - as above
PAGE = Look(f"""
    select {_COLUMNS} from artists
    where tenant_id = :tenant and (name, id) > (:after_name, cast(:after_id as uuid))
      and (cast(:status as text) is null or status = :status)
    order by name, id limit :limit
""")  # noqa: S608 - the column list above
"""Up to ``limit`` artists past a (name, id), in that order; with a ``status`` those of it only."""
_REMOVE_ARTISTS = text("delete from artists where tenant_id = :tenant")
_REMOVE_TENANT = text("delete from tenants where tenant_id = :tenant")

BEFORE_ALL: tuple[str, UUID] = ("", UUID(int=0))
"""A (name, id) that comes before every artist's."""


def artist_of(row: Any) -> Artist:  # noqa: ANN401 - a row of the columns above
    """Read an artist from its row."""
    return Artist(
        id=row.id,
        name=row.name,
        time_zone=row.time_zone,
        status=Status(row.status),
        version=row.version,
        position=row.position,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def tenant_of(row: Any) -> Tenant:  # noqa: ANN401 - a row of the columns above
    """Read a tenant from its row."""
    return Tenant(
        id=row.tenant_id,
        org_id=row.org_id,
        name=row.name,
        slug=row.slug,
        status=TenantStatus(row.status),
        as_of=row.as_of,
        version=row.version,
        position=row.position,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


async def load_tenants(connection: AsyncConnection, tenants: Collection[UUID]) -> dict[UUID, Tenant]:
    """Load those of these tenants that there are."""
    rows = await connection.execute(_LOAD_TENANTS, {"tenants": list(tenants)})
    return {row.tenant_id: tenant_of(row) for row in rows}


async def load(connection: AsyncConnection, keys: Iterable[Key]) -> dict[Key, Artist]:
    """Load artists by (tenant, id); what is not there is left out."""
    wanted = list(keys)
    asked = {"tenants": [tenant for tenant, _ in wanted], "ids": [artist for _, artist in wanted]}
    return {(row.tenant_id, row.id): artist_of(row) for row in await connection.execute(_LOAD, asked)}


async def put_tenants(connection: AsyncConnection, tenants: Sequence[Tenant]) -> None:
    """Store tenants as they are now, new or not."""
    if tenants:
        await connection.execute(
            _PUT_TENANTS,
            {
                "tenants": [tenant.id for tenant in tenants],
                "orgs": [tenant.org_id for tenant in tenants],
                "names": [tenant.name for tenant in tenants],
                "slugs": [tenant.slug for tenant in tenants],
                "statuses": [tenant.status.value for tenant in tenants],
                "times": [tenant.as_of for tenant in tenants],
                "versions": [tenant.version for tenant in tenants],
                "positions": [tenant.position for tenant in tenants],
                "created": [tenant.created_at for tenant in tenants],
                "updated": [tenant.updated_at for tenant in tenants],
            },
        )


async def put_artists(connection: AsyncConnection, artists: Sequence[tuple[UUID, Artist]]) -> None:
    """Store artists with their tenants as they are now, new or not."""
    if artists:
        await connection.execute(
            _PUT_ARTISTS,
            {
                "tenants": [tenant for tenant, _ in artists],
                "ids": [artist.id for _, artist in artists],
                "names": [artist.name for _, artist in artists],
                "zones": [artist.time_zone for _, artist in artists],
                "statuses": [artist.status.value for _, artist in artists],
                "versions": [artist.version for _, artist in artists],
                "positions": [artist.position for _, artist in artists],
                "creators": [artist.created_by for _, artist in artists],
                "created": [artist.created_at for _, artist in artists],
                "updated": [artist.updated_at for _, artist in artists],
            },
        )


async def tenant(connection: AsyncConnection, tenant_id: UUID) -> Tenant | None:
    """Read a tenant."""
    row = (await connection.execute(_TENANT, {"tenant": tenant_id})).one_or_none()
    return None if row is None else tenant_of(row)


async def all_artists(connection: AsyncConnection, tenant_id: UUID) -> list[Artist]:
    """Read all artists of a tenant."""
    return [artist_of(row) for row in await connection.execute(_ALL_ARTISTS, {"tenant": tenant_id})]


async def remove(connection: AsyncConnection, tenant_id: UUID) -> None:
    """Remove a tenant's projection, so that it can be made anew."""
    await connection.execute(_REMOVE_ARTISTS, {"tenant": tenant_id})
    await connection.execute(_REMOVE_TENANT, {"tenant": tenant_id})
