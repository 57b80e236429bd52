"""The projection is a function of the events: how to fold them, for `servicekit.jobs`."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from booking.adapters import bookings
from booking.application.representation import booking_after, row_json
from servicekit.jobs import Rows


class OverlappingEventsError(Exception):
    """The events of a tenant say that two bookings of an artist overlap: they can't both stand."""


class BookingProjection:
    """A tenant's bookings, each as its last event left it."""

    def fold(self, rows: Rows, event: dict[str, Any]) -> None:
        """Take one event into a tenant's bookings."""
        data = booking_after(event["data"])
        rows[UUID(data["id"])] = data

    async def read(self, connection: AsyncConnection, tenant_id: UUID) -> Rows:
        """Read a tenant's bookings as they are stored."""
        return {row["id"]: row_json(row) for row in await bookings.all_of(connection, tenant_id)}

    async def replace(self, connection: AsyncConnection, tenant_id: UUID, rows: Rows) -> None:
        """Store these bookings in place of the tenant's.

        Raises:
            OverlappingEventsError: they can't all stand; nothing is changed.
        """
        if not await bookings.replace_all(connection, tenant_id, list(rows.values())):
            message = f"the events of tenant {tenant_id} overlap"
            raise OverlappingEventsError(message)
