"""The operations of the document: what each asks, answers, and refuses."""

from dataclasses import dataclass
from typing import Any, Final

from gateway.entrypoints import queries
from gateway.entrypoints.openapi import examples
from production_contracts import artists, audit, bookings, events, members, outcomes, problems
from production_contracts.problems import ProblemType
from production_contracts.records import Record
from production_contracts.records import Request as Asked


@dataclass(frozen=True, kw_only=True)
class Body:
    """A request's body."""

    model: type[Asked]
    example: dict[str, Any]
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation. A read answers 200; a write ``status``, or 202 with where to ask for its outcome."""

    method: str
    path: str
    name: str
    summary: str
    tag: str
    model: type[Record]
    example: dict[str, Any]
    status: int = 200
    body: Body | None = None
    query: type[Asked] | None = None
    refusals: tuple[ProblemType, ...] = ()
    leads_to: tuple[str, ...] = ()
    """Operations that the id of what this answers can be given to, by name."""

    @property
    def writes(self) -> bool:
        """Whether this is a write."""
        return self.method != "GET"

    @property
    def creates(self) -> bool:
        """Whether this makes something new."""
        return self.status == 201  # noqa: PLR2004 - Created


_OF_A_BOOKING: Final = (
    "showBooking",
    "amendBooking",
    "confirmBooking",
    "cancelBooking",
    "rescheduleBooking",
    "showBookingHistory",
)
_OF_AN_ARTIST: Final = ("showArtist", "amendArtist", "archiveArtist", "showAvailability")
_BOOKING: Final = "/v1/bookings/{id}"
_ARTIST: Final = "/v1/artists/{id}"
_TAKEN: Final = problems.BOOKING_CONFLICT
_MOVED: Final = problems.INVALID_TRANSITION

OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/bookings",
        name="createBooking",
        summary="Book an artist: a pencil, unless asked for as confirmed",
        tag="bookings",
        body=Body(model=bookings.BookingRequest, example=examples.BOOKING_REQUEST),
        status=201,
        model=bookings.Booking,
        example=examples.BOOKING,
        refusals=(problems.NOT_FOUND, _TAKEN, problems.ARTIST_ARCHIVED),
        leads_to=_OF_A_BOOKING,
    ),
    Operation(
        method="GET",
        path="/v1/bookings",
        name="findBookings",
        summary="Find bookings that overlap a range, in order of start; with as_of as they were then",
        tag="bookings",
        query=queries.BookingQuery,
        model=bookings.BookingPage,
        example=examples.BOOKING_PAGE,
    ),
    Operation(
        method="GET",
        path=_BOOKING,
        name="showBooking",
        summary="Show a booking; with as_of as it was then",
        tag="bookings",
        query=queries.PastQuery,
        model=bookings.Booking,
        example=examples.BOOKING,
    ),
    Operation(
        method="PATCH",
        path=_BOOKING,
        name="amendBooking",
        summary="Change what a booking says (JSON merge patch: null clears; a fee is stated whole)",
        tag="bookings",
        body=Body(model=bookings.BookingPatch, example=examples.BOOKING_PATCH),
        model=bookings.Booking,
        example=examples.AMENDED,
        refusals=(_MOVED,),
    ),
    Operation(
        method="POST",
        path=_BOOKING + "/confirm",
        name="confirmBooking",
        summary="Make a pencil a deal",
        tag="bookings",
        model=bookings.Booking,
        example=examples.CONFIRMED,
        refusals=(_MOVED,),
    ),
    Operation(
        method="POST",
        path=_BOOKING + "/cancel",
        name="cancelBooking",
        summary="Release the artist",
        tag="bookings",
        body=Body(model=bookings.CancelRequest, example=examples.CANCEL_REQUEST, required=False),
        model=bookings.Booking,
        example=examples.CANCELLED,
    ),
    Operation(
        method="POST",
        path=_BOOKING + "/reschedule",
        name="rescheduleBooking",
        summary="Move a booking to another time",
        tag="bookings",
        body=Body(model=bookings.RescheduleRequest, example=examples.RESCHEDULE_REQUEST),
        model=bookings.Booking,
        example=examples.RESCHEDULED,
        refusals=(_TAKEN, _MOVED),
    ),
    Operation(
        method="GET",
        path=_BOOKING + "/events",
        name="showBookingHistory",
        summary="Show what has happened to a booking",
        tag="bookings",
        query=queries.HistoryQuery,
        model=events.EventPage,
        example=examples.EVENT_PAGE,
    ),
    Operation(
        method="POST",
        path="/v1/artists",
        name="createArtist",
        summary="Add an artist to the roster",
        tag="artists",
        body=Body(model=artists.ArtistRequest, example=examples.ARTIST_REQUEST),
        status=201,
        model=artists.Artist,
        example=examples.ARTIST,
        leads_to=(*_OF_AN_ARTIST, "createBooking"),
    ),
    Operation(
        method="GET",
        path="/v1/artists",
        name="findArtists",
        summary="List the roster, in order of name",
        tag="artists",
        query=queries.ArtistQuery,
        model=artists.ArtistPage,
        example=examples.ARTIST_PAGE,
    ),
    Operation(
        method="GET",
        path=_ARTIST,
        name="showArtist",
        summary="Show an artist",
        tag="artists",
        model=artists.Artist,
        example=examples.ARTIST,
    ),
    Operation(
        method="PATCH",
        path=_ARTIST,
        name="amendArtist",
        summary="Change name or time zone (JSON merge patch: null clears)",
        tag="artists",
        body=Body(model=artists.ArtistPatch, example=examples.ARTIST_PATCH),
        model=artists.Artist,
        example=examples.ARTIST_AMENDED,
    ),
    Operation(
        method="POST",
        path=_ARTIST + "/archive",
        name="archiveArtist",
        summary="Take an artist off the roster; the bookings stay",
        tag="artists",
        model=artists.Artist,
        example=examples.ARTIST_ARCHIVED,
    ),
    Operation(
        method="GET",
        path=_ARTIST + "/availability",
        name="showAvailability",
        summary="Show when an artist is taken and when free",
        tag="artists",
        query=queries.AvailabilityQuery,
        model=bookings.Availability,
        example=examples.AVAILABILITY,
    ),
    Operation(
        method="GET",
        path="/v1/events",
        name="followEvents",
        summary="Read a stream's events past a position, in order",
        tag="events",
        query=queries.EventQuery,
        model=events.EventPage,
        example=examples.EVENT_PAGE,
    ),
    Operation(
        method="GET",
        path="/v1/audit",
        name="readAuditTrail",
        summary="Read a stream's audit trail past a sequence, in order (`org:admin`)",
        tag="audit",
        query=queries.AuditQuery,
        model=audit.AuditPage,
        example=examples.AUDIT_PAGE,
    ),
    Operation(
        method="GET",
        path="/v1/commands/{id}",
        name="showCommand",
        summary="Tell what became of a command",
        tag="commands",
        model=outcomes.CommandStatus,
        example=examples.COMMAND_ACCEPTED,
    ),
    Operation(
        method="GET",
        path="/v1/tenant",
        name="showTenant",
        summary="Show the tenant that the token is for",
        tag="tenant",
        model=artists.Tenant,
        example=examples.TENANT,
        refusals=(problems.NOT_FOUND,),
    ),
    Operation(
        method="DELETE",
        path="/v1/tenant",
        name="deleteTenant",
        summary="Delete the tenant, for good: from then on all its tokens are refused",
        tag="tenant",
        query=queries.DeletionQuery,
        model=artists.Tenant,
        example=examples.TENANT_DELETED,
    ),
    Operation(
        method="GET",
        path="/v1/members",
        name="listMembers",
        summary="List the members of the tenant, in order of id",
        tag="tenant",
        query=queries.MemberQuery,
        model=members.MemberPage,
        example=examples.MEMBER_PAGE,
    ),
)
