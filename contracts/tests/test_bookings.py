"""What a client may ask of bookings and artists."""

from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ValidationError

from production_contracts.artists import ArtistPatch, ArtistRequest
from production_contracts.bookings import (
    Booking,
    BookingPatch,
    BookingRequest,
    CancelRequest,
    Contact,
    ContactRequest,
    Fee,
    FeeRequest,
    RescheduleRequest,
    SealedBooking,
    SealedContact,
    SealedFee,
)
from production_contracts.records import Record
from production_contracts.sealed import SENSITIVE, sensitive_fields, withheld

ARTIST = UUID("0190f3a4-0000-7000-8000-000000000001")
NIGHT: dict[str, Any] = {
    "artist_id": str(ARTIST),
    "start_time": "2027-05-08T20:00:00Z",
    "end_time": "2027-05-08T23:00:00Z",
    "title": "A night",
}


def test_a_booking_is_a_pencil_without_anything_beside_its_title_unless_told_otherwise() -> None:
    asked = BookingRequest.model_validate(NIGHT)
    assert (asked.status, asked.venue, asked.notes, asked.contact, asked.fee) == ("pencil", None, None, None, None)


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
        {"contact": "Ana"},
        {"contact": []},
        {"contact": {"name": ""}},
        {"contact": {"name": " \t"}},
        {"contact": {"name": "x" * 201}},
        {"contact": {"name": "a\x00b"}},
        {"contact": {"name": {"kid": "a", "ct": "b"}}},
        {"contact": {"fax": "030 1"}},
        {"fee": 150_000},
        {"fee": {}},
        {"fee": {"amount": 1}},
        {"fee": {"currency": "EUR"}},
        {"fee": {"amount": None, "currency": None}},
        {"fee": {"amount": 1, "currency": "EUR", "net": True}},
    ],
)
def test_a_booking_request_that_breaks_the_contract_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BookingRequest.model_validate(NIGHT | change)


@pytest.mark.parametrize("amount", [0, 1, 150_000, 10**15 - 1])
def test_an_amount_is_a_whole_number_of_the_minor_unit(amount: int) -> None:
    asked = BookingRequest.model_validate(NIGHT | {"fee": {"amount": amount, "currency": "JPY"}})
    assert asked.fee is not None
    assert (asked.fee.amount, asked.fee.currency) == (amount, "JPY")


@pytest.mark.parametrize("amount", [-1, 10**15, 1.0, 1.5, 1e20, True, "1", None, [1], {"kid": "a", "ct": "b"}])
def test_what_is_no_such_number_is_refused_and_not_made_one(amount: object) -> None:
    with pytest.raises(ValidationError):
        BookingRequest.model_validate(NIGHT | {"fee": {"amount": amount, "currency": "EUR"}})


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


def test_a_patch_tells_within_a_contact_what_was_given_from_what_was_not() -> None:
    asked = BookingPatch.model_validate({"contact": {"email": None, "phone": "030 12345"}})
    assert asked.model_dump(exclude_unset=True) == {"contact": {"email": None, "phone": "030 12345"}}
    assert BookingPatch.model_validate({"contact": {}}).model_dump(exclude_unset=True) == {"contact": {}}
    assert BookingPatch.model_validate({"contact": None}).model_dump(exclude_unset=True) == {"contact": None}


@pytest.mark.parametrize("half", [{"amount": 1}, {"currency": "EUR"}, {}, {"amount": 1, "currency": None}])
def test_a_patch_states_a_fee_whole_or_clears_it(half: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BookingPatch.model_validate({"fee": half})
    assert BookingPatch.model_validate({"fee": None}).model_fields_set == {"fee"}


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
        assert sensitive_fields(model) == {
            "notes": str,
            "contact.name": str,
            "contact.email": str,
            "contact.phone": str,
            "fee.amount": int,
            "fee.currency": str,
        }


@pytest.mark.parametrize("model", [BookingRequest, BookingPatch, Booking])
def test_nothing_of_a_contact_or_a_fee_is_forgotten_to_be_marked(model: type[BaseModel]) -> None:
    parts: dict[str, type[BaseModel]] = {"contact": Contact, "fee": Fee}
    marked = sensitive_fields(model).keys()
    for name, part in parts.items():
        assert {f"{name}.{member}" for member in part.model_fields} <= marked


def test_what_is_sealed_behind_the_gateway_has_the_members_that_are_open_before_it() -> None:
    pairs: list[tuple[type[BaseModel], type[BaseModel]]] = [
        (SealedContact, Contact),
        (SealedContact, ContactRequest),
        (SealedFee, Fee),
        (SealedFee, FeeRequest),
    ]
    for sealed, open_ in pairs:
        assert sealed.model_fields.keys() == open_.model_fields.keys()


def test_whoever_may_see_nothing_sensitive_is_told_nothing_of_a_contact_and_a_fee() -> None:
    assert withheld(Booking) == {"notes", "contact", "fee"}


def test_what_is_sensitive_is_found_at_every_depth_but_not_in_lists() -> None:
    class Inner(Record):
        told: str
        kept: Annotated[int | None, SENSITIVE] = None

    class Outer(Record):
        inner: Annotated[Inner | None, "beside the point"] = None
        many: list[Inner]

    class Outermost(Record):
        outer: Outer
        kept: Annotated[str, SENSITIVE]

    assert sensitive_fields(Outermost) == {"outer.inner.kept": int, "kept": str}


def test_a_booking_behind_the_gateway_has_no_place_for_what_is_plain() -> None:
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
    sealed = {"kid": "k", "ct": "c"}
    whole = {"notes": sealed, "contact": {"phone": sealed}, "fee": {"amount": sealed, "currency": sealed}}
    assert SealedBooking.model_validate(stored | whole).model_dump(include=set(whole), exclude_unset=True) == whole
    for plain in ({"notes": "plain"}, {"contact": {"name": "Ana"}}, {"fee": {"amount": 1, "currency": "EUR"}}):
        with pytest.raises(ValidationError):
            SealedBooking.model_validate(stored | plain)


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
