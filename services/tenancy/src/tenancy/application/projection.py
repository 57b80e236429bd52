"""The projection is a function of the events: how to fold them, for `servicekit.jobs`."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from production_contracts import events
from servicekit.jobs import Rows
from tenancy.adapters import roster
from tenancy.application.representation import artist_json, artist_of, tenant_json, tenant_of


class RosterProjection:
    """A tenant and its artists, each as its last event left it."""

    def fold(self, rows: Rows, event: dict[str, Any]) -> None:
        """Take one event into a tenant's rows."""
        data = events.BY_NAME[event["type"]].data.model_validate(event["data"])
        rows[UUID(event["aggregate_id"])] = data.model_dump(mode="json")

    async def read(self, connection: AsyncConnection, tenant_id: UUID) -> Rows:
        """Read the tenant and its artists as they are stored."""
        tenant = await roster.tenant(connection, tenant_id)
        rows: Rows = {} if tenant is None else {tenant.id: tenant_json(tenant)}
        return rows | {artist.id: artist_json(artist) for artist in await roster.all_artists(connection, tenant_id)}

    async def replace(self, connection: AsyncConnection, tenant_id: UUID, rows: Rows) -> None:
        """Store these rows in place of the tenant's."""
        await roster.remove(connection, tenant_id)
        await roster.add_tenants(connection, [tenant_of(data) for key, data in rows.items() if key == tenant_id])
        await roster.put_artists(
            connection, [(tenant_id, artist_of(data)) for key, data in rows.items() if key != tenant_id]
        )
