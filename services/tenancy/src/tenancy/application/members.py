"""What the identity provider says of members and invitations, decided in memory."""

from collections.abc import Callable, Iterable, Mapping
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from production_contracts import commands as asked
from production_contracts import events
from production_contracts.commands import Command
from production_contracts.members import invitation_id, member_id
from servicekit.deciding import Decision, NewEvent
from tenancy.adapters import members
from tenancy.adapters.members import Key
from tenancy.application.representation import invitation_json, member_json
from tenancy.domain.member import Invitation, Member, Standing, belongs, is_removed, stands
from tenancy.domain.stamp import Stamp

Decide = Callable[[Command, Stamp], Decision]
_INVITATION_EVENTS: Mapping[str, events.EventType] = {
    "pending": events.INVITATION_SENT,
    "accepted": events.INVITATION_ACCEPTED,
    "revoked": events.INVITATION_REVOKED,
}


class MemberLedger:
    """The memberships and invitations that a batch is about, as they are after each fact."""

    def __init__(self, known: dict[Key, Member], invitations: dict[Key, Invitation]) -> None:
        """Begin with them as they are stored."""
        self._members = known
        self._invitations = invitations
        self._changed: dict[Key, Member] = {}
        self._changed_invitations: dict[Key, Invitation] = {}
        self.decides: Mapping[type, Decide] = {
            asked.RecordMember: self._record,
            asked.RemoveMember: self._remove,
            asked.RecordInvitation: self._invite,
        }

    @classmethod
    async def load(cls, connection: AsyncConnection, commands: Iterable[Command]) -> "MemberLedger":
        """Load what commands are about."""
        users, invitations = set(), set()
        for command in commands:
            match command.body.data:
                case asked.RecordMember(sub=sub) | asked.RemoveMember(sub=sub):
                    users.add((command.tenant_id, sub))
                case asked.RecordInvitation(invitation=invitation):
                    invitations.add((command.tenant_id, invitation))
        return cls(
            await members.load_members(connection, users), await members.load_invitations(connection, invitations)
        )

    async def save(self, connection: AsyncConnection) -> None:
        """Write the net state."""
        await members.put_members(connection, [(tenant, member) for (tenant, _), member in self._changed.items()])
        await members.put_invitations(
            connection, [(tenant, invitation) for (tenant, _), invitation in self._changed_invitations.items()]
        )

    def _record(self, command: Command, stamp: Stamp) -> Decision:
        data = command.body.data
        assert isinstance(data, asked.RecordMember)  # noqa: S101 - the table of __init__ says so
        known = self._members.get((command.tenant_id, data.sub))
        role = None if data.role is None else data.role.value
        after = belongs(known, stamp, data.sub, role=role, joined_at=data.joined_at, as_of=data.as_of)
        is_new = known is None or known.status is Standing.REMOVED
        return self._settle(command, known, after, events.MEMBER_ADDED if is_new else events.MEMBER_CHANGED)

    def _remove(self, command: Command, stamp: Stamp) -> Decision:
        data = command.body.data
        assert isinstance(data, asked.RemoveMember)  # noqa: S101 - the table of __init__ says so
        known = self._members.get((command.tenant_id, data.sub))
        after = is_removed(known, stamp, data.sub, as_of=data.as_of)
        return self._settle(command, known, after, events.MEMBER_REMOVED)

    def _settle(
        self, command: Command, known: Member | None, after: Member | None, event: events.EventType
    ) -> Decision:
        if after is None:
            return Decision(status=200, body={} if known is None else member_json(known))
        key = command.tenant_id, after.id
        self._members[key] = self._changed[key] = after
        return _happened(event, member_json(after), member_id(*key), after.version)

    def _invite(self, command: Command, stamp: Stamp) -> Decision:
        data = command.body.data
        assert isinstance(data, asked.RecordInvitation)  # noqa: S101 - the table of __init__ says so
        key = command.tenant_id, data.invitation
        known = self._invitations.get(key)
        role = None if data.role is None else data.role.value
        after = stands(known, stamp, data.invitation, role=role, status=data.status, as_of=data.as_of)
        if after is None:
            return Decision(status=200, body={} if known is None else invitation_json(known))
        self._invitations[key] = self._changed_invitations[key] = after
        return _happened(_INVITATION_EVENTS[after.status], invitation_json(after), invitation_id(*key), after.version)


def _happened(event: events.EventType, body: dict[str, object], aggregate: UUID, version: int) -> Decision:
    made = NewEvent(type=event.name, aggregate_id=aggregate, version=version, data=body)
    return Decision(status=200, body=body, events=(made,))
