"""Artists: the roster of a tenant."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from production_contracts.records import Record, Request, without_default
from production_contracts.text import ArtistName, TimeZone
from production_contracts.times import Timestamp

ArtistStatus = Literal["active", "archived"]
TenantStatus = Literal["active", "deleted"]


class ArtistRequest(Request):
    """Body of ``POST /v1/artists``."""

    name: ArtistName
    time_zone: TimeZone | None = None


class ArtistPatch(Request):
    """Body of ``PATCH /v1/artists/{id}``: a JSON merge patch (RFC 7396); null clears, what is absent stays."""

    name: ArtistName = Field(default="unset", json_schema_extra=without_default)
    time_zone: TimeZone | None = None


class Artist(Record):
    """An artist of the roster. ``time_zone`` is a name of the IANA database."""

    id: UUID
    name: str
    time_zone: str | None = None
    status: ArtistStatus
    version: int
    position: int
    created_by: str
    created_at: Timestamp
    updated_at: Timestamp


class ArtistPage(Record):
    """A page of artists in order of (name, id)."""

    items: list[Artist]
    next_cursor: str | None = None


class Tenant(Record):
    """A tenant: an organisation of the identity provider, named as soon as that has told us of it.

    ``as_of`` is the provider's own time of what is told here (null: it has not told us yet). A deleted tenant stays so.
    """

    id: UUID
    org_id: str | None = None
    name: str | None = None
    slug: str | None = None
    status: TenantStatus = "active"
    as_of: Timestamp | None = None
    version: int
    position: int
    created_at: Timestamp
    updated_at: Timestamp | None = None
