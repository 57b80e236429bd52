"""A socket goes on from where it was, unless that place does not exist or is too far away."""

from hypothesis import given
from hypothesis import strategies as st

from notifications.domain.resumption import Head, Start, epoch_of, start, starts

positions = st.integers(0, 1_000)
HEADS = {"booking": Head(position=40, epoch="b1"), "tenancy": Head(position=7, epoch="t1")}


@given(after=st.none() | positions, head=positions, foreign=st.booleans(), furthest=positions)
def test_a_start_is_where_the_client_was_or_the_head(
    *, after: int | None, head: int, foreign: bool, furthest: int
) -> None:
    found = start(after, head, foreign=foreign, furthest=furthest)
    assert found.position <= head
    assert head - found.position <= furthest
    assert found.position in {after, head}
    assert found.resync == (foreign or (after is not None and found.position != after))


def test_without_a_word_a_socket_begins_at_the_heads() -> None:
    assert starts(HEADS, {}, None, 100) == {
        "booking": Start(position=40, resync=False),
        "tenancy": Start(position=7, resync=False),
    }


def test_a_stream_that_the_client_does_not_name_begins_at_its_head() -> None:
    assert starts(HEADS, {"booking": 12}, epoch_of(HEADS), 100) == {
        "booking": Start(position=12, resync=False),
        "tenancy": Start(position=7, resync=False),
    }


def test_only_the_stream_whose_epoch_changed_is_read_anew() -> None:
    assert starts(HEADS, {"booking": 12, "tenancy": 3}, "b0.t1", 100) == {
        "booking": Start(position=40, resync=True),
        "tenancy": Start(position=3, resync=False),
    }


def test_an_epoch_that_was_never_ours_means_that_everything_is_read_anew() -> None:
    for epoch in ("", "b1", "b1.t1.x"):
        assert {found.resync for found in starts(HEADS, {"booking": 12}, epoch, 100).values()} == {True}


def test_a_client_ahead_of_the_head_or_too_far_behind_it_reads_anew() -> None:
    assert start(41, 40, foreign=False, furthest=100) == Start(position=40, resync=True)
    assert start(30, 40, foreign=False, furthest=9) == Start(position=40, resync=True)
    assert start(31, 40, foreign=False, furthest=9) == Start(position=31, resync=False)
