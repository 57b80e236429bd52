"""An artist of the roster and what may become of it.

An active artist takes bookings; an archived one keeps those it has and takes no new ones. Each change returns the
artist afterwards, or None where it is so already.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from tenancy.domain.refusals import VersionMismatchError
from tenancy.domain.stamp import Stamp


class Status(StrEnum):
    """Whether an artist takes new bookings."""

    ACTIVE = "active"
    ARCHIVED = "archived"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artist:
    """An artist; ``time_zone`` is a name of the IANA database."""

    id: UUID
    name: str
    time_zone: str | None
    status: Status
    version: int
    position: int
    created_by: str
    created_at: datetime
    updated_at: datetime

    def expect(self, versions: Collection[int] | None) -> None:
        """Hold that the caller has seen this version (None: the caller does not mind).

        Raises:
            VersionMismatchError: the artist has moved on.
        """
        if versions is not None and self.version not in versions:
            message = f"the artist is at version {self.version}: read it again and decide anew"
            raise VersionMismatchError(message)

    def amend(self, stamp: Stamp, changes: Mapping[str, Any]) -> Self | None:
        """Change what the roster says (``name``, ``time_zone``), archived or not; None where it says so."""
        if all(getattr(self, name) == value for name, value in changes.items()):
            return None
        return self._changed(stamp, **changes)

    def archive(self, stamp: Stamp) -> Self | None:
        """Take it off the roster; None where that has happened."""
        return None if self.status is Status.ARCHIVED else self._changed(stamp, status=Status.ARCHIVED)

    def _changed(self, stamp: Stamp, **changes: Any) -> Self:  # noqa: ANN401 - fields of this record
        return replace(self, version=self.version + 1, position=stamp.position, updated_at=stamp.at, **changes)


def sign(artist_id: UUID, name: str, time_zone: str | None, stamp: Stamp) -> Artist:
    """Add an artist to the roster."""
    return Artist(
        id=artist_id,
        name=name,
        time_zone=time_zone,
        status=Status.ACTIVE,
        version=1,
        position=stamp.position,
        created_by=stamp.actor,
        created_at=stamp.at,
        updated_at=stamp.at,
    )
