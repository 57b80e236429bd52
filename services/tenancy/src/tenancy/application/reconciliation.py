"""Reconciliation: our books beside Clerk's, and what webhooks missed mended by the same commands, without Kafka.

Only what is news is decided. Whoever or whatever is in our books and in no list of Clerk's is asked for once more by
name before it is removed: lists are read page by page, and shift when something changes between two pages.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

from uuid_utils.compat import uuid7

from production_contracts import commands as asked
from production_contracts.audit import CallOrigin
from production_contracts.commands import BY_DATA, Author, Command, CommandBody
from production_contracts.roles import Role
from servicekit import journal
from servicekit.clerk import Fact, Facts, Invitation, Membership, Naming, Organization, sealed
from servicekit.clock import now
from servicekit.database import Database
from servicekit.jobs import each_tenant
from servicekit.keyring import Keyring
from servicekit.worker import Judge
from tenancy.adapters import members, people, roster
from tenancy.application.decider import TenancyDecider
from tenancy.domain.member import Standing, belongs, is_removed, stands
from tenancy.domain.person import Person
from tenancy.domain.stamp import Stamp
from tenancy.domain.tenant import TenantStatus, found

AUTHOR: Final = "reconcile"
"""The actor of what is mended here."""
BATCH: Final = 100
KEPT: Final = timedelta(minutes=15)
_PEOPLE: Final = "people named anew"


class Directory(Protocol):
    """Clerk's books; every call may raise what says that they can't be read."""

    def organizations(self) -> AsyncIterator[tuple[Organization, datetime]]:
        """Read all organisations, each with when that was said."""
        ...

    def memberships(self, org_id: str) -> AsyncIterator[tuple[Membership, datetime]]:
        """Read all memberships of an organisation."""
        ...

    def invitations(self, org_id: str) -> AsyncIterator[tuple[Invitation, datetime]]:
        """Read all invitations to an organisation."""
        ...

    async def lacks_member(self, org_id: str, user_id: str) -> bool:
        """Tell whether a user is no member."""
        ...

    async def lacks_organization(self, org_id: str) -> bool:
        """Tell whether there is no such organisation."""
        ...

    async def now(self) -> datetime:
        """Tell the directory's time."""
        ...


@dataclass(kw_only=True)
class Summary:
    """What was looked at and what was mended."""

    organizations: int = 0
    memberships: int = 0
    names: bool
    nameless_tenants: int = 0
    mended: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """Tell it, for people."""
        told = [f"{self.organizations} organisations with {self.memberships} memberships compared"]
        told += [f"  {count} x {what}" for what, count in sorted(self.mended.items())] or ["  nothing was missing"]
        if self.nameless_tenants:
            told.append(f"{self.nameless_tenants} tenants of which Clerk has told nothing yet were left alone")
        if not self.names:
            told.append("names and addresses were left to the webhooks: no master key is set")
        return told


class Reconciliation:
    """Compares and mends."""

    def __init__(self, database: Database, directory: Directory, facts: Facts, keyring: Keyring | None) -> None:
        """Mend our books in ``database`` by those of ``directory``; without a ``keyring`` names are left alone."""
        self._database = database
        self._directory = directory
        self._facts = facts
        self._judge = Judge(database, TenancyDecider())
        self._keyring = keyring
        self._summary = Summary(names=keyring is not None)

    async def run(self) -> Summary:
        """Compare everything, organisation by organisation."""
        began = await self._directory.now()
        listed: set[UUID] = set()
        async for organization, at in self._directory.organizations():
            self._summary.organizations += 1
            listed.add(self._facts.tenant_of(organization.id))
            await self._compare(organization, at)
        await self._find_deleted(listed, began)
        return self._summary

    async def _compare(self, organization: Organization, at: datetime) -> None:
        began = await self._directory.now()
        told: list[Fact | Naming] = [self._facts.organization(organization, organization.updated_at or at)]
        there = set()
        async for membership, said_at in self._directory.memberships(organization.id):
            there.add(membership.public_user_data.user_id)
            told += self._facts.membership(membership, membership.updated_at or said_at)
        async for invitation, said_at in self._directory.invitations(organization.id):
            told.append(self._facts.invitation(invitation, invitation.updated_at or said_at))
        self._summary.memberships += len(there)
        tenant = self._facts.tenant_of(organization.id)
        for user in await self._in_our_books_only(tenant, there):
            if await self._directory.lacks_member(organization.id, user):
                told.append(self._facts.removed_member(tenant, user, began))
        await self._mend(tenant, told)

    async def _in_our_books_only(self, tenant: UUID, there: set[str]) -> list[str]:
        async with self._database.reading(tenant) as connection:
            known = await members.all_members(connection, tenant)
        return [one.id for one in known if one.status is Standing.ACTIVE and one.id not in there]

    async def _find_deleted(self, listed: set[UUID], began: datetime) -> None:
        async for tenant_id in each_tenant(self._database):
            if tenant_id in listed:
                continue
            async with self._database.reading(tenant_id) as connection:
                tenant = await roster.tenant(connection, tenant_id)
            if tenant is None or tenant.status is TenantStatus.DELETED:
                continue  # a person, or known to be gone
            if tenant.org_id is None:
                self._summary.nameless_tenants += 1
            elif self._facts.tenant_of(tenant.org_id) == tenant_id and await self._directory.lacks_organization(
                tenant.org_id
            ):
                await self._mend(tenant_id, [self._facts.deleted_organization(tenant.org_id, began)])

    async def _mend(self, tenant: UUID, told: Sequence[Fact | Naming]) -> None:
        of_tenant = [fact for fact in told if isinstance(fact, Fact)]
        of_people = [naming for naming in told if isinstance(naming, Naming)]
        async with self._database.transaction([tenant]) as connection:
            before = await journal.head(connection, tenant)
        await self._decide(await self._news(tenant, of_tenant))
        async with self._database.reading(tenant) as connection:
            after = await journal.head(connection, tenant)
            made = await journal.events_after(connection, "tenancy", tenant, before, after - before)
        self._summary.mended.update(event["type"] for event in made if event["actor"] == AUTHOR)
        unnamed = await self._unnamed(of_people)
        await self._decide(unnamed)
        if unnamed:
            self._summary.mended[_PEOPLE] += len(unnamed)

    async def _news(self, tenant_id: UUID, told: Sequence[Fact]) -> list[Fact]:
        """Keep the facts that our books do not hold yet."""
        async with self._database.reading(tenant_id) as connection:
            tenant = await roster.tenant(connection, tenant_id)
            known = {one.id: one for one in await members.all_members(connection, tenant_id)}
            invited = {one.id: one for one in await members.all_invitations(connection, tenant_id)}
        stamp = Stamp(actor=AUTHOR, at=now(), position=0)
        tenant = tenant or found(tenant_id, stamp)
        if tenant.status is TenantStatus.DELETED:
            return []
        news = []
        for fact in told:
            after: object = None
            match fact.data:
                case asked.RecordTenant(org_id=org_id, name=name, slug=slug, as_of=as_of):
                    after = tenant.record(stamp, org_id=org_id, name=name, slug=slug, as_of=as_of)
                case asked.DeleteTenant():
                    after = tenant.delete(stamp)
                case asked.RecordMember(sub=sub, role=role, joined_at=joined_at, as_of=as_of):
                    after = belongs(known.get(sub), stamp, sub, role=role, joined_at=joined_at, as_of=as_of)
                case asked.RemoveMember(sub=sub, as_of=as_of):
                    after = is_removed(known.get(sub), stamp, sub, as_of=as_of)
                case asked.RecordInvitation(invitation=one, role=role, status=status, as_of=as_of):
                    after = stands(invited.get(one), stamp, one, role=role, status=status, as_of=as_of)
            if after is not None:
                news.append(fact)
        return news

    async def _unnamed(self, told: Sequence[Naming]) -> list[Fact]:
        """Seal what was told about people, and keep what our books do not hold yet."""
        if self._keyring is None:
            return []
        news = []
        for first in range(0, len(told), BATCH):
            some = told[first : first + BATCH]
            ids = {naming.person for naming in some}
            async with self._database.transaction(ids) as connection:
                known = await people.load(connection, ids)
            await self._keyring.prepare(ids)
            for fact in await sealed(some, self._keyring):
                data = fact.data
                assert isinstance(data, asked.RecordPerson)  # noqa: S101 - no other fact is about a person
                person = known.get(fact.tenant_id) or Person(id=fact.tenant_id)
                stated = data.model_dump(include=data.model_fields_set & {"name", "email"})
                if person.record(stated, as_of=data.as_of) is not None:
                    news.append(fact)
        return news

    async def _decide(self, facts: Sequence[Fact]) -> None:
        for first in range(0, len(facts), BATCH):
            await self._judge.decide([_command(fact) for fact in facts[first : first + BATCH]])


def _command(fact: Fact) -> Command:
    return Command(
        id=uuid7(),
        type=BY_DATA[type(fact.data)],
        tenant_id=fact.tenant_id,
        aggregate_id=fact.aggregate_id,
        body=CommandBody(
            author=Author(sub=AUTHOR, role=Role.ADMIN, iat=0, origin=CallOrigin(channel="job")),
            expires_at=now() + KEPT,
            data=fact.data,
        ),
    )
