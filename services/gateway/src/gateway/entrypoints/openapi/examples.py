"""Examples: one small story, told by every operation and every problem of the document."""

from typing import Any, Final

from production_contracts import problems
from production_contracts.problems import ProblemType, problem_body

JSON = dict[str, Any]

ARTIST_ID: Final = "019b0a5e-7c00-7000-8000-0000000000a1"
BOOKING_ID: Final = "019b0a5e-7c00-7000-8000-0000000000b1"
OTHER_BOOKING_ID: Final = "019b0a5e-7c00-7000-8000-0000000000b2"
TENANT_ID: Final = "a2f6c1de-6d0f-5c0e-8a54-31c0e7a1d001"
COMMAND_ID: Final = "booking-AZsKXnwAcACAAAAAAAAAwT1rZq9m3T8wC4m0sQ8x"
CURSOR: Final = "eyJhZnRlciI6IjAxOWIwYTVlIn0"
START: Final = "2027-05-08T20:00:00.000Z"
END: Final = "2027-05-08T23:00:00.000Z"
LATER: Final = "2027-05-09T02:00:00.000Z"
MOMENT: Final = "2026-11-23T09:15:00.000Z"
MOMENT_AFTER: Final = "2026-11-23T09:20:00.000Z"
USER: Final = "user_2nQbYh1mZk"

BOOKING_REQUEST: Final[JSON] = {
    "artist_id": ARTIST_ID,
    "start_time": START,
    "end_time": END,
    "title": "Spring tour, Berlin",
    "venue": "Columbiahalle",
    "notes": "Load-in at 14:00 by the back gate",
    "contact": {"name": "Ben Winter", "email": "ben@example.org", "phone": None},
    "fee": {"amount": 150_000, "currency": "EUR"},
}
BOOKING_PATCH: Final[JSON] = {"venue": "Huxleys Neue Welt", "notes": None, "contact": {"phone": "+49 30 901820"}}
RESCHEDULE_REQUEST: Final[JSON] = {"start_time": END, "end_time": LATER}
CANCEL_REQUEST: Final[JSON] = {"reason": "The tour is off"}
ARTIST_REQUEST: Final[JSON] = {"name": "The Weather Girls", "time_zone": "Europe/Berlin"}
ARTIST_PATCH: Final[JSON] = {"time_zone": None}

BOOKING: Final[JSON] = {
    "id": BOOKING_ID,
    **BOOKING_REQUEST,
    "status": "pencil",
    "version": 1,
    "position": 41,
    "created_by": USER,
    "created_at": MOMENT,
    "updated_at": MOMENT,
}
_CHANGED: Final[JSON] = {"version": 2, "position": 42, "updated_at": MOMENT_AFTER}
CONFIRMED: Final[JSON] = BOOKING | _CHANGED | {"status": "confirmed"}
CANCELLED: Final[JSON] = BOOKING | _CHANGED | {"status": "cancelled"}
AMENDED: Final[JSON] = BOOKING | _CHANGED | BOOKING_PATCH | {"contact": BOOKING["contact"] | BOOKING_PATCH["contact"]}
RESCHEDULED: Final[JSON] = BOOKING | _CHANGED | RESCHEDULE_REQUEST
BOOKING_PAGE: Final[JSON] = {"items": [BOOKING], "next_cursor": CURSOR}

ARTIST: Final[JSON] = {
    "id": ARTIST_ID,
    **ARTIST_REQUEST,
    "status": "active",
    "version": 1,
    "position": 2,
    "created_by": USER,
    "created_at": MOMENT,
    "updated_at": MOMENT,
}
_ARTIST_CHANGED: Final[JSON] = {"version": 2, "position": 3, "updated_at": MOMENT_AFTER}
ARTIST_AMENDED: Final[JSON] = ARTIST | _ARTIST_CHANGED | ARTIST_PATCH
ARTIST_ARCHIVED: Final[JSON] = ARTIST | _ARTIST_CHANGED | {"status": "archived"}
ARTIST_PAGE: Final[JSON] = {"items": [ARTIST], "next_cursor": None}
_BUSY: Final[JSON] = {"booking_id": OTHER_BOOKING_ID, "status": "confirmed", "start_time": START, "end_time": END}
AVAILABILITY: Final[JSON] = {
    "artist_id": ARTIST_ID,
    "from": "2027-05-08T18:00:00.000Z",
    "to": LATER,
    "busy": [_BUSY],
    "free": [
        {"start_time": "2027-05-08T18:00:00.000Z", "end_time": START},
        {"start_time": END, "end_time": LATER},
    ],
}
EVENT_PAGE: Final[JSON] = {
    "items": [
        {
            "stream": "booking",
            "position": 42,
            "id": "019b0a5e-7c00-7000-8000-0000000000e2",
            "type": "BookingRescheduled",
            "aggregate_id": BOOKING_ID,
            "version": 2,
            "occurred_at": MOMENT_AFTER,
            "actor": USER,
            "data": RESCHEDULED | {"previous": {"start_time": START, "end_time": END}},
        }
    ],
    "position": 42,
}
AUDIT_PAGE: Final[JSON] = {
    "items": [
        {
            "stream": "booking",
            "sequence": 57,
            "at": MOMENT_AFTER,
            "actor": USER,
            "role": "org:member",
            "origin": {"channel": "api", "address": "203.0.113.9", "agent": "Mozilla/5.0"},
            "operation": "production.booking.reschedule.v1",
            "aggregate_id": BOOKING_ID,
            "command_id": "019b0a5e-7c00-7000-8000-0000000000c2",
            "data": RESCHEDULE_REQUEST,
            "status": 200,
            "outcome": "accepted",
            "position": 42,
            "events_digest": "7c1b0d3f0a1c4a5c8a6f3d2f4f0b3a0f8f3c9d4be2a7f5a1c6d8e9b0a2c4d6e8",
            "digest": "0f3a5b7c9d1e2f4a6b8c0d2e4f6a8b0c1d3e5f7a9b0c2d4e6f8a0b1c3d5e7f9a",
        }
    ],
    "sequence": 57,
    "begins_at": 0,
}
COMMAND_PENDING: Final[JSON] = {"id": COMMAND_ID, "status": "pending", "outcome": None}
COMMAND_ACCEPTED: Final[JSON] = {
    "id": COMMAND_ID,
    "status": "accepted",
    "outcome": {"status": 200, "body": CONFIRMED},
}
ORGANISATION: Final = "org_2nQa7cVw3X"
TENANT: Final[JSON] = {
    "id": TENANT_ID,
    "org_id": ORGANISATION,
    "name": "Acme Touring",
    "slug": "acme-touring",
    "status": "active",
    "as_of": MOMENT,
    "version": 2,
    "position": 2,
    "created_at": MOMENT,
    "updated_at": MOMENT,
}
TENANT_DELETED: Final[JSON] = TENANT | {
    "status": "deleted",
    "version": 3,
    "position": 9,
    "updated_at": MOMENT_AFTER,
}
MEMBER_PAGE: Final[JSON] = {
    "items": [
        {
            "id": USER,
            "role": "org:admin",
            "name": "Ana Sommer",
            "email": "ana@example.org",
            "joined_at": MOMENT,
            "updated_at": MOMENT,
        }
    ],
    "next_cursor": None,
}
WEBHOOK: Final[JSON] = {
    "object": "event",
    "type": "organizationMembership.deleted",
    "timestamp": 1795425300000,
    "data": {
        "object": "organization_membership",
        "id": "orgmem_2nQc9sTz8K",
        "role": "org:member",
        "organization": {"id": ORGANISATION, "name": "Acme Touring", "slug": "acme-touring"},
        "public_user_data": {"user_id": "user_2nQbZk7wPq", "identifier": "ben@example.org"},
    },
}


def _say(kind: ProblemType, detail: str, **members: Any) -> tuple[str, JSON]:  # noqa: ANN401 - extension members
    return kind.slug, problem_body(kind, detail, **members)


PROBLEMS: Final[dict[str, JSON]] = dict(
    (
        _say(problems.UNAUTHENTICATED, "The token has expired."),
        _say(problems.FORBIDDEN, "The role org:viewer does not hold the permission bookings:write."),
        _say(problems.NOT_FOUND, "There is nothing at this address, or nothing that you may see."),
        _say(problems.NOT_ACCEPTABLE, "Answers here are application/json."),
        _say(
            problems.BOOKING_CONFLICT,
            "The artist is taken for part of this time.",
            conflicts=[_BUSY],
            next_free=[{"start_time": END, "end_time": LATER}],
        ),
        _say(problems.INVALID_TRANSITION, "A cancelled booking can't be confirmed."),
        _say(problems.ARTIST_ARCHIVED, "This artist is archived and takes no new bookings."),
        _say(problems.VERSION_MISMATCH, "The booking is at version 3."),
        _say(problems.PAYLOAD_TOO_LARGE, "A body is at most 262144 bytes."),
        _say(problems.UNSUPPORTED_MEDIA_TYPE, "A body here is application/json in UTF-8, without a content encoding."),
        _say(
            problems.INVALID_REQUEST,
            "The request is not as the contract asks; see errors.",
            errors=[{"pointer": "#/title", "detail": "String should have at least 1 character"}],
        ),
        _say(problems.IDEMPOTENCY_KEY_REUSED, "This Idempotency-Key stands for another request already."),
        _say(problems.RATE_LIMITED, "More than 2000 requests in 1 s by one user."),
        _say(problems.HEADERS_TOO_LARGE, "Request line and headers are larger than 16384 bytes."),
        _say(problems.INTERNAL, "Something went wrong on our side; it has been logged."),
        _say(
            problems.UNAVAILABLE,
            "The request may have been taken: ask for its command before you try again.",
            command_id=COMMAND_ID,
        ),
        _say(problems.EXPIRED, "This was not decided in time; nothing happened."),
    )
)
