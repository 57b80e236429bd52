"""Seals: what is sealed opens in its own place and in no other, and tells nothing before."""

import json
from copy import deepcopy
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.application.seals import SENSITIVE, Seals
from production_contracts.bookings import BookingPatch
from production_contracts.commands import AmendBooking
from production_contracts.money import CURRENCIES, LARGEST_AMOUNT
from servicekit.problems import ProblemError
from servicekit.vault import AesVault

SEALS = Seals(AesVault({"k1": bytes(range(32))}))
TENANT, BOOKING = uuid4(), uuid4()

Place = tuple[UUID, UUID, str]
"""What a value is bound to: tenant, booking, and the path of the field."""

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=20).filter(
    str.strip
)
amounts = st.integers(0, LARGEST_AMOUNT)
contacts = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "name": st.none() | texts,
        "email": st.none() | st.just("ana@example.org"),
        "phone": st.none() | st.just("030 12345"),
    },
)
fees = st.none() | st.fixed_dictionaries({"amount": amounts, "currency": st.sampled_from(sorted(CURRENCIES))})
patches = st.fixed_dictionaries(
    {},
    optional={
        "title": texts,
        "venue": st.none() | texts,
        "notes": st.none() | texts,
        "contact": contacts,
        "fee": fees,
    },
)
places = st.tuples(
    st.sampled_from([TENANT, UUID(int=1)]), st.sampled_from([BOOKING, UUID(int=2)]), st.sampled_from(sorted(SENSITIVE))
)


def command(patch: dict[str, Any]) -> dict[str, Any]:
    """Make of a client's patch what is sent to booking, as JSON."""
    asked = BookingPatch.model_validate(patch).model_dump(exclude_unset=True)
    return AmendBooking(**SEALS.seal(TENANT, BOOKING, asked)).model_dump(mode="json", exclude_unset=True)


def put(path: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 - a sealed or an open value
    """Make a booking that has a value at a path."""
    outer, _, name = path.rpartition(".")
    return {outer: {name: value}} if outer else {name: value}


def at(path: str, booking: dict[str, Any]) -> Any:  # noqa: ANN401 - the same
    for step in path.split("."):
        booking = booking[step]
    return booking


def sealed_for(place: Place, value: str | int) -> Any:  # noqa: ANN401 - a sealed value as JSON
    tenant, booking, path = place
    return at(path, SEALS.seal(tenant, booking, put(path, value))).model_dump()


@given(patches)
def test_a_patch_is_sealed_leaf_by_leaf_and_opens_to_what_it_was(patch: dict[str, Any]) -> None:
    booking = {"id": str(BOOKING), **command(patch)}
    SEALS.open_booking(TENANT, booking)
    assert booking == {"id": str(BOOKING), **patch}


@given(patches)
def test_sealed_is_all_that_is_sensitive_and_nothing_else(patch: dict[str, Any]) -> None:
    sent = command(patch)
    for path in SENSITIVE:
        outer, _, name = path.rpartition(".")
        given_, kept = (patch.get(outer) or {}, sent.get(outer) or {}) if outer else (patch, sent)
        assert (name in given_) == (name in kept)
        if given_.get(name) is not None:
            assert kept[name].keys() == {"kid", "ct"}
    for name in ("title", "venue"):
        assert sent.get(name) == patch.get(name)


@given(patches)
def test_the_same_patch_seals_to_the_same(patch: dict[str, Any]) -> None:
    assert command(patch) == command(deepcopy(patch))


@given(amounts, amounts)
def test_a_sealed_amount_does_not_show_how_large_it_is(one: int, other: int) -> None:
    place = (TENANT, BOOKING, "fee.amount")
    first, second = sealed_for(place, one), sealed_for(place, other)
    assert len(first["ct"]) == len(second["ct"])
    assert (first == second) == (one == other)


@given(places, places)
def test_what_is_sealed_for_one_place_opens_in_no_other(sealed_at: Place, opened_at: Place) -> None:
    assume(sealed_at != opened_at)
    tenant, booking_id, path = opened_at
    value = 7 if SENSITIVE[sealed_at[2]] is int else "7"
    moved = {"id": str(booking_id), **put(path, sealed_for(sealed_at, value))}
    with pytest.raises(ProblemError) as caught:
        SEALS.open_booking(tenant, moved)
    assert caught.value.kind.slug == "unavailable"


def test_pages_and_events_are_opened_one_by_one() -> None:
    def booking() -> dict[str, Any]:
        return {
            "id": str(BOOKING),
            "fee": {"amount": sealed_for((TENANT, BOOKING, "fee.amount"), 12), "currency": None},
        }

    page, events = {"items": [booking(), booking()]}, {"items": [{"data": booking()}, {"data": {"id": "x"}}]}
    SEALS.open_page(TENANT, page)
    SEALS.open_events(TENANT, events)
    open_ = {"id": str(BOOKING), "fee": {"amount": 12, "currency": None}}
    assert page == {"items": [open_, open_]}
    assert events == {"items": [{"data": open_}, {"data": {"id": "x"}}]}


def test_a_number_is_sealed_with_its_leading_zeros_and_is_a_number_again() -> None:
    for amount in (0, 1, 150_000, LARGEST_AMOUNT):
        booking = {"id": str(BOOKING), "fee": {"amount": sealed_for((TENANT, BOOKING, "fee.amount"), amount)}}
        SEALS.open_booking(TENANT, booking)
        assert json.dumps(booking["fee"]) == f'{{"amount": {amount}}}'
