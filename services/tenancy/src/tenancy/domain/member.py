"""A membership of a tenant, and an invitation to one: each as the newest fact about it says.

A removed member is kept as a tombstone, so that older facts, which may still come, do not bring it back.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tenancy.domain.facts import Rank, rank
from tenancy.domain.stamp import Stamp


class Standing(StrEnum):
    """Whether somebody belongs to the tenant."""

    ACTIVE = "active"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A user's membership; ``role`` None: none that we know. Of a removed one no role is kept."""

    id: str
    role: str | None
    status: Standing
    as_of: datetime
    joined_at: datetime | None
    removed_at: datetime | None
    version: int
    position: int
    updated_at: datetime

    @property
    def rank(self) -> Rank:
        """Place the fact that this membership is known by."""
        return rank(self.as_of, self.role, self.joined_at, ends=self.status is Standing.REMOVED)


def belongs(
    known: Member | None,
    stamp: Stamp,
    user_id: str,
    *,
    role: str | None,
    joined_at: datetime | None,
    as_of: datetime,
) -> Member | None:
    """Take note that a user belongs to the tenant; None where something newer is known."""
    return _newer(
        known,
        Member(
            id=user_id,
            role=role,
            status=Standing.ACTIVE,
            as_of=as_of,
            joined_at=joined_at,
            removed_at=None,
            version=1 if known is None else known.version + 1,
            position=stamp.position,
            updated_at=stamp.at,
        ),
    )


def is_removed(known: Member | None, stamp: Stamp, user_id: str, *, as_of: datetime) -> Member | None:
    """Take note that a user does not belong to the tenant any more; None where something newer is known."""
    return _newer(
        known,
        Member(
            id=user_id,
            role=None,
            status=Standing.REMOVED,
            as_of=as_of,
            joined_at=None,
            removed_at=as_of,
            version=1 if known is None else known.version + 1,
            position=stamp.position,
            updated_at=stamp.at,
        ),
    )


def _newer(known: Member | None, fact: Member) -> Member | None:
    return fact if known is None or fact.rank > known.rank else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """An invitation; ``id`` is the provider's. Whom it is for is not kept."""

    id: str
    role: str | None
    status: str
    as_of: datetime
    version: int
    position: int
    updated_at: datetime

    @property
    def rank(self) -> Rank:
        """Place the fact that this invitation is known by."""
        return rank(self.as_of, self.status, self.role, ends=self.status != "pending")


def stands(
    known: Invitation | None, stamp: Stamp, invitation: str, *, role: str | None, status: str, as_of: datetime
) -> Invitation | None:
    """Take note of how an invitation stands; None where something newer is known."""
    fact = Invitation(
        id=invitation,
        role=role,
        status=status,
        as_of=as_of,
        version=1 if known is None else known.version + 1,
        position=stamp.position,
        updated_at=stamp.at,
    )
    return fact if known is None or fact.rank > known.rank else None
