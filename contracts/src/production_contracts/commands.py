"""Commands: what the gateway asks of the services that decide.

A command is a Kafka record: CloudEvents headers (see `envelope`), key the tenant id, value a `CommandBody` with the
``data`` that its type asks for.
"""

from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

from pydantic import Field, SerializeAsAny

from production_contracts.audit import CallOrigin
from production_contracts.bookings import ActiveStatus, SealedContact, SealedFee
from production_contracts.members import InvitationStatus
from production_contracts.records import Record
from production_contracts.roles import Permission, Role
from production_contracts.sealed import Sealed
from production_contracts.times import Timestamp


class Author(Record):
    """Who commands: the identity provider's user id, the role, and when the token was issued (seconds since 1970).

    ``origin`` says from where; null where a gateway of before the audit trail wrote the command.
    """

    sub: str
    role: Role
    iat: int
    origin: CallOrigin | None = None


class Idempotency(Record):
    """The caller's ``Idempotency-Key`` and the fingerprint of the request that it stands for."""

    key: str
    fingerprint: str


class CreateBooking(Record):
    """Occupy an artist for a time range; the record's subject is the new booking's id."""

    artist_id: UUID
    start_time: Timestamp
    end_time: Timestamp
    status: ActiveStatus
    title: str
    venue: str | None = None
    notes: Sealed | None = None
    contact: SealedContact | None = None
    fee: SealedFee | None = None


class ConfirmBooking(Record):
    """Make a pencil a deal."""


class CancelBooking(Record):
    """Release the artist."""

    reason: str | None = None


class RescheduleBooking(Record):
    """Move a booking to another time range."""

    start_time: Timestamp
    end_time: Timestamp


class AmendBooking(Record):
    """Change what a booking says; only the members that were given count (`model_fields_set`), null clears.

    The same holds within ``contact``, which is merged (RFC 7396); a ``fee`` is stated whole.
    """

    title: str = ""
    venue: str | None = None
    notes: Sealed | None = None
    contact: SealedContact | None = None
    fee: SealedFee | None = None


class CreateArtist(Record):
    """Add an artist to the roster; the record's subject is the new artist's id."""

    name: str
    time_zone: str | None = None


class AmendArtist(Record):
    """Change what the roster says of an artist; only the members that were given count, null clears."""

    name: str = ""
    time_zone: str | None = None


class ArchiveArtist(Record):
    """Take an artist off the roster: bookings stay, new ones are refused."""


class RecordTenant(Record):
    """Take note of what the identity provider says of an organisation, at its time ``as_of``."""

    org_id: str
    name: str | None = None
    slug: str | None = None
    as_of: Timestamp


class DeleteTenant(Record):
    """Take note that the organisation is deleted at the identity provider, for good."""

    as_of: Timestamp


class CloseTenant(Record):
    """Delete the tenant, for good, because its owner says so; the same comes of it as of `DeleteTenant`."""


class RecordMember(Record):
    """Take note that a user belongs to the organisation; ``role`` is null where it is none that we know."""

    sub: str
    role: Role | None = None
    joined_at: Timestamp | None = None
    as_of: Timestamp


class RemoveMember(Record):
    """Take note that a user does not belong to the organisation any more."""

    sub: str
    as_of: Timestamp


class RecordInvitation(Record):
    """Take note of how an invitation stands; whom it is for is not told, as nobody here asks."""

    invitation: str
    role: Role | None = None
    status: InvitationStatus
    as_of: Timestamp


class RecordPerson(Record):
    """Take note of a person's name and address; only the members that were given count, null clears.

    The record's tenant is the person's own id (`members.person_id`), and its stream has no events.
    """

    sub: str
    name: Sealed | None = None
    email: Sealed | None = None
    as_of: Timestamp


class ForgetPerson(Record):
    """Forget a person's name and address, for good."""

    sub: str
    as_of: Timestamp


class RefusedCall(Record):
    """An operation that the gateway refused as forbidden before it was a command, for the audit trail alone.

    The record's subject is the id in the call's path, or the tenant's where it has none. Deciding it refuses it: it
    makes no event and nobody waits for its outcome.
    """

    operation: Annotated[str, Field(max_length=200, description="Method and route, such as `POST /v1/bookings`")]


class RefusedBookingCall(RefusedCall):
    """A refused call that booking would have decided or answered."""


class RefusedTenancyCall(RefusedCall):
    """A refused call that tenancy would have decided or answered."""


CommandData = (
    CreateBooking
    | ConfirmBooking
    | CancelBooking
    | RescheduleBooking
    | AmendBooking
    | CreateArtist
    | AmendArtist
    | ArchiveArtist
    | RecordTenant
    | DeleteTenant
    | CloseTenant
    | RecordMember
    | RemoveMember
    | RecordInvitation
    | RecordPerson
    | ForgetPerson
    | RefusedBookingCall
    | RefusedTenancyCall
)


@dataclass(frozen=True, kw_only=True)
class CommandType:
    """A kind of command: its name on Kafka, who decides it, its data, and what its author must be allowed.

    ``is_refusal``: it is refused already, whatever its author may, and comes for the audit trail alone.
    """

    name: str
    service: str
    data: type[Record]
    permission: Permission
    is_refusal: bool = False


def _booking(verb: str, data: type[Record]) -> CommandType:
    name = f"production.booking.{verb}.v1"
    return CommandType(name=name, service="booking", data=data, permission=Permission.BOOKINGS_WRITE)


def _artist(verb: str, data: type[Record]) -> CommandType:
    name = f"production.artist.{verb}.v1"
    return CommandType(name=name, service="tenancy", data=data, permission=Permission.ROSTER_WRITE)


def _people(noun: str, verb: str, data: type[Record]) -> CommandType:
    name = f"production.{noun}.{verb}.v1"
    return CommandType(name=name, service="tenancy", data=data, permission=Permission.TENANT_WRITE)


def _refused(service: str, data: type[Record], permission: Permission) -> CommandType:
    name = f"production.{service}.refuse.v1"
    return CommandType(name=name, service=service, data=data, permission=permission, is_refusal=True)


COMMAND_TYPES: Final = (
    _booking("create", CreateBooking),
    _booking("confirm", ConfirmBooking),
    _booking("cancel", CancelBooking),
    _booking("reschedule", RescheduleBooking),
    _booking("amend", AmendBooking),
    _artist("create", CreateArtist),
    _artist("amend", AmendArtist),
    _artist("archive", ArchiveArtist),
    _people("tenant", "record", RecordTenant),
    _people("tenant", "delete", DeleteTenant),
    CommandType(
        name="production.tenant.close.v1", service="tenancy", data=CloseTenant, permission=Permission.TENANT_DELETE
    ),
    _people("member", "record", RecordMember),
    _people("member", "remove", RemoveMember),
    _people("invitation", "record", RecordInvitation),
    _people("person", "record", RecordPerson),
    _people("person", "forget", ForgetPerson),
    _refused("booking", RefusedBookingCall, Permission.BOOKINGS_READ),
    _refused("tenancy", RefusedTenancyCall, Permission.ROSTER_READ),
)
BY_NAME: Final = {command.name: command for command in COMMAND_TYPES}
BY_DATA: Final = {command.data: command for command in COMMAND_TYPES}


class CommandBody(Record):
    """The value of a command's record.

    ``expires_at``: decided later, it is rejected as expired. ``expected_versions``: those of the caller's ``If-Match``
    (null: none was sent).
    """

    author: Author
    expires_at: Timestamp
    idempotency: Idempotency | None = None
    expected_versions: Annotated[list[int] | None, Field(max_length=100)] = None
    data: SerializeAsAny[Record]


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command with its envelope: what `envelope.command_record` writes and `envelope.read_command` reads.

    ``reply_partition``: the partition of ``gateway.replies.v1`` on which somebody waits (None: nobody does).
    """

    id: UUID
    type: CommandType
    tenant_id: UUID
    aggregate_id: UUID
    body: CommandBody
    reply_partition: int | None = None
    traceparent: str | None = None
