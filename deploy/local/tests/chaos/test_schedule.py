"""What a seed makes of a run: the same each time, every kind in turn, nothing twice at once, all over in time."""

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_stack.chaos.faults import DOINGS
from local_stack.chaos.schedule import INSTANCES, KINDS, LINKS, TALKS_TO, plan, read_kinds

seeds = st.integers(0, 10**6)
lengths = st.floats(20, 900)
some_kinds = st.sets(st.sampled_from(sorted(KINDS)), min_size=1).map(sorted)


@given(seeds, lengths, some_kinds)
def test_the_same_seed_is_the_same_schedule(seed: int, seconds: float, kinds: list[str]) -> None:
    assert plan(seed, seconds, kinds) == plan(seed, seconds, kinds)


@given(seeds, lengths, some_kinds)
def test_faults_are_of_the_kinds_asked_for_and_befall_whom_they_may(
    seed: int, seconds: float, kinds: list[str]
) -> None:
    for number, fault in enumerate(plan(seed, seconds, kinds), start=1):
        assert fault.number == number
        assert fault.kind in kinds
        kind = KINDS[fault.kind]
        assert fault.target in kind.targets
        assert fault.way in kind.ways
        assert kind.seconds[0] <= round(fault.seconds, 2) <= kind.seconds[1]


@given(seeds, lengths, some_kinds)
def test_they_begin_in_order_and_are_over_when_the_run_is(seed: int, seconds: float, kinds: list[str]) -> None:
    faults = plan(seed, seconds, kinds)
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    assert all(fault.at > 0 and fault.ends <= seconds for fault in faults)


@given(seeds, lengths, some_kinds)
def test_no_part_has_two_faults_at_once(seed: int, seconds: float, kinds: list[str]) -> None:
    for one, other in combinations(plan(seed, seconds, kinds), 2):
        assert one.part != other.part or other.at > one.ends


@given(seeds)
def test_two_minutes_have_every_kind_and_ten_have_forty_faults_and_more(seed: int) -> None:
    assert {fault.kind for fault in plan(seed, 120)} == set(KINDS)
    long = Counter(fault.kind for fault in plan(seed, 600))
    assert set(long) == set(KINDS)
    assert long.total() >= 40
    assert max(long.values()) - min(long.values()) <= 2


def test_other_seeds_are_other_schedules() -> None:
    assert len({str(plan(seed, 120)) for seed in range(20)}) == 20


def test_every_kind_is_done_somehow() -> None:
    assert DOINGS.keys() == KINDS.keys()


def test_every_connection_between_parts_is_a_link() -> None:
    assert len(LINKS) == sum(len(TALKS_TO[service]) for service in INSTANCES.values())


def test_kinds_are_read_as_all_or_by_name() -> None:
    assert read_kinds("all") == tuple(KINDS)
    assert read_kinds("kill, cut,kill") == ("kill", "cut")


def test_an_unknown_kind_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"no fault 'flood': name some of kill, pause, .*, or all"):
        read_kinds("kill,flood")
