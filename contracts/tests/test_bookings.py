"""What a client may ask of bookings and artists."""

from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from production_contracts.artists import ArtistPatch, ArtistRequest
from production_contracts.bookings import (
    Booking,
    BookingPatch,
    BookingRequest,
    CancelRequest,
    RescheduleRequest,
    SealedBooking,
)
from production_contracts.sealed import sensitive_fields

ARTIST = UUID("0190f3a4-0000-7000-8000-000000000001")
NIGHT: dict[str, Any] = {
    "artist_id": str(ARTIST),
    "start_time": "2027-05-08T20:00:00Z",
    "end_time": "2027-05-08T23:00:00Z",
    "title": "A night",
}


def test_a_booking_is_a_pencil_without_venue_and_notes_unless_told_otherwise() -> None:
    asked = BookingRequest.model_validate(NIGHT)
    assert (asked.status, asked.venue, asked.notes) == ("pencil", None, None)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "cancelled"},
        {"status": "Pencil"},
        {"artist_id": "not-an-id"},
        {"artist_id": f"urn:uuid:{ARTIST}"},
        {"artist_id": f"{{{ARTIST}}}"},
        {"artist_id": ARTIST.hex},
        {"artist_id": f"{ARTIST}\n"},
        {"artist_id": 1},
        {"title": None},
        {"title": ""},
        {"title": 5},
        {"start_time": None},
        {"start_time": 1809892800},
        {"end_time": NIGHT["start_time"]},
        {"end_time": "2027-05-08T19:00:00Z"},
        {"end_time": "2029-05-08T19:00:00Z"},
        {"colour": "green"},
        {"id": str(ARTIST)},
        {"version": 1},
        {"notes": {"kid": "a", "ct": "b"}},
    ],
)
def test_a_booking_request_that_breaks_the_contract_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BookingRequest.model_validate(NIGHT | change)


@pytest.mark.parametrize("missing", list(NIGHT))
def test_a_booking_needs_artist_times_and_title(missing: str) -> None:
    with pytest.raises(ValidationError):
        BookingRequest.model_validate({name: value for name, value in NIGHT.items() if name != missing})


@pytest.mark.parametrize(("patch", "required"), [(BookingPatch, "title"), (ArtistPatch, "name")])
def test_a_patch_tells_what_was_given_from_what_was_not_and_clears_only_what_may_be_empty(
    patch: type[BookingPatch] | type[ArtistPatch], required: str
) -> None:
    assert patch.model_validate({}).model_fields_set == set()
    assert patch.model_validate({required: "new"}).model_fields_set == {required}
    with pytest.raises(ValidationError):
        patch.model_validate({required: None})
    with pytest.raises(ValidationError):
        patch.model_validate({"status": "confirmed"})


def test_a_patch_clears_with_null() -> None:
    asked = BookingPatch.model_validate({"venue": None, "notes": None})
    assert asked.model_fields_set == {"venue", "notes"}
    assert (asked.venue, asked.notes) == (None, None)


def test_a_move_is_a_range_and_a_cancellation_may_have_a_reason() -> None:
    with pytest.raises(ValidationError):
        RescheduleRequest.model_validate({"start_time": NIGHT["end_time"], "end_time": NIGHT["start_time"]})
    assert CancelRequest.model_validate({}).reason is None
    with pytest.raises(ValidationError):
        CancelRequest.model_validate({"reason": "x" * 1001})


def test_an_artist_has_a_name_and_may_have_a_time_zone() -> None:
    assert ArtistRequest.model_validate({"name": "The Band"}).time_zone is None
    with pytest.raises(ValidationError):
        ArtistRequest.model_validate({"name": "The Band", "time_zone": "Mars/Base"})
    with pytest.raises(ValidationError):
        ArtistRequest.model_validate({"time_zone": "Europe/Berlin"})


def test_every_field_that_is_sensitive_is_marked_wherever_a_client_gives_or_gets_it() -> None:
    for model in (BookingRequest, BookingPatch, Booking):
        assert sensitive_fields(model) == {"notes"}


def test_a_booking_behind_the_gateway_has_no_place_for_plain_notes() -> None:
    stored = {
        **NIGHT,
        "id": str(ARTIST),
        "status": "pencil",
        "version": 1,
        "position": 1,
        "created_by": "user_ana",
        "created_at": NIGHT["start_time"],
        "updated_at": NIGHT["start_time"],
    }
    assert SealedBooking.model_validate(stored | {"notes": {"kid": "k", "ct": "c"}}).notes is not None
    with pytest.raises(ValidationError):
        SealedBooking.model_validate(stored | {"notes": "plain"})


def test_a_record_of_a_newer_writer_is_read_without_what_is_new() -> None:
    assert BookingRequest.model_config.get("extra") == "forbid"
    assert (
        "colour"
        not in SealedBooking.model_validate(
            {
                **NIGHT,
                "id": str(ARTIST),
                "status": "pencil",
                "version": 1,
                "position": 1,
                "created_by": "user_ana",
                "created_at": NIGHT["start_time"],
                "updated_at": NIGHT["start_time"],
                "colour": "green",
            }
        ).model_dump()
    )
