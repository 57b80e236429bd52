"""A seed makes the schedule of faults, and nothing else does."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as some

from local_stack.chaos.faults import DOINGS
from local_stack.chaos.schedule import INSTANCES, KINDS, LINKS, plan, read_kinds

seeds = some.integers(0, 10**9)
spans = some.floats(20, 900)
kinds_of_faults = some.lists(some.sampled_from(list(KINDS)), min_size=1, unique=True).map(tuple)


@given(seed=seeds, seconds=spans, kinds=kinds_of_faults)
def test_the_same_seed_is_the_same_schedule_and_another_seed_another(
    seed: int, seconds: float, kinds: tuple[str, ...]
) -> None:
    assert plan(seed, seconds, kinds) == plan(seed, seconds, kinds)
    assert plan(seed, 600) != plan(seed + 1, 600)


@given(seed=seeds, seconds=spans, kinds=kinds_of_faults)
def test_every_fault_is_over_in_time_and_befalls_whom_it_may(seed: int, seconds: float, kinds: tuple[str, ...]) -> None:
    planned = plan(seed, seconds, kinds)
    assert [fault.at for fault in planned] == sorted(fault.at for fault in planned)
    for fault in planned:
        kind = KINDS[fault.kind]
        assert fault.kind in kinds
        assert fault.target in kind.targets
        assert fault.way in kind.ways
        assert kind.seconds[0] <= fault.seconds <= kind.seconds[1]
        assert fault.at > 0
        assert fault.ends <= seconds


@given(seed=seeds, seconds=spans)
def test_no_part_has_two_faults_at_once(seed: int, seconds: float) -> None:
    planned = plan(seed, seconds)
    for index, fault in enumerate(planned):
        assert not [later for later in planned[index + 1 :] if later.part == fault.part and later.at < fault.ends]


@given(seed=seeds)
def test_ten_minutes_hold_over_forty_faults_and_every_kind_more_than_once(seed: int) -> None:
    planned = plan(seed, 600)
    assert len(planned) >= 40
    counted = Counter(fault.kind for fault in planned)
    assert min(counted[kind] for kind in KINDS) >= 2


def test_every_kind_can_be_done_and_every_part_can_be_hit() -> None:
    assert set(DOINGS) == set(KINDS)
    hit = {target for kind in KINDS.values() for target in kind.targets}
    assert hit >= {*INSTANCES, *LINKS, "kafka", "postgresql", "redis"}


def test_faults_are_named_one_by_one_or_all() -> None:
    assert read_kinds("all") == tuple(KINDS)
    assert read_kinds("kill, cut,kill") == ("kill", "cut")
    with pytest.raises(ValueError, match="there is no fault 'quake': name some of kill"):
        read_kinds("kill,quake")
