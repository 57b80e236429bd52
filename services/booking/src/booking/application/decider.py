"""Booking's part of the command worker."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from booking.adapters.bookings import Key
from booking.adapters.roster import Roster
from booking.application.ledger import BookingLedger
from production_contracts.commands import Command, CreateBooking
from production_contracts.events import Stream
from servicekit.deciding import Ledger


class BookingDecider:
    """Decides bookings; a new one waits, before the transaction, for a roster that may name its artist."""

    stream: Stream = "booking"

    def __init__(self, roster: Roster) -> None:
        """Decide by this roster."""
        self._roster = roster
        self._doubtful: frozenset[Key] = frozenset()

    async def prepare(self, commands: Sequence[Command]) -> None:
        """Wait for the artists that new bookings name."""
        artists = {(c.tenant_id, c.body.data.artist_id) for c in commands if isinstance(c.body.data, CreateBooking)}
        self._doubtful = await self._roster.await_artists(artists) if artists else frozenset()

    async def load(self, connection: AsyncConnection, commands: Sequence[Command]) -> Ledger:
        """Load what the commands are about."""
        return await BookingLedger.load(connection, commands, self._doubtful)
