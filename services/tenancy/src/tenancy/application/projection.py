"""The projection is a function of the events: how to fold them, for `servicekit.jobs`."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from production_contracts import events
from production_contracts.members import invitation_id, member_id
from servicekit.jobs import Rows
from tenancy.adapters import members, roster
from tenancy.application.representation import (
    artist_json,
    artist_of,
    invitation_json,
    invitation_of,
    member_json,
    member_of,
    tenant_json,
    tenant_of,
)

_KIND: Final = "kind"
"""Which table a row belongs to, beside what the row holds: the noun of its events."""


class TenancyProjection:
    """A tenant, its artists, memberships and invitations, each as its last event left it; people have no events."""

    def fold(self, rows: Rows, event: dict[str, Any]) -> None:
        """Take one event into a tenant's rows."""
        kind = events.BY_NAME[event["type"]]
        data = kind.data.model_validate(event["data"])
        noun = kind.socket.partition(":")[0]
        rows[UUID(event["aggregate_id"])] = {_KIND: noun, **data.model_dump(mode="json")}

    async def read(self, connection: AsyncConnection, tenant_id: UUID) -> Rows:
        """Read a tenant's rows as they are stored."""
        rows: Rows = {}
        tenant = await roster.tenant(connection, tenant_id)
        if tenant is not None:
            rows[tenant.id] = {_KIND: "tenant", **tenant_json(tenant)}
        for artist in await roster.all_artists(connection, tenant_id):
            rows[artist.id] = {_KIND: "artist", **artist_json(artist)}
        for member in await members.all_members(connection, tenant_id):
            rows[member_id(tenant_id, member.id)] = {_KIND: "member", **member_json(member)}
        for invitation in await members.all_invitations(connection, tenant_id):
            rows[invitation_id(tenant_id, invitation.id)] = {_KIND: "invitation", **invitation_json(invitation)}
        return rows

    async def replace(self, connection: AsyncConnection, tenant_id: UUID, rows: Rows) -> None:
        """Store these rows in place of the tenant's."""
        of: dict[str, list[dict[str, Any]]] = {"tenant": [], "artist": [], "member": [], "invitation": []}
        for row in rows.values():
            of[row[_KIND]].append(row)
        await roster.remove(connection, tenant_id)
        await members.remove(connection, tenant_id)
        await roster.put_tenants(connection, [tenant_of(row) for row in of["tenant"]])
        await roster.put_artists(connection, [(tenant_id, artist_of(row)) for row in of["artist"]])
        await members.put_members(connection, [(tenant_id, member_of(row)) for row in of["member"]])
        await members.put_invitations(connection, [(tenant_id, invitation_of(row)) for row in of["invitation"]])
