"""Commands on artists, decided in memory."""

from collections.abc import Callable, Iterable, Mapping
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from production_contracts import commands as asked
from production_contracts import events
from production_contracts.commands import Command
from servicekit.deciding import Decision, NewEvent
from tenancy.adapters import roster
from tenancy.adapters.roster import Key
from tenancy.application.representation import artist_json
from tenancy.domain.artist import Artist, sign
from tenancy.domain.refusals import ArtistExistsError, ArtistNotFoundError
from tenancy.domain.stamp import Stamp

Decide = Callable[[Command, Stamp], Decision]


class ArtistLedger:
    """The artists that a batch is about, as they are after each decision."""

    def __init__(self, artists: dict[Key, Artist]) -> None:
        """Begin with the artists as they are stored."""
        self._artists = artists
        self._changed: dict[Key, Artist] = {}
        self.decides: Mapping[type, Decide] = {
            asked.CreateArtist: self._create,
            asked.AmendArtist: self._amend,
            asked.ArchiveArtist: self._archive,
        }

    @classmethod
    async def load(cls, connection: AsyncConnection, commands: Iterable[Command]) -> "ArtistLedger":
        """Load the artists that commands are about."""
        kinds = (asked.CreateArtist, asked.AmendArtist, asked.ArchiveArtist)
        keys = {_key(command) for command in commands if isinstance(command.body.data, kinds)}
        return cls(await roster.load(connection, keys) if keys else {})

    async def save(self, connection: AsyncConnection) -> None:
        """Write the net state."""
        await roster.put_artists(connection, [(tenant, artist) for (tenant, _), artist in self._changed.items()])

    def _create(self, command: Command, stamp: Stamp) -> Decision:
        data = command.body.data
        assert isinstance(data, asked.CreateArtist)  # noqa: S101 - the table of __init__ says so
        key = _key(command)
        if key in self._artists:
            message = "there is an artist with this id"
            raise ArtistExistsError(message)
        return self._happened(key, sign(key[1], data.name, data.time_zone, stamp), events.ARTIST_CREATED, status=201)

    def _amend(self, command: Command, stamp: Stamp) -> Decision:
        data = command.body.data
        assert isinstance(data, asked.AmendArtist)  # noqa: S101 - the table of __init__ says so
        key, artist = self._expected(command)
        changes = {name: getattr(data, name) for name in data.model_fields_set}
        return self._happened(key, artist.amend(stamp, changes), events.ARTIST_AMENDED)

    def _archive(self, command: Command, stamp: Stamp) -> Decision:
        key, artist = self._expected(command)
        return self._happened(key, artist.archive(stamp), events.ARTIST_ARCHIVED)

    def _expected(self, command: Command) -> tuple[Key, Artist]:
        key = _key(command)
        artist = self._artists.get(key)
        if artist is None:
            message = "there is no such artist"
            raise ArtistNotFoundError(message)
        artist.expect(command.body.expected_versions)
        return key, artist

    def _happened(self, key: Key, after: Artist | None, event: events.EventType, *, status: int = 200) -> Decision:
        if after is None:
            return Decision(status=status, body=artist_json(self._artists[key]))
        self._artists[key] = self._changed[key] = after
        body = artist_json(after)
        made = NewEvent(type=event.name, aggregate_id=after.id, version=after.version, data=body)
        return Decision(status=status, body=body, events=(made,))


def _key(command: Command) -> tuple[UUID, UUID]:
    return command.tenant_id, command.aggregate_id
