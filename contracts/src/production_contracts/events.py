"""Events: what has happened, numbered per tenant and stream without a gap."""

from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

from production_contracts.artists import Artist, Tenant
from production_contracts.bookings import Booking, BookingEventData
from production_contracts.members import InvitationEventData, MemberEventData
from production_contracts.records import Record
from production_contracts.sealed import withheld
from production_contracts.times import Timestamp

Stream = Literal["booking", "tenancy"]
STREAMS: Final[tuple[Stream, ...]] = ("booking", "tenancy")


@dataclass(frozen=True, kw_only=True)
class EventType:
    """A kind of event and its three names: in the store and REST, on Kafka (``ce_type``), on sockets."""

    stream: Stream
    name: str
    kafka: str
    socket: str
    data: type[Record]


def _event(stream: Stream, noun: str, past: str, data: type[Record]) -> EventType:
    return EventType(
        stream=stream,
        name=f"{noun.capitalize()}{past.capitalize()}",
        kafka=f"production.{noun}.{past}.v1",
        socket=f"{noun}:{past}",
        data=data,
    )


BOOKING_CREATED: Final = _event("booking", "booking", "created", BookingEventData)
BOOKING_CONFIRMED: Final = _event("booking", "booking", "confirmed", BookingEventData)
BOOKING_CANCELLED: Final = _event("booking", "booking", "cancelled", BookingEventData)
BOOKING_RESCHEDULED: Final = _event("booking", "booking", "rescheduled", BookingEventData)
BOOKING_AMENDED: Final = _event("booking", "booking", "amended", BookingEventData)
TENANT_CREATED: Final = _event("tenancy", "tenant", "created", Tenant)
ARTIST_CREATED: Final = _event("tenancy", "artist", "created", Artist)
ARTIST_AMENDED: Final = _event("tenancy", "artist", "amended", Artist)
ARTIST_ARCHIVED: Final = _event("tenancy", "artist", "archived", Artist)
TENANT_AMENDED: Final = _event("tenancy", "tenant", "amended", Tenant)
TENANT_DELETED: Final = _event("tenancy", "tenant", "deleted", Tenant)
MEMBER_ADDED: Final = _event("tenancy", "member", "added", MemberEventData)
MEMBER_CHANGED: Final = _event("tenancy", "member", "changed", MemberEventData)
MEMBER_REMOVED: Final = _event("tenancy", "member", "removed", MemberEventData)
INVITATION_SENT: Final = _event("tenancy", "invitation", "sent", InvitationEventData)
INVITATION_ACCEPTED: Final = _event("tenancy", "invitation", "accepted", InvitationEventData)
INVITATION_REVOKED: Final = _event("tenancy", "invitation", "revoked", InvitationEventData)

EVENT_TYPES: Final = (
    BOOKING_CREATED,
    BOOKING_CONFIRMED,
    BOOKING_CANCELLED,
    BOOKING_RESCHEDULED,
    BOOKING_AMENDED,
    TENANT_CREATED,
    ARTIST_CREATED,
    ARTIST_AMENDED,
    ARTIST_ARCHIVED,
    TENANT_AMENDED,
    TENANT_DELETED,
    MEMBER_ADDED,
    MEMBER_CHANGED,
    MEMBER_REMOVED,
    INVITATION_SENT,
    INVITATION_ACCEPTED,
    INVITATION_REVOKED,
)
BY_NAME: Final = {event.name: event for event in EVENT_TYPES}
BY_KAFKA: Final = {event.kafka: event for event in EVENT_TYPES}

_WITHHELD: Final = withheld(Booking)


class Event(Record):
    """An event, the same in REST and as the value on Kafka.

    ``position`` numbers the tenant's events of this stream 1, 2, 3, …; ``version`` those of the aggregate; ``actor`` is
    the id of who did it; ``data`` the whole aggregate after it.
    """

    stream: Stream
    position: int
    id: UUID
    type: str
    aggregate_id: UUID
    version: int
    occurred_at: Timestamp
    actor: str
    data: dict[str, Any]


class EventPage(Record):
    """Events past a position, in order; ``position`` is the one to go on from."""

    items: list[Event]
    position: int


class SocketMessage(Record):
    """An event as a socket receives it: without its actor and without sensitive fields."""

    stream: Stream
    position: int
    id: UUID
    type: str
    occurred_at: Timestamp
    data: dict[str, Any]


def public_data(data: dict[str, Any]) -> dict[str, Any]:
    """Leave out of an event's data what is sensitive, be it open as the gateway tells it or sealed as on the topic."""
    return {name: value for name, value in data.items() if name not in _WITHHELD}


def socket_message(event: dict[str, Any]) -> dict[str, Any]:
    """Make a socket's message of an event, both as JSON objects."""
    return {
        "stream": event["stream"],
        "position": event["position"],
        "id": event["id"],
        "type": event["type"],
        "occurred_at": event["occurred_at"],
        "data": public_data(event["data"]),
    }
