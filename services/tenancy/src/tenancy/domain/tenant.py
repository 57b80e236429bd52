"""A tenant: an organisation of the identity provider, known since somebody first did something in its name.

Its names are the newest that the provider has told. Once deleted it stays so, whatever is heard later.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from tenancy.domain.facts import Rank, rank
from tenancy.domain.refusals import VersionMismatchError
from tenancy.domain.stamp import Stamp


class TenantStatus(StrEnum):
    """Whether there is still such an organisation."""

    ACTIVE = "active"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A tenant; ``as_of`` is the provider's time of the names it has told us (None: none yet)."""

    id: UUID
    org_id: str | None = None
    name: str | None = None
    slug: str | None = None
    status: TenantStatus = TenantStatus.ACTIVE
    as_of: datetime | None = None
    version: int
    position: int
    created_at: datetime
    updated_at: datetime | None = None

    def record(self, stamp: Stamp, *, org_id: str, name: str | None, slug: str | None, as_of: datetime) -> Self | None:
        """Take note of what it is called; None where something newer is known, or where it is deleted."""
        if self.status is TenantStatus.DELETED or rank(as_of, org_id, name, slug) <= self._rank:
            return None
        return self._changed(stamp, org_id=org_id, name=name, slug=slug, as_of=as_of)

    def expect(self, versions: list[int] | None) -> None:
        """Hold that the caller has seen this version (None: the caller does not mind).

        Raises:
            VersionMismatchError: the tenant has moved on.
        """
        if versions is not None and self.version not in versions:
            message = f"the tenant is at version {self.version}: read it again and decide anew"
            raise VersionMismatchError(message)

    def delete(self, stamp: Stamp) -> Self | None:
        """Take note that it is deleted; None where that is known."""
        if self.status is TenantStatus.DELETED:
            return None
        return self._changed(stamp, status=TenantStatus.DELETED)

    @property
    def _rank(self) -> Rank:
        return rank(self.as_of, self.org_id, self.name, self.slug)

    def _changed(self, stamp: Stamp, **changes: Any) -> Self:  # noqa: ANN401 - fields of this record
        return replace(self, version=self.version + 1, position=stamp.position, updated_at=stamp.at, **changes)


def found(tenant_id: UUID, stamp: Stamp) -> Tenant:
    """Begin a tenant."""
    return Tenant(id=tenant_id, version=1, position=stamp.position, created_at=stamp.at, updated_at=stamp.at)
