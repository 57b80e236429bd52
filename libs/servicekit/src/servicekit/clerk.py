"""Clerk's objects as facts: what its webhooks and its Backend API say of organisations, members, invitations, people.

Sources: https://clerk.com/docs/guides/development/webhooks/overview (the envelope: ``type``, ``data``, ``timestamp``)
and the Backend API's Organization, OrganizationMembership, OrganizationInvitation and User. Times are milliseconds
since 1970. A fact is a command of tenancy with Clerk's own time ``as_of``; which of two is newer is decided there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, Protocol
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from production_contracts.commands import (
    DeleteTenant,
    ForgetPerson,
    RecordInvitation,
    RecordMember,
    RecordPerson,
    RecordTenant,
    RemoveMember,
)
from production_contracts.members import invitation_id, member_id, person_id, tenant_id
from production_contracts.records import Record
from production_contracts.roles import Role
from production_contracts.times import EARLIEST
from servicekit.keyring import KeyDestroyedError
from servicekit.vault import AesVault

AUTHOR: Final = "clerk"
"""The actor of what Clerk tells us."""

_SECONDS_UP_TO: Final = 100_000_000_000
"""A number up to here is a time in seconds (the year 5138), beyond it in milliseconds (from 1973 on)."""


def read_time(value: Any) -> Any:  # noqa: ANN401 - whatever Clerk sent
    """Read a time in milliseconds since 1970; in seconds, as some of Clerk's own examples have it, too."""
    if type(value) not in (int, float):
        return value
    milliseconds = int(value) if value > _SECONDS_UP_TO else int(value * 1000)
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=max(0, milliseconds))
    except OverflowError:
        message = "there is no such time"
        raise ValueError(message) from None


def _read_role(value: Any) -> Any:  # noqa: ANN401 - whatever Clerk sent
    """Read a role; one that we do not know grants nothing."""
    return value if isinstance(value, str) and value in set(Role) else None


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        message = "there is no such time"
        raise ValueError(message) from None


Time = Annotated[AwareDatetime, BeforeValidator(read_time), AfterValidator(_in_utc)]
KnownRole = Annotated[Role | None, BeforeValidator(_read_role)]
Id = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[!-~]+$")]
Text = Annotated[str, Field(max_length=1_000, pattern=r"^[^\x00]*$")]


class Organization(Record):
    """An organisation."""

    id: Id
    name: Text | None = None
    slug: Text | None = None
    updated_at: Time | None = None


class PublicUserData(Record):
    """What a membership says of its user; ``identifier`` is an address, a phone number or a name to log in with."""

    user_id: Id
    first_name: Text | None = None
    last_name: Text | None = None
    identifier: Text | None = None


class Membership(Record):
    """A user's membership of an organisation."""

    organization: Organization
    public_user_data: PublicUserData
    role: KnownRole = None
    created_at: Time | None = None
    updated_at: Time | None = None


class Invitation(Record):
    """An invitation to an organisation."""

    id: Id
    organization_id: Id
    role: KnownRole = None
    status: Literal["pending", "accepted", "revoked", "expired"] | None = None
    updated_at: Time | None = None


class EmailAddress(Record):
    """One of a user's addresses."""

    id: str
    email_address: Text


class User(Record):
    """A user."""

    id: Id
    first_name: Text | None = None
    last_name: Text | None = None
    email_addresses: list[EmailAddress] = Field(default_factory=list)
    primary_email_address_id: str | None = None
    updated_at: Time | None = None


class Deleted(Record):
    """What is left of something deleted."""

    id: Id


class Stamped(Record):
    """Whatever says when it changed."""

    updated_at: Time | None = None


class Webhook(Record):
    """The envelope of a webhook."""

    type: str
    data: dict[str, Any]
    timestamp: Time | None = None


class Seals(Protocol):
    """What gives the vault that seals for a person; `keyring.Keyring` does."""

    async def sealing(self, tenant_id: UUID) -> AesVault:
        """Give it.

        Raises:
            KeysAwayError: it can't be had for the moment.
            KeyDestroyedError: the person is forgotten.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """Something that Clerk says: a command's data, whose tenant's it is, and of which aggregate."""

    tenant_id: UUID
    aggregate_id: UUID
    data: Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Naming:
    """What Clerk says of a person's name and address, in clear: `sealed` makes a fact of it."""

    person: UUID
    sub: str
    stated: Mapping[str, str | None] = field(repr=False)
    as_of: datetime


async def sealed(told: Sequence[Fact | Naming], seals: Seals) -> list[Fact]:
    """Seal what was told of people; of who is forgotten nothing is told any more.

    Raises:
        KeysAwayError: keys can't be had for the moment.
    """
    facts = []
    for one in told:
        if isinstance(one, Fact):
            facts.append(one)
            continue
        try:
            vault = await seals.sealing(one.person)
        except KeyDestroyedError:
            continue
        texts = {
            name: None if text is None else vault.seal(one.person, one.person, name, text)
            for name, text in one.stated.items()
        }
        data = RecordPerson.model_validate({"sub": one.sub, "as_of": one.as_of, **texts})
        facts.append(Fact(tenant_id=one.person, aggregate_id=one.person, data=data))
    return facts


class Facts:
    """Reads Clerk's objects; of names and addresses only where asked to, as they are to be `sealed` then."""

    def __init__(self, namespace: UUID, *, names: bool) -> None:
        """Derive tenants' and people's ids in the issuer's ``namespace``; with ``names`` or without."""
        self._namespace = namespace
        self._names = names
        self._readers: Mapping[str, Callable[[dict[str, Any], datetime], Sequence[Fact | Naming]]] = {
            "organization.created": self._organization,
            "organization.updated": self._organization,
            "organization.deleted": self._organization_deleted,
            "organizationMembership.created": self._membership,
            "organizationMembership.updated": self._membership,
            "organizationMembership.deleted": self._membership_deleted,
            "organizationInvitation.created": self._invitation_of("pending"),
            "organizationInvitation.accepted": self._invitation_of("accepted"),
            "organizationInvitation.revoked": self._invitation_of("revoked"),
            "user.created": self._user,
            "user.updated": self._user,
            "user.deleted": self._user_deleted,
        }

    def tenant_of(self, org_id: str) -> UUID:
        """Derive a tenant's id."""
        return tenant_id(self._namespace, org_id)

    def of_webhook(self, webhook: Webhook, sent_at: datetime) -> Sequence[Fact | Naming] | None:
        """Read the facts of a webhook; None: its type is none that we know.

        ``sent_at`` is when it was signed: the time that counts where Clerk states none.

        Raises:
            pydantic.ValidationError: it is not as its type asks.
        """
        read = self._readers.get(webhook.type)
        if read is None:
            return None
        stated = webhook.timestamp or Stamped.model_validate(webhook.data).updated_at
        return read(webhook.data, stated or sent_at)

    def organization(self, found: Organization, as_of: datetime) -> Fact:
        """Say that there is an organisation, and its names."""
        tenant = self.tenant_of(found.id)
        data = RecordTenant(org_id=found.id, name=found.name, slug=found.slug, as_of=_whole(as_of))
        return Fact(tenant_id=tenant, aggregate_id=tenant, data=data)

    def deleted_organization(self, org_id: str, as_of: datetime) -> Fact:
        """Say that an organisation is deleted."""
        tenant = self.tenant_of(org_id)
        return Fact(tenant_id=tenant, aggregate_id=tenant, data=DeleteTenant(as_of=_whole(as_of)))

    def membership(self, found: Membership, as_of: datetime) -> list[Fact | Naming]:
        """Say that a user is a member; and, where the membership tells both, the user's name and address."""
        tenant, user = self.tenant_of(found.organization.id), found.public_user_data
        joined_at = None if found.created_at is None else _whole(found.created_at)
        data = RecordMember(sub=user.user_id, role=found.role, joined_at=joined_at, as_of=_whole(as_of))
        fact = Fact(tenant_id=tenant, aggregate_id=member_id(tenant, user.user_id), data=data)
        stated: dict[str, str | None] = {}
        if user.identifier and "@" in user.identifier:
            stated["email"] = user.identifier
        if name := _full_name(user.first_name, user.last_name):
            stated["name"] = name
        return [fact, *self._person(user.user_id, stated, as_of)]

    def removed_member(self, tenant: UUID, user_id: str, as_of: datetime) -> Fact:
        """Say that a user is not a member any more."""
        data = RemoveMember(sub=user_id, as_of=_whole(as_of))
        return Fact(tenant_id=tenant, aggregate_id=member_id(tenant, user_id), data=data)

    def invitation(self, found: Invitation, as_of: datetime) -> Fact:
        """Say how an invitation stands; one that expired stands as one revoked."""
        tenant = self.tenant_of(found.organization_id)
        status = "revoked" if found.status == "expired" else found.status or "pending"
        data = RecordInvitation(invitation=found.id, role=found.role, status=status, as_of=_whole(as_of))
        return Fact(tenant_id=tenant, aggregate_id=invitation_id(tenant, found.id), data=data)

    def user(self, found: User, as_of: datetime) -> list[Naming]:
        """Say what a person is called, and at which address."""
        primary = (one for one in found.email_addresses if one.id == found.primary_email_address_id)
        address = next(primary, next(iter(found.email_addresses), None))
        stated = {
            "name": _full_name(found.first_name, found.last_name),
            "email": None if address is None else address.email_address,
        }
        return self._person(found.id, stated, as_of)

    def _organization(self, data: dict[str, Any], as_of: datetime) -> list[Fact]:
        return [self.organization(Organization.model_validate(data), as_of)]

    def _organization_deleted(self, data: dict[str, Any], as_of: datetime) -> list[Fact]:
        return [self.deleted_organization(Deleted.model_validate(data).id, as_of)]

    def _membership(self, data: dict[str, Any], as_of: datetime) -> list[Fact | Naming]:
        return self.membership(Membership.model_validate(data), as_of)

    def _membership_deleted(self, data: dict[str, Any], as_of: datetime) -> list[Fact]:
        found = Membership.model_validate(data)
        return [self.removed_member(self.tenant_of(found.organization.id), found.public_user_data.user_id, as_of)]

    def _invitation_of(self, status: str) -> Callable[[dict[str, Any], datetime], list[Fact]]:
        def read(data: dict[str, Any], as_of: datetime) -> list[Fact]:
            return [self.invitation(Invitation.model_validate(data | {"status": status}), as_of)]

        return read

    def _user(self, data: dict[str, Any], as_of: datetime) -> list[Naming]:
        return self.user(User.model_validate(data), as_of)

    def _user_deleted(self, data: dict[str, Any], as_of: datetime) -> list[Fact]:
        user_id = Deleted.model_validate(data).id
        person = person_id(self._namespace, user_id)
        return [Fact(tenant_id=person, aggregate_id=person, data=ForgetPerson(sub=user_id, as_of=_whole(as_of)))]

    def _person(self, user_id: str, stated: dict[str, str | None], as_of: datetime) -> list[Naming]:
        if not self._names or not stated:
            return []
        person = person_id(self._namespace, user_id)
        return [Naming(person=person, sub=user_id, stated=stated, as_of=_whole(as_of))]


def _full_name(first: str | None, last: str | None) -> str | None:
    return " ".join(part.strip() for part in (first, last) if part and part.strip()) or None


def _whole(moment: datetime) -> datetime:
    """Cut a time to what the contract carries."""
    return max(EARLIEST, moment.replace(microsecond=moment.microsecond // 1000 * 1000))
