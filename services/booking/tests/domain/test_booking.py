"""A booking and its transitions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.domain.booking import (
    Booking,
    Contact,
    Fee,
    InvalidTransitionError,
    Slot,
    Stamp,
    Status,
    VersionMismatchError,
    merge_contact,
)

START = datetime(2027, 5, 8, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
LATER = Stamp(actor="user_ben", at=START - 5 * HOUR, position=9)
ANA, BEN, PHONE, AMOUNT, CURRENCY = ({"kid": "k", "ct": text} for text in ("ana", "ben", "phone", "amount", "currency"))


def a_booking(status: Status = Status.PENCIL) -> Booking:
    return Booking(
        id=UUID(int=1),
        artist_id=UUID(int=2),
        slot=Slot(START, START + HOUR),
        status=status,
        title="A night",
        venue="The hall",
        notes={"kid": "k", "ct": "c"},
        contact=Contact(name=ANA, phone=PHONE),
        fee=Fee(amount=AMOUNT, currency=CURRENCY),
        version=3,
        position=4,
        created_by="user_ana",
        created_at=START - 9 * HOUR,
        updated_at=START - 8 * HOUR,
    )


def changed(booking: Booking, **changes: Any) -> Booking:  # noqa: ANN401 - fields of a booking
    """What a booking becomes by one event of LATER's."""
    return replace(booking, version=4, position=9, updated_at=LATER.at, **changes)


def test_a_pencil_and_a_deal_occupy_the_artist_and_a_cancelled_booking_does_not() -> None:
    assert [status for status in Status if status.occupies] == [Status.PENCIL, Status.CONFIRMED]


def test_a_pencil_becomes_a_deal() -> None:
    pencil = a_booking()
    assert pencil.confirm(LATER) == changed(pencil, status=Status.CONFIRMED)


def test_a_deal_confirmed_again_is_one_already() -> None:
    assert a_booking(Status.CONFIRMED).confirm(LATER) is None


@pytest.mark.parametrize("status", [Status.PENCIL, Status.CONFIRMED])
def test_what_occupies_can_be_cancelled(status: Status) -> None:
    booking = a_booking(status)
    assert booking.cancel(LATER) == changed(booking, status=Status.CANCELLED)


def test_what_is_cancelled_is_cancelled_already() -> None:
    assert a_booking(Status.CANCELLED).cancel(LATER) is None


@pytest.mark.parametrize("status", [Status.PENCIL, Status.CONFIRMED])
def test_a_booking_moves_and_stays_what_it_is(status: Status) -> None:
    booking = a_booking(status)
    slot = Slot(START + HOUR, START + 2 * HOUR)
    assert booking.reschedule(LATER, slot) == changed(booking, slot=slot)


def test_a_booking_moved_to_where_it_is_has_moved_already() -> None:
    booking = a_booking()
    assert booking.reschedule(LATER, booking.slot) is None


def test_an_amendment_changes_what_it_names_and_nothing_else() -> None:
    booking = a_booking()
    assert booking.amend(LATER, {"title": "Another"}) == changed(booking, title="Another")
    assert booking.amend(LATER, {"venue": None, "notes": None}) == changed(booking, venue=None, notes=None)


def test_an_amendment_merges_into_a_contact() -> None:
    booking = a_booking()
    for members, after in [
        ({"name": BEN}, Contact(name=BEN, phone=PHONE)),
        ({"email": BEN, "phone": None}, Contact(name=ANA, email=BEN)),
        ({"name": None}, Contact(phone=PHONE)),
        ({"name": None, "phone": None}, None),
        (None, None),
    ]:
        assert booking.amend(LATER, {"contact": members}) == changed(booking, contact=after)


def test_an_amendment_states_a_fee_whole() -> None:
    booking = a_booking()
    assert booking.amend(LATER, {"fee": {"amount": BEN, "currency": CURRENCY}}) == changed(
        booking, fee=Fee(amount=BEN, currency=CURRENCY)
    )
    assert booking.amend(LATER, {"fee": None}) == changed(booking, fee=None)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"title": "A night"},
        {"venue": "The hall", "notes": {"kid": "k", "ct": "c"}},
        {"contact": {}},
        {"contact": {"name": ANA}},
        {"contact": {"email": None, "phone": dict(PHONE)}},
        {"fee": {"amount": AMOUNT, "currency": CURRENCY}},
    ],
)
def test_an_amendment_that_changes_nothing_is_made_already(changes: dict[str, Any]) -> None:
    assert a_booking().amend(LATER, changes) is None


def test_a_cancelled_booking_is_neither_confirmed_nor_moved_nor_amended() -> None:
    gone = a_booking(Status.CANCELLED)
    with pytest.raises(InvalidTransitionError, match="confirmed"):
        gone.confirm(LATER)
    with pytest.raises(InvalidTransitionError, match="rescheduled"):
        gone.reschedule(LATER, gone.slot)
    with pytest.raises(InvalidTransitionError, match="amended"):
        gone.amend(LATER, {})


def test_who_names_versions_must_have_seen_the_present_one() -> None:
    booking = a_booking()
    booking.expect(None)
    booking.expect([1, 3])
    for versions in ([], [2], [4]):
        with pytest.raises(VersionMismatchError, match="version 3"):
            booking.expect(versions)


def test_without_any_member_there_is_no_contact() -> None:
    assert Contact.of(None) is Contact.of({}) is Contact.of({"name": None, "email": None, "phone": None}) is None
    without = replace(a_booking(), contact=None)
    for nothing in (None, {}, {"email": None}):
        assert without.amend(LATER, {"contact": nothing}) is None, "it has none already"


def test_of_a_newer_contact_what_is_known_here_is_read() -> None:
    assert Contact.of({"name": ANA, "fax": BEN}) == Contact(name=ANA)


NAMES = ("name", "email", "phone")
values = st.fixed_dictionaries({"kid": st.just("k"), "ct": st.sampled_from("abc")})
members = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, st.none() | values))
contacts = st.builds(Contact.of, members)
patches = st.none() | members


def merge_patch(target: Any, patch: Any) -> Any:  # noqa: ANN401 - JSON
    """The pseudocode of RFC 7396, section 2, to the letter."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = value  # a sealed value is one value: its own members are not merged
    return target


def plain(contact: Contact | None) -> dict[str, Any]:
    """A contact as the object of the RFC, in which null and absent are the same; none and empty are the same to us."""
    return {} if contact is None else {name: value for name, value in contact.members.items() if value is not None}


@given(contacts, patches)
def test_a_contact_is_merged_as_the_rfc_says(before: Contact | None, patch: dict[str, Any] | None) -> None:
    assert plain(merge_contact(before, patch)) == (merge_patch(plain(before), patch) or {})


@given(contacts, patches)
def test_a_patch_applied_twice_changes_nothing_more(before: Contact | None, patch: dict[str, Any] | None) -> None:
    once = merge_contact(before, patch)
    assert merge_contact(once, patch) == once


@given(contacts, members, members)
def test_patches_that_name_different_members_may_come_in_any_order(
    before: Contact | None, one: dict[str, Any], other: dict[str, Any]
) -> None:
    other = {name: value for name, value in other.items() if name not in one}
    assert merge_contact(merge_contact(before, one), other) == merge_contact(merge_contact(before, other), one)


@given(contacts, patches)
def test_a_patch_makes_an_event_where_it_changes_something_and_only_there(
    before: Contact | None, patch: dict[str, Any] | None
) -> None:
    booking = replace(a_booking(), contact=before)
    amended = booking.amend(LATER, {"contact": patch})
    assert (amended is None) == (merge_contact(before, patch) == before)
    if amended is not None:
        assert amended == changed(booking, contact=merge_contact(before, patch))


minutes = st.integers(0, 60)
slots = st.tuples(minutes, minutes).filter(lambda pair: pair[0] < pair[1])


@given(slots, slots)
def test_two_slots_overlap_where_they_share_a_minute(one: tuple[int, int], other: tuple[int, int]) -> None:
    first, second = (Slot(START + a * timedelta(minutes=1), START + b * timedelta(minutes=1)) for a, b in (one, other))
    shared = set(range(*one)) & set(range(*other))
    assert first.overlaps(second) == second.overlaps(first) == bool(shared)


def test_who_ends_when_the_next_begins_is_not_in_the_way() -> None:
    first, second = Slot(START, START + HOUR), Slot(START + HOUR, START + 2 * HOUR)
    assert not first.overlaps(second)
    assert not second.overlaps(first)
    assert first.overlaps(first)
