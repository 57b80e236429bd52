"""Tenants, artists, members and invitations as JSON, in outcomes, events and answers; and back from it."""

from datetime import datetime
from typing import Any

from production_contracts import artists, members
from production_contracts.times import format_timestamp
from tenancy.domain.artist import Artist, Status
from tenancy.domain.member import Invitation, Member, Standing
from tenancy.domain.person import Person
from tenancy.domain.tenant import Tenant, TenantStatus


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_timestamp(moment)


def tenant_json(tenant: Tenant) -> dict[str, Any]:
    """Write a tenant."""
    return {
        "id": str(tenant.id),
        "org_id": tenant.org_id,
        "name": tenant.name,
        "slug": tenant.slug,
        "status": tenant.status.value,
        "as_of": _time(tenant.as_of),
        "version": tenant.version,
        "position": tenant.position,
        "created_at": format_timestamp(tenant.created_at),
        "updated_at": _time(tenant.updated_at),
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


def member_json(member: Member) -> dict[str, Any]:
    """Write a membership, as events tell it."""
    return {
        "id": member.id,
        "role": member.role,
        "status": member.status.value,
        "joined_at": _time(member.joined_at),
        "removed_at": _time(member.removed_at),
        "as_of": format_timestamp(member.as_of),
        "version": member.version,
        "position": member.position,
        "updated_at": format_timestamp(member.updated_at),
    }


def sealed_member_json(member: Member, person: Person | None) -> dict[str, Any]:
    """Write a member with name and address, sealed, as `members.SealedMember`."""
    return {
        "id": member.id,
        "role": member.role,
        "name": None if person is None else person.name.sealed,
        "email": None if person is None else person.email.sealed,
        "joined_at": _time(member.joined_at),
        "updated_at": format_timestamp(member.updated_at),
    }


def invitation_json(invitation: Invitation) -> dict[str, Any]:
    """Write an invitation."""
    return {
        "id": invitation.id,
        "role": invitation.role,
        "status": invitation.status,
        "as_of": format_timestamp(invitation.as_of),
        "version": invitation.version,
        "position": invitation.position,
        "updated_at": format_timestamp(invitation.updated_at),
    }


def tenant_of(data: dict[str, Any]) -> Tenant:
    """Read a tenant."""
    record = artists.Tenant.model_validate(data)
    return Tenant(**record.model_dump(exclude={"status"}), status=TenantStatus(record.status))


def artist_of(data: dict[str, Any]) -> Artist:
    """Read an artist."""
    record = artists.Artist.model_validate(data)
    return Artist(**record.model_dump(exclude={"status"}), status=Status(record.status))


def member_of(data: dict[str, Any]) -> Member:
    """Read a membership."""
    record = members.MemberEventData.model_validate(data)
    role = None if record.role is None else record.role.value
    return Member(**record.model_dump(exclude={"status", "role"}), status=Standing(record.status), role=role)


def invitation_of(data: dict[str, Any]) -> Invitation:
    """Read an invitation."""
    record = members.InvitationEventData.model_validate(data)
    role = None if record.role is None else record.role.value
    return Invitation(**record.model_dump(exclude={"role"}), role=role)
