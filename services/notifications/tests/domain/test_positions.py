"""Whoever takes what is next, drops what is passed and fetches what is beyond sees each event once, in order."""

from hypothesis import given
from hypothesis import strategies as st

from notifications.domain.positions import LiveEvent, Step, run, step


def event(position: int) -> LiveEvent:
    return LiveEvent(stream="booking", position=position, payload=f"{position}")


@given(last=st.integers(0, 100), position=st.integers(1, 200))
def test_every_event_is_either_passed_or_next_or_beyond(last: int, position: int) -> None:
    expected = Step.PASSED if position <= last else Step.NEXT if position - last == 1 else Step.BEYOND
    assert step(last, position) is expected


@given(after=st.integers(0, 20), arrivals=st.lists(st.integers(1, 40), max_size=200))
def test_in_whatever_order_events_arrive_each_is_taken_once_and_none_is_left_out(
    after: int, arrivals: list[int]
) -> None:
    history = [event(position) for position in range(1, 41)]
    taken: list[int] = []
    last = after
    for position in arrivals:
        if step(last, position) is Step.BEYOND:
            missing = [missed.position for missed in run(last, history) if missed.position < position]
            taken += missing
            last = missing[-1]
        if step(last, position) is Step.NEXT:
            taken.append(position)
            last = position
    assert taken == list(range(after + 1, max([after, *arrivals]) + 1))


@given(last=st.integers(0, 30), positions=st.sets(st.integers(1, 60)))
def test_a_run_ends_at_the_first_hole(last: int, positions: set[int]) -> None:
    found = [taken.position for taken in run(last, [event(position) for position in sorted(positions)])]
    assert found == list(range(last + 1, last + 1 + len(found)))
    assert last + len(found) + 1 not in positions
