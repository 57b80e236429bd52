"""Problems: every error we answer, as RFC 9457 ``application/problem+json``."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from pydantic import ConfigDict

from production_contracts.bookings import Conflict, TimeRange
from production_contracts.records import Record

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "/problems/"


@dataclass(frozen=True, kw_only=True)
class ProblemType:
    """A kind of problem: its slug, HTTP status and title, the same for every occurrence."""

    slug: str
    status: int
    title: str

    @property
    def uri(self) -> str:
        """The ``type`` member."""
        return TYPE_PREFIX + self.slug


UNAUTHENTICATED = ProblemType(slug="unauthenticated", status=401, title="Not authenticated")
FORBIDDEN = ProblemType(slug="forbidden", status=403, title="Not allowed")
NOT_FOUND = ProblemType(slug="not-found", status=404, title="Not found")
METHOD_NOT_ALLOWED = ProblemType(slug="method-not-allowed", status=405, title="Method not allowed")
NOT_ACCEPTABLE = ProblemType(slug="not-acceptable", status=406, title="Not acceptable")
BOOKING_CONFLICT = ProblemType(slug="booking-conflict", status=409, title="The artist is taken")
INVALID_TRANSITION = ProblemType(slug="invalid-transition", status=409, title="Not possible in this state")
ARTIST_ARCHIVED = ProblemType(slug="artist-archived", status=409, title="The artist is archived")
VERSION_MISMATCH = ProblemType(slug="version-mismatch", status=412, title="It has changed meanwhile")
PAYLOAD_TOO_LARGE = ProblemType(slug="payload-too-large", status=413, title="Body too large")
UNSUPPORTED_MEDIA_TYPE = ProblemType(slug="unsupported-media-type", status=415, title="Unsupported media type")
INVALID_REQUEST = ProblemType(slug="invalid-request", status=422, title="Invalid request")
IDEMPOTENCY_KEY_REUSED = ProblemType(slug="idempotency-key-reused", status=422, title="Idempotency key reused")
RATE_LIMITED = ProblemType(slug="rate-limited", status=429, title="Too many requests")
HEADERS_TOO_LARGE = ProblemType(slug="headers-too-large", status=431, title="Headers too large")
INTERNAL = ProblemType(slug="internal", status=500, title="Internal error")
UNAVAILABLE = ProblemType(slug="unavailable", status=503, title="Unavailable for the moment")
EXPIRED = ProblemType(slug="expired", status=504, title="Not decided in time")

PROBLEM_TYPES: Final = {
    problem.slug: problem
    for problem in (
        UNAUTHENTICATED,
        FORBIDDEN,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        NOT_ACCEPTABLE,
        BOOKING_CONFLICT,
        INVALID_TRANSITION,
        ARTIST_ARCHIVED,
        VERSION_MISMATCH,
        PAYLOAD_TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        INVALID_REQUEST,
        IDEMPOTENCY_KEY_REUSED,
        RATE_LIMITED,
        HEADERS_TOO_LARGE,
        INTERNAL,
        UNAVAILABLE,
        EXPIRED,
    )
}


class FieldError(Record):
    """One thing wrong with a request: where (a JSON pointer, as a URI fragment), and what."""

    pointer: str
    detail: str


class Problem(Record):
    """A problem as it stands in a response; the members below ``detail`` belong to single types."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None
    conflicts: list[Conflict] | None = None
    next_free: list[TimeRange] | None = None
    command_id: str | None = None
    artist_id: UUID | None = None


def problem_body(problem: ProblemType, detail: str, **members: Any) -> dict[str, Any]:  # noqa: ANN401 - extensions
    """Write a problem as the JSON object of the response; ``members`` are its extension members, ready for JSON."""
    return {"type": problem.uri, "title": problem.title, "status": problem.status, "detail": detail, **members}
