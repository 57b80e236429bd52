"""A booking as JSON."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from booking.application.representation import booking_after, booking_json, conflict_json, row_json, slot_json
from booking.domain.booking import Booking, Contact, Fee, Slot, Status
from production_contracts.bookings import Conflict, SealedBooking, TimeRange
from production_contracts.times import truncate_to_milliseconds

moments = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2200, 12, 31),  # noqa: DTZ001 - the same
    timezones=st.just(UTC),
).map(truncate_to_milliseconds)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
certain = st.fixed_dictionaries({"kid": texts, "ct": texts})
sealed = st.none() | certain
bookings = st.builds(
    Booking,
    id=st.uuids(),
    artist_id=st.uuids(),
    slot=st.builds(Slot, moments, moments),
    status=st.sampled_from(Status),
    title=texts,
    venue=st.none() | texts,
    notes=sealed,
    contact=st.none()
    | st.builds(Contact.of, st.fixed_dictionaries({"name": sealed, "email": sealed, "phone": sealed})),
    fee=st.none() | st.builds(Fee, amount=certain, currency=certain),
    version=st.integers(1, 10**6),
    position=st.integers(1, 10**12),
    created_by=texts,
    created_at=moments,
    updated_at=moments,
)


@given(bookings)
def test_an_event_tells_the_booking_after_it_and_what_it_tells_besides_is_left_out(booking: Booking) -> None:
    told = booking_json(booking) | {"previous": slot_json(booking.slot), "reason": "rain"}
    assert booking_after(told) == booking_json(booking)


@given(bookings)
def test_a_row_is_written_as_the_booking_of_it_is(booking: Booking) -> None:
    row = {
        "id": booking.id,
        "artist_id": booking.artist_id,
        "start_time": booking.slot.start,
        "end_time": booking.slot.end,
        "status": booking.status.value,
        "title": booking.title,
        "venue": booking.venue,
        "notes": booking.notes,
        "contact": None if booking.contact is None else booking.contact.members,
        "fee": None if booking.fee is None else booking.fee.members,
        "version": booking.version,
        "position": booking.position,
        "created_by": booking.created_by,
        "created_at": booking.created_at,
        "updated_at": booking.updated_at,
    }
    assert row_json(row) == booking_json(booking)


@given(bookings)
def test_a_booking_is_written_as_the_contract_has_it(booking: Booking) -> None:
    written = booking_json(booking)
    assert SealedBooking.model_validate(written).model_dump(mode="json") == written


@given(bookings)
def test_an_event_of_before_a_booking_had_a_contact_and_a_fee_is_read_without(booking: Booking) -> None:
    old = booking_json(booking)
    del old["contact"], old["fee"]
    assert booking_after(old) == booking_json(replace(booking, contact=None, fee=None))


def test_times_are_written_in_utc_with_milliseconds() -> None:
    start = datetime(2027, 5, 8, 22, tzinfo=timezone(timedelta(hours=2)))
    written = slot_json(Slot(start, start + timedelta(milliseconds=1)))
    assert written == {"start_time": "2027-05-08T20:00:00.000Z", "end_time": "2027-05-08T20:00:00.001Z"}
    assert TimeRange.model_validate(written).start_time == start


def test_a_booking_in_the_way_is_shown_without_what_is_nobodys_business() -> None:
    start = datetime(2027, 5, 8, tzinfo=UTC)
    booking = Booking(
        id=UUID(int=1),
        artist_id=UUID(int=2),
        slot=Slot(start, start + timedelta(hours=1)),
        status=Status.CONFIRMED,
        title="Private",
        venue="Private",
        notes={"kid": "k", "ct": "c"},
        contact=Contact(name={"kid": "k", "ct": "c"}),
        fee=Fee(amount={"kid": "k", "ct": "c"}, currency={"kid": "k", "ct": "c"}),
        version=1,
        position=1,
        created_by="user_ana",
        created_at=start,
        updated_at=start,
    )
    written = conflict_json(booking)
    assert written == {
        "booking_id": str(UUID(int=1)),
        "status": "confirmed",
        "start_time": "2027-05-08T00:00:00.000Z",
        "end_time": "2027-05-08T01:00:00.000Z",
    }
    assert Conflict.model_validate(written).model_dump(mode="json") == written
