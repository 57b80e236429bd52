"""One artist's calendar."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.domain.booking import Booking, Slot, Status
from booking.domain.calendar import HORIZON, SUGGESTIONS, Calendar, ConflictError, free_within, next_free

EPOCH = datetime(2027, 5, 8, tzinfo=UTC)
STEP = timedelta(hours=6)
STEPS_AHEAD = HORIZON // STEP


def slot(begin: int, end: int) -> Slot:
    return Slot(EPOCH + begin * STEP, EPOCH + end * STEP)


def steps(of: Slot) -> range:
    return range((of.start - EPOCH) // STEP, (of.end - EPOCH) // STEP)


def booking(number: int, begin: int, end: int, status: Status = Status.PENCIL) -> Booking:
    return Booking(
        id=UUID(int=number),
        artist_id=UUID(int=0),
        slot=slot(begin, end),
        status=status,
        title="A night",
        venue=None,
        notes=None,
        version=1,
        position=number,
        created_by="user_ana",
        created_at=EPOCH,
        updated_at=EPOCH,
    )


def test_what_is_in_the_way_is_told_in_order_of_time() -> None:
    calendar = Calendar([booking(1, 8, 10), booking(2, 2, 4), booking(3, 4, 6), booking(4, 20, 22)])
    with pytest.raises(ConflictError) as caught:
        calendar.hold_free(slot(3, 9))
    assert [taken.id.int for taken in caught.value.taken] == [2, 3, 1]
    assert caught.value.asked == slot(3, 9)


def test_a_slot_between_two_bookings_is_free() -> None:
    Calendar([booking(1, 0, 2), booking(2, 4, 6)]).hold_free(slot(2, 4))


def test_a_booking_is_not_in_its_own_way() -> None:
    calendar = Calendar([booking(1, 0, 4)])
    calendar.hold_free(slot(2, 6), besides=UUID(int=1))
    with pytest.raises(ConflictError):
        calendar.hold_free(slot(2, 6), besides=UUID(int=2))


def test_a_cancelled_booking_occupies_nothing() -> None:
    Calendar([booking(1, 0, 4, Status.CANCELLED)]).hold_free(slot(0, 4))
    calendar = Calendar([booking(1, 0, 4)])
    calendar.put(booking(1, 0, 4, Status.CANCELLED))
    calendar.hold_free(slot(0, 4))
    calendar.put(booking(2, 0, 1, Status.CANCELLED))
    calendar.hold_free(slot(0, 4))


def test_what_the_calendar_knows_of_a_booking_is_newer_than_what_is_stored() -> None:
    moved = booking(1, 8, 10)
    calendar = Calendar([moved])
    calendar.add(booking(1, 0, 2))
    assert calendar.in_the_way(slot(0, 20)) == [moved]
    calendar.put(replace(moved, slot=slot(4, 6)))
    assert calendar.in_the_way(slot(7, 20)) == []


spans = st.tuples(st.integers(-10, STEPS_AHEAD + 20), st.integers(1, 30))
taken_slots = st.lists(spans.map(lambda span: slot(span[0], span[0] + span[1])), max_size=25).map(sorted)
crowded = st.lists(st.tuples(st.integers(0, 8), st.integers(1, 40)), max_size=40).map(
    lambda gaps: [
        slot(sum(map(sum, gaps[:i])) + gap, sum(map(sum, gaps[:i])) + gap + length)
        for i, (gap, length) in enumerate(gaps)
    ]
)
asked_slots = st.tuples(st.integers(-5, 5), st.integers(1, 12)).map(lambda span: slot(span[0], span[0] + span[1]))


def brute_force(asked: Slot, taken: list[Slot]) -> list[Slot]:
    """Try every step of 90 days."""
    busy = {step for one in taken for step in steps(one)}
    length = len(steps(asked))
    first = steps(asked).start
    found: list[Slot] = []
    step = first
    while step <= first + STEPS_AHEAD and len(found) < SUGGESTIONS:
        if busy.isdisjoint(range(step, step + length)):
            found.append(slot(step, step + length))
            step += length
        else:
            step += 1
    return found


@given(asked_slots, taken_slots | crowded)
def test_the_next_free_windows_are_the_earliest_there_are(asked: Slot, taken: list[Slot]) -> None:
    assert next_free(asked, taken) == brute_force(asked, taken)


@given(asked_slots, taken_slots | crowded)
def test_next_free_windows_are_free_long_enough_in_order_apart_and_soon(asked: Slot, taken: list[Slot]) -> None:
    windows = next_free(asked, taken)
    assert len(windows) <= SUGGESTIONS
    for window in windows:
        assert window.end - window.start == asked.end - asked.start
        assert asked.start <= window.start <= asked.start + HORIZON
        assert not any(window.overlaps(one) for one in taken)
    assert all(one.end <= other.start for one, other in pairwise(windows))


def test_an_artist_who_is_free_is_offered_what_was_asked_first() -> None:
    assert next_free(slot(0, 2), []) == [slot(0, 2), slot(2, 4), slot(4, 6)]


def test_an_artist_who_is_taken_for_ninety_days_is_offered_nothing() -> None:
    assert next_free(slot(0, 2), [slot(-1, STEPS_AHEAD + 1)]) == []


def test_the_ninetieth_day_is_still_offered() -> None:
    taken = [slot(0, STEPS_AHEAD), slot(STEPS_AHEAD + 2, STEPS_AHEAD + 9)]
    assert next_free(slot(0, 2), taken) == [slot(STEPS_AHEAD, STEPS_AHEAD + 2)]


@given(asked_slots, taken_slots | crowded)
def test_within_a_window_every_moment_is_either_taken_or_free(window: Slot, taken: list[Slot]) -> None:
    free = free_within(window, taken)
    busy = {step for one in taken for step in steps(one)}
    told = [step for one in free for step in steps(one)]
    assert told == [step for step in steps(window) if step not in busy]
    assert all(one.end < other.start for one, other in pairwise(free)), "gaps that touch are one"
