"""A batch of tenancy's commands, decided in memory under the locks of its streams, and saved as its net result."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from production_contracts import commands as asked
from production_contracts import events, problems
from production_contracts.commands import Command
from production_contracts.roles import Permission
from servicekit import journal
from servicekit.deciding import Decision, NewEvent, refuse
from servicekit.removals import TENANT_DELETED
from tenancy.adapters import data_keys, roster
from tenancy.application.artists import ArtistLedger, Decide
from tenancy.application.members import MemberLedger
from tenancy.application.people import PeopleLedger
from tenancy.application.representation import tenant_json
from tenancy.domain.refusals import RefusalError
from tenancy.domain.stamp import Stamp
from tenancy.domain.tenant import Tenant, TenantStatus, found


class TenancyLedger:
    """The tenants of a batch, as they are after each decision, and the ledgers of what they hold."""

    def __init__(
        self, tenants: dict[UUID, Tenant], artists: ArtistLedger, members: MemberLedger, people: PeopleLedger
    ) -> None:
        """Begin with everything as it is stored."""
        self._tenants = tenants
        self._changed: dict[UUID, Tenant] = {}
        self._deleted: set[UUID] = set()
        self._parts = (artists, members, people)
        self._people = people
        self._decide: Mapping[type, Decide] = {
            **artists.decides,
            **members.decides,
            asked.RecordTenant: self._record,
            asked.DeleteTenant: self._delete,
            asked.CloseTenant: self._delete,
        }

    @classmethod
    async def load(cls, connection: AsyncConnection, commands: Sequence[Command]) -> "TenancyLedger":
        """Load what the commands are about."""
        return cls(
            await roster.load_tenants(connection, {command.tenant_id for command in commands}),
            await ArtistLedger.load(connection, commands),
            await MemberLedger.load(connection, commands),
            await PeopleLedger.load(connection, commands),
        )

    def decide(self, command: Command, *, position: int, now: datetime) -> Decision:
        """Decide one command after those before it; the first thing that happens to a new tenant founds it."""
        kind = type(command.body.data)
        if kind in self._people.decides:
            return self._people.decides[kind](command)
        stamp = Stamp(actor=command.body.author.sub, at=now, position=position)
        tenant = self._tenants.get(command.tenant_id)
        if tenant is not None:
            return self._decide_for_known(tenant, command, stamp)
        tenant = found(command.tenant_id, stamp)
        self._tenants[tenant.id] = tenant
        decision = self._decide_for_known(tenant, command, stamp.following())
        if not decision.events:
            del self._tenants[tenant.id]
            return decision
        self._changed.setdefault(tenant.id, tenant)
        return replace(decision, events=(_happened(events.TENANT_CREATED, tenant), *decision.events))

    async def complete(self, connection: AsyncConnection) -> None:
        """Do nothing: no refusal here needs more than is in memory."""

    async def save(self, connection: AsyncConnection) -> None:
        """Write the net state; with a tenant that is deleted go the keys that sealed its fields, wherever they are."""
        await roster.put_tenants(connection, list(self._changed.values()))
        await data_keys.destroy(connection, self._deleted)
        if self._deleted:
            await journal.mark_deleted(connection, self._deleted)
        for part in self._parts:
            await part.save(connection)

    def _decide_for_known(self, tenant: Tenant, command: Command, stamp: Stamp) -> Decision:
        if tenant.status is TenantStatus.DELETED:
            if command.type.permission is not Permission.TENANT_WRITE:
                return refuse(problems.FORBIDDEN, TENANT_DELETED, remember=False)
            return Decision(status=200, body=tenant_json(tenant))  # whatever is told later changes nothing
        try:
            return self._decide[type(command.body.data)](command, stamp)
        except RefusalError as refusal:
            return refuse(problems.PROBLEM_TYPES[refusal.slug], refusal.detail)

    def _record(self, command: Command, stamp: Stamp) -> Decision:
        data = command.body.data
        assert isinstance(data, asked.RecordTenant)  # noqa: S101 - the table of __init__ says so
        tenant = self._tenants[command.tenant_id]
        after = tenant.record(stamp, org_id=data.org_id, name=data.name, slug=data.slug, as_of=data.as_of)
        return self._settle(tenant, after, events.TENANT_AMENDED)

    def _delete(self, command: Command, stamp: Stamp) -> Decision:
        """Delete the tenant, as the identity provider tells or its owner asks."""
        tenant = self._tenants[command.tenant_id]
        tenant.expect(command.body.expected_versions)
        self._deleted.add(tenant.id)
        return self._settle(tenant, tenant.delete(stamp), events.TENANT_DELETED)

    def _settle(self, tenant: Tenant, after: Tenant | None, event: events.EventType) -> Decision:
        if after is None:
            return Decision(status=200, body=tenant_json(tenant))
        self._tenants[after.id] = self._changed[after.id] = after
        return Decision(status=200, body=tenant_json(after), events=(_happened(event, after),))


def _happened(event: events.EventType, tenant: Tenant) -> NewEvent:
    return NewEvent(type=event.name, aggregate_id=tenant.id, version=tenant.version, data=tenant_json(tenant))
