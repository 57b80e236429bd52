"""Queries of reads: each parameter once, none unknown, each as the contract asks."""

from typing import Annotated, Any, Self, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from starlette.requests import Request

from gateway.application.reader import Inquiry
from gateway.entrypoints import conditions
from production_contracts.artists import ArtistStatus
from production_contracts.bookings import BookingStatus
from production_contracts.events import Stream
from production_contracts.records import Request as Asked
from production_contracts.text import Id
from production_contracts.times import Timestamp, check_range
from servicekit.problems import field_errors, invalid_request

LARGEST_PAGE = 200
LARGEST_EVENT_PAGE = 500
LARGEST_POSITION = 2**63 - 1
_LONGEST_NUMBER = 19

Q = TypeVar("Q", bound=Asked)


def _read_number(value: Any) -> Any:  # noqa: ANN401 - whatever a client sent
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER):
            message = "this must be a whole number, in digits only"
            raise ValueError(message)
        return int(value)
    return value


_Number = BeforeValidator(_read_number)
Cursor = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,1024}$", description="`next_cursor` of the page before")]
PageLimit = Annotated[int, Field(ge=1, le=LARGEST_PAGE, description="Items in a page at most"), _Number]
EventLimit = Annotated[int, Field(ge=1, le=LARGEST_EVENT_PAGE, description="Events in a page at most"), _Number]
Position = Annotated[int, Field(ge=0, le=LARGEST_POSITION, description="Events past this position"), _Number]
Sequence = Annotated[int, Field(ge=0, le=LARGEST_POSITION, description="Entries past this sequence"), _Number]
From = Annotated[Timestamp | None, Field(alias="from", description="What ends after this")]
To = Annotated[Timestamp | None, Field(alias="to", description="What starts before this")]
AsOf = Annotated[Timestamp | None, Field(description="As it was at this moment, which is not in the future")]


class BookingQuery(Asked):
    """Query of ``GET /v1/bookings``: what overlaps ``[from, to)``."""

    artist_id: Id | None = Field(default=None, description="Of this artist")
    start_time: From = None
    end_time: To = None
    status: BookingStatus | None = Field(default=None, description="In this state")
    as_of: AsOf = None
    limit: PageLimit = 50
    cursor: Cursor | None = None

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.start_time is not None and self.end_time is not None and self.start_time >= self.end_time:
            message = "from must lie before to"
            raise ValueError(message)
        return self


class PastQuery(Asked):
    """Query of ``GET /v1/bookings/{id}``."""

    as_of: AsOf = None


class AvailabilityQuery(Asked):
    """Query of ``GET /v1/artists/{id}/availability``: at most 366 days."""

    start_time: Timestamp = Field(alias="from", description="Begin of the range")
    end_time: Timestamp = Field(alias="to", description="End of the range, not part of it")

    @model_validator(mode="after")
    def _range(self) -> Self:
        check_range(self.start_time, self.end_time)
        return self


class ArtistQuery(Asked):
    """Query of ``GET /v1/artists``."""

    status: ArtistStatus | None = Field(default=None, description="In this state")
    limit: PageLimit = 50
    cursor: Cursor | None = None


class MemberQuery(Asked):
    """Query of ``GET /v1/members``."""

    limit: PageLimit = 50
    cursor: Cursor | None = None


class EventQuery(Asked):
    """Query of ``GET /v1/events``."""

    stream: Stream = Field(description="Which of the tenant's streams")
    after: Position = 0
    limit: EventLimit = 100


class AuditQuery(Asked):
    """Query of ``GET /v1/audit``."""

    stream: Stream = Field(description="Which of the tenant's streams")
    after: Sequence = 0
    limit: EventLimit = 100


class HistoryQuery(Asked):
    """Query of ``GET /v1/bookings/{id}/events``."""

    after: Position = 0
    limit: EventLimit = 100


class DeletionQuery(Asked):
    """Query of ``DELETE /v1/tenant``."""

    confirm: Id = Field(description="The id of the tenant, so that none is deleted by mistake")


class NoQuery(Asked):
    """The query of a read that has none."""


def read(request: Request, model: type[Q]) -> Q:
    """Read a request's query.

    Raises:
        ProblemError: `invalid-request`.
    """
    stated: dict[str, str] = {}
    repeated: list[dict[str, str]] = []
    for name, value in request.query_params.multi_items():
        if name in stated:
            repeated += field_errors([{"loc": (name,), "msg": "this parameter stands twice"}], within=("query",))
        stated[name] = value
    if repeated:
        raise invalid_request(repeated)
    try:
        return model.model_validate(stated)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise invalid_request(field_errors(found, within=("query",))) from None


def inquiry(request: Request, path: str, query: Asked) -> Inquiry:
    """Write a read for the service that answers it at ``path``: its query, defaults included, and ``Min-Position``.

    Raises:
        ProblemError: `invalid-request`.
    """
    stated = query.model_dump(mode="json", by_alias=True, exclude_none=True)
    return Inquiry(
        path=path, query={name: str(value) for name, value in stated.items()}, headers=conditions.min_position(request)
    )
