"""The audit trail: every decided operation of a tenant, accepted or refused, chained so that a change shows.

Each entry's ``digest`` is the SHA-256 of the digest before it and of the entry itself without its digest, as canonical
JSON: keys in order, no space between tokens, UTF-8, nothing escaped that JSON lets stand (RFC 8785; there are no
fractions here). Before the first entry stands the SHA-256 of ``{"position": P, "stream": S, "tenant_id": T}``, in the
same form, with the position P that the tenant's stream had when its trail began.
"""

from typing import Any
from uuid import UUID

from pydantic import Field

from production_contracts.events import Stream
from production_contracts.records import Record
from production_contracts.roles import Role
from production_contracts.times import Timestamp

LONGEST_ADDRESS = 64
LONGEST_AGENT = 256


class CallOrigin(Record):
    """From where a command came."""

    channel: str = Field(
        max_length=20,
        description="`api`: a caller of the gateway; `webhook`: the identity provider; `job`: `tenancy reconcile`;"
        " `operator`: who discarded a dead letter",
    )
    address: str | None = Field(
        default=None, max_length=LONGEST_ADDRESS, description="The client's address, as the gateway saw it"
    )
    agent: str | None = Field(
        default=None, max_length=LONGEST_AGENT, description="Its `User-Agent`, as it states itself, cut to this length"
    )


class AuditEntry(Record):
    """An operation: who asked for what, when and from where, and what became of it."""

    stream: Stream
    sequence: int = Field(description="Numbers the tenant's entries of this stream 1, 2, 3, … without a gap")
    at: Timestamp = Field(description="When it was decided")
    actor: str = Field(description="The id of who asked")
    role: Role | None = Field(description="The role that the asking was under; null where that can't be read")
    origin: CallOrigin | None = Field(description="From where; null where the gateway that took it did not say")
    operation: str = Field(
        description="The command's type; or method and route of a call that the gateway refused before it was one"
    )
    aggregate_id: UUID | None = Field(description="What it was about; null where that can't be read")
    command_id: UUID
    data: dict[str, Any] | None = Field(
        description="What was asked, sealed fields as they are stored; null where the gateway refused it unread"
    )
    status: int = Field(description="HTTP status of the outcome")
    outcome: str = Field(description="`accepted`, or the slug of the problem")
    position: int = Field(description="The tenant's position in the stream after it")
    events_digest: str | None = Field(
        description="SHA-256, in hex, of the list of the events that it made, as canonical JSON; null: it made none"
    )
    digest: str = Field(description="SHA-256, in hex, of the digest before it and of all of the above")


class AuditPage(Record):
    """Entries past a sequence, in order."""

    items: list[AuditEntry]
    sequence: int = Field(description="The one to go on from")
    begins_at: int = Field(description="The tenant's position when its trail began: what is of before is not in it")
