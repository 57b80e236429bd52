"""A batch of roster commands, decided in memory under the locks of its streams, and saved as its net result."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from production_contracts import commands as asked
from production_contracts import events, problems
from production_contracts.commands import Command
from servicekit.deciding import Decision, NewEvent, refuse
from tenancy.adapters import roster
from tenancy.adapters.roster import Key
from tenancy.application.representation import artist_json, tenant_json
from tenancy.domain.artist import Artist, sign
from tenancy.domain.refusals import ArtistExistsError, ArtistNotFoundError, RefusalError
from tenancy.domain.stamp import Stamp
from tenancy.domain.tenant import Tenant, found


class RosterLedger:
    """The artists that a batch is about, as they are after each decision, and the tenants that it founds."""

    def __init__(self, tenants: set[UUID], artists: dict[Key, Artist]) -> None:
        """Begin with the tenants there are and the artists as they are stored."""
        self._tenants = tenants
        self._artists = artists
        self._founded: list[Tenant] = []
        self._changed: dict[Key, Artist] = {}
        self._decide: dict[type, Callable[[Command, Stamp], Decision]] = {
            asked.CreateArtist: self._create,
            asked.AmendArtist: self._amend,
            asked.ArchiveArtist: self._archive,
        }

    @classmethod
    async def load(cls, connection: AsyncConnection, commands: Sequence[Command]) -> "RosterLedger":
        """Load what the commands are about."""
        tenants = await roster.known_tenants(connection, {command.tenant_id for command in commands})
        return cls(tenants, await roster.load(connection, {_key(command) for command in commands}))

    def decide(self, command: Command, *, position: int, now: datetime) -> Decision:
        """Decide one command after those before it; the first thing that happens to a new tenant founds it."""
        stamp = Stamp(actor=command.body.author.sub, at=now, position=position)
        if command.tenant_id in self._tenants:
            return self._decide_for_known(command, stamp)
        tenant = found(command.tenant_id, stamp)
        decision = self._decide_for_known(command, stamp.following())
        if not decision.events:
            return decision
        self._tenants.add(tenant.id)
        self._founded.append(tenant)
        founding = NewEvent(
            type=events.TENANT_CREATED.name, aggregate_id=tenant.id, version=tenant.version, data=tenant_json(tenant)
        )
        return replace(decision, events=(founding, *decision.events))

    async def complete(self, connection: AsyncConnection) -> None:
        """Do nothing: no refusal here needs more than is in memory."""

    async def save(self, connection: AsyncConnection) -> None:
        """Write the net state."""
        await roster.add_tenants(connection, self._founded)
        await roster.put_artists(connection, [(tenant, artist) for (tenant, _), artist in self._changed.items()])

    def _decide_for_known(self, command: Command, stamp: Stamp) -> Decision:
        try:
            return self._decide[type(command.body.data)](command, stamp)
        except RefusalError as refusal:
            return refuse(problems.PROBLEM_TYPES[refusal.slug], refusal.detail)

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


def _key(command: Command) -> Key:
    return command.tenant_id, command.aggregate_id
