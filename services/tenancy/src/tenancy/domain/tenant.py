"""A tenant: an organisation of the identity provider, known since somebody first did something in its name."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tenancy.domain.stamp import Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A tenant."""

    id: UUID
    version: int
    position: int
    created_at: datetime


def found(tenant_id: UUID, stamp: Stamp) -> Tenant:
    """Begin a tenant."""
    return Tenant(id=tenant_id, version=1, position=stamp.position, created_at=stamp.at)
