"""Tenancy's part of the command worker."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from production_contracts.commands import Command
from production_contracts.events import Stream
from servicekit.deciding import Ledger
from tenancy.application.ledger import TenancyLedger


class TenancyDecider:
    """Decides what becomes of tenants, their rosters and their members."""

    stream: Stream = "tenancy"

    async def prepare(self, commands: Sequence[Command]) -> None:
        """Do nothing: all that decides is in the database."""

    async def load(self, connection: AsyncConnection, commands: Sequence[Command]) -> Ledger:
        """Load what the commands are about."""
        return await TenancyLedger.load(connection, commands)
