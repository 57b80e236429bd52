"""Preferences: how long a caller waits (RFC 7240)."""

import pytest

from gateway.domain.preferences import Patience, patience


def read(*prefer: str) -> Patience:
    return patience(prefer, default=10.0, longest=30.0)


@pytest.mark.parametrize(
    ("prefer", "seconds", "asynchronous", "applied"),
    [
        ([], 10, False, None),
        (["respond-async"], 0, True, "respond-async"),
        (["Respond-Async"], 0, True, "respond-async"),
        (["wait=5"], 5, False, "wait=5"),
        (['wait="5"'], 5, False, "wait=5"),
        (["wait=600"], 30, False, "wait=30"),
        (["wait=0"], 0, True, "wait=0"),
        (["respond-async, wait=5"], 5, True, "respond-async, wait=5"),
        (["wait=5", "respond-async"], 5, True, "respond-async, wait=5"),
        (["wait=5, wait=7"], 5, False, "wait=5"),
        (["handling=lenient; respond-async"], 10, False, None),
        (["return=minimal"], 10, False, None),
    ],
)
def test_a_preference_that_is_known_is_honoured(
    prefer: list[str], seconds: float, *, asynchronous: bool, applied: str | None
) -> None:
    assert read(*prefer) == Patience(seconds=seconds, asynchronous=asynchronous, applied=applied)


@pytest.mark.parametrize("prefer", ["wait", "wait=", "wait=-1", "wait=1.5", "wait=soon", "wait=9999999", "wait=\u0665"])
def test_a_wait_that_is_no_number_is_ignored(prefer: str) -> None:
    assert read(prefer) == read()
