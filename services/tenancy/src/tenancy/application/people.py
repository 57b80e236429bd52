"""What the identity provider says of people, decided in memory; it makes no events, and outcomes tell no names."""

from collections.abc import Callable, Iterable, Mapping
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from production_contracts import commands as asked
from production_contracts.commands import Command
from servicekit.deciding import Decision
from tenancy.adapters import data_keys, people
from tenancy.domain.person import Person, SealedText


class PeopleLedger:
    """The people that a batch is about, as they are after each fact."""

    def __init__(self, known: dict[UUID, Person]) -> None:
        """Begin with the people as they are stored."""
        self._people = known
        self._changed: dict[UUID, Person] = {}
        self._forgotten: set[UUID] = set()
        self.decides: Mapping[type, Callable[[Command], Decision]] = {
            asked.RecordPerson: self._record,
            asked.ForgetPerson: self._forget,
        }

    @classmethod
    async def load(cls, connection: AsyncConnection, commands: Iterable[Command]) -> "PeopleLedger":
        """Load the people that commands are about: of each the record's tenant is the person."""
        kinds = (asked.RecordPerson, asked.ForgetPerson)
        return cls(await people.load(connection, {c.tenant_id for c in commands if isinstance(c.body.data, kinds)}))

    async def save(self, connection: AsyncConnection) -> None:
        """Write the net state; with a person who is forgotten go the keys that sealed name and address."""
        await people.put(connection, list(self._changed.values()))
        await data_keys.destroy(connection, self._forgotten)

    def _record(self, command: Command) -> Decision:
        data = command.body.data
        assert isinstance(data, asked.RecordPerson)  # noqa: S101 - the table of __init__ says so
        stated: dict[str, SealedText | None] = {
            name: None if (sealed := getattr(data, name)) is None else sealed.model_dump()
            for name in ("name", "email")
            if name in data.model_fields_set
        }
        return self._settle(command, self._known(command).record(stated, as_of=data.as_of))

    def _forget(self, command: Command) -> Decision:
        self._forgotten.add(command.tenant_id)
        return self._settle(command, self._known(command).forget())

    def _known(self, command: Command) -> Person:
        return self._people.get(command.tenant_id) or Person(id=command.tenant_id)

    def _settle(self, command: Command, after: Person | None) -> Decision:
        if after is not None:
            self._people[after.id] = self._changed[after.id] = after
        return Decision(status=200, body={"id": str(command.tenant_id)})
