"""Tenants and artists as JSON, in outcomes, events and answers; and back from it."""

from typing import Any

from production_contracts import artists
from production_contracts.times import format_timestamp
from tenancy.domain.artist import Artist, Status
from tenancy.domain.tenant import Tenant


def tenant_json(tenant: Tenant) -> dict[str, Any]:
    """Write a tenant."""
    return {
        "id": str(tenant.id),
        "version": tenant.version,
        "position": tenant.position,
        "created_at": format_timestamp(tenant.created_at),
    }


def artist_json(artist: Artist) -> dict[str, Any]:
    """Write an artist."""
    return {
        "id": str(artist.id),
        "name": artist.name,
        "time_zone": artist.time_zone,
        "status": artist.status.value,
        "version": artist.version,
        "position": artist.position,
        "created_by": artist.created_by,
        "created_at": format_timestamp(artist.created_at),
        "updated_at": format_timestamp(artist.updated_at),
    }


def tenant_of(data: dict[str, Any]) -> Tenant:
    """Read a tenant."""
    record = artists.Tenant.model_validate(data)
    return Tenant(id=record.id, version=record.version, position=record.position, created_at=record.created_at)


def artist_of(data: dict[str, Any]) -> Artist:
    """Read an artist."""
    record = artists.Artist.model_validate(data)
    return Artist(
        id=record.id,
        name=record.name,
        time_zone=record.time_zone,
        status=Status(record.status),
        version=record.version,
        position=record.position,
        created_by=record.created_by,
        created_at=record.created_at,
        updated_at=record.updated_at,
    )
