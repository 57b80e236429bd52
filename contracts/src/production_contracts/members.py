"""Members: who belongs to a tenant, in which role; and the ids that follow from those of the identity provider.

Names and addresses of people are in `Member` alone, which only the gateway can make: no event and no other record
holds them.
"""

from typing import Annotated, Literal
from uuid import UUID, uuid5

from production_contracts.records import Record
from production_contracts.roles import Role
from production_contracts.sealed import SENSITIVE, Sealed
from production_contracts.times import Timestamp

MemberStatus = Literal["active", "removed"]
InvitationStatus = Literal["pending", "accepted", "revoked"]


def tenant_id(namespace: UUID, org_id: str) -> UUID:
    """Derive a tenant's id from its organisation's, in the namespace of the issuer."""
    return uuid5(namespace, org_id)


def person_id(namespace: UUID, user_id: str) -> UUID:
    """Derive the id under which a person's name and address are kept; no organisation's id leads to the same."""
    return uuid5(uuid5(namespace, "people"), user_id)


def member_id(tenant: UUID, user_id: str) -> UUID:
    """Derive the id of a membership, as the aggregate of its events."""
    return uuid5(tenant, user_id)


def invitation_id(tenant: UUID, invitation: str) -> UUID:
    """Derive the id of an invitation, as the aggregate of its events."""
    return uuid5(tenant, invitation)


class _Member(Record):
    id: str
    role: Role | None = None
    joined_at: Timestamp | None = None
    updated_at: Timestamp


class Member(_Member):
    """A member as the others of the tenant see it.

    ``id`` is the user's id, the same as in ``created_by`` and ``actor``; ``role`` is null where it is none that we
    know, which grants nothing.
    """

    name: Annotated[str | None, SENSITIVE] = None
    email: Annotated[str | None, SENSITIVE] = None


class SealedMember(_Member):
    """A member as tenancy answers it to the gateway."""

    name: Sealed | None = None
    email: Sealed | None = None


class MemberPage(Record):
    """A page of members in order of id."""

    items: list[Member]
    next_cursor: str | None = None


class MemberEventData(_Member):
    """``data`` of a member's event: the membership after it.

    ``as_of`` is the identity provider's own time of what is told here. Of a removed member ``removed_at`` says when, by
    the same clock: tokens of before are not accepted any more.
    """

    status: MemberStatus
    removed_at: Timestamp | None = None
    as_of: Timestamp
    version: int
    position: int


class InvitationEventData(Record):
    """``data`` of an invitation's event: the invitation after it, without whom it is for; ``id`` is the provider's."""

    id: str
    role: Role | None = None
    status: InvitationStatus
    as_of: Timestamp
    version: int
    position: int
    updated_at: Timestamp
