"""What may become of an artist."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenancy.domain.artist import Artist, Status, sign
from tenancy.domain.refusals import VersionMismatchError
from tenancy.domain.stamp import Stamp

DAWN = datetime(2027, 5, 8, tzinfo=UTC)
ANA = UUID(int=7)

names = st.sampled_from(["Ana", "Bea", "Cid"])
zones = st.sampled_from([None, "Europe/Berlin"])
patches = st.fixed_dictionaries({}, optional={"name": names, "time_zone": zones})
changes = st.one_of(patches, st.just("archive"))


def _stamp(position: int, actor: str = "user_ana") -> Stamp:
    return Stamp(actor=actor, at=DAWN + timedelta(minutes=position), position=position)


def _signed() -> Artist:
    return sign(ANA, "Ana", None, _stamp(2))


def test_a_new_artist_is_active_at_version_1() -> None:
    artist = _signed()
    assert (artist.status, artist.version, artist.position, artist.created_by) == (Status.ACTIVE, 1, 2, "user_ana")
    assert artist.created_at == artist.updated_at == DAWN + timedelta(minutes=2)


@given(st.lists(changes, max_size=12))
def test_each_change_counts_the_version_and_what_is_so_already_is_no_change(asked: list[Any]) -> None:
    artist = _signed()
    for position, change in enumerate(asked, start=3):
        stamp = _stamp(position, "user_bob")
        after = artist.archive(stamp) if change == "archive" else artist.amend(stamp, change)
        wanted = {"status": Status.ARCHIVED} if change == "archive" else change
        if after is None:
            assert all(getattr(artist, name) == value for name, value in wanted.items())
            continue
        assert {name: getattr(after, name) for name in wanted} == wanted
        assert (after.version, after.position, after.updated_at) == (artist.version + 1, position, stamp.at)
        assert (after.id, after.created_by, after.created_at) == (ANA, "user_ana", artist.created_at)
        artist = after


def test_an_archived_artist_can_be_amended_and_stays_archived() -> None:
    archived = _signed().archive(_stamp(3))
    assert archived is not None
    amended = archived.amend(_stamp(4), {"name": "Bea"})
    assert amended is not None
    assert (amended.name, amended.status, amended.version) == ("Bea", Status.ARCHIVED, 3)


def test_an_expected_version_must_be_the_artists() -> None:
    artist = _signed()
    artist.expect(None)
    artist.expect([4, 1])
    for versions in ([], [2]):
        with pytest.raises(VersionMismatchError, match="at version 1") as refused:
            artist.expect(versions)
        assert refused.value.slug == "version-mismatch"
