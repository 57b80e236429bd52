"""Preconditions: lists of entity tags (RFC 9110, sections 8.8 and 13)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.preconditions import (
    LONGEST_LIST,
    MalformedTagsError,
    expected_versions,
    is_unchanged,
    version_tag,
)


@pytest.mark.parametrize(
    ("if_match", "versions"),
    [
        ('"3"', [3]),
        (' "3" ,"4",, "5"', [3, 4, 5]),
        ("*", None),
        (" * ", None),
        ('W/"3"', []),
        ('W/"3", "4"', [4]),
        ('"abc"', []),
        ('"03", "-1", "0", "1.0", ""', []),
        ('"9999999999999999999999"', []),
        ('"a,b", "2"', [2]),
    ],
)
def test_only_strong_tags_that_are_versions_allow_one(if_match: str, versions: list[int] | None) -> None:
    assert expected_versions(if_match) == versions


@pytest.mark.parametrize("if_match", ["", " ", ",", "3", '"3', '3"', '"3" "4"', '*, "3"', 'w/"3"', '"\x7f"', "W/*"])
def test_what_is_no_list_of_tags_is_malformed(if_match: str) -> None:
    with pytest.raises(MalformedTagsError):
        expected_versions(if_match)


def test_a_list_has_a_bound() -> None:
    assert expected_versions(", ".join(['"1"'] * LONGEST_LIST)) == [1] * LONGEST_LIST
    with pytest.raises(MalformedTagsError):
        expected_versions(", ".join(['"1"'] * (LONGEST_LIST + 1)))


@pytest.mark.parametrize(
    ("if_none_match", "unchanged"),
    [('"3"', True), ('W/"3"', True), ('"1", "3"', True), ("*", True), ('"4"', False), ("3", False), ("", False)],
)
def test_a_reader_has_what_matches_weakly(if_none_match: str, *, unchanged: bool) -> None:
    assert is_unchanged(if_none_match, '"3"') is unchanged


@given(st.integers(min_value=1, max_value=10**17))
def test_a_tag_reads_back_as_its_version(version: int) -> None:
    assert expected_versions(version_tag(version)) == [version]


@given(st.text(max_size=30))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        expected_versions(text)
    except MalformedTagsError:
        is_unchanged(text, '"1"')
