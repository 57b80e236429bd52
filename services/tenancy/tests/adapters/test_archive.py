"""The zip of an export: whole or not there."""

import hashlib
import stat
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tenancy.adapters.archive import Archive


async def records(*found: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - any JSON
    for one in found:
        yield one


async def test_records_are_lines_that_are_counted_and_hashed(tmp_path: Path) -> None:
    with Archive.at(tmp_path / "x.zip") as archive:
        written = await archive.lines("a/b.jsonl", records({"n": 1}, {"text": "Z\u00fcrich\n"}))
        nothing = await archive.lines("empty.jsonl", records())
        archive.document("manifest.json", {"a": 1})
    with zipfile.ZipFile(tmp_path / "x.zip") as zipped:
        assert zipped.read("a/b.jsonl") == '{"n":1}\n{"text":"Z\u00fcrich\\n"}\n'.encode()
        assert zipped.namelist() == ["a/b.jsonl", "empty.jsonl", "manifest.json"]
    assert (written.records, written.bytes) == (2, 29)
    assert written.sha256 == hashlib.sha256('{"n":1}\n{"text":"Z\u00fcrich\\n"}\n'.encode()).hexdigest()
    assert (nothing.records, nothing.bytes) == (0, 0)


def test_it_has_its_name_only_once_it_is_whole_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    out = tmp_path / "x.zip"
    with Archive.at(out) as archive:
        archive.document("a.json", {})
        assert not out.exists()
        (partial,) = tmp_path.iterdir()
        assert stat.S_IMODE(partial.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [out]
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


@pytest.mark.parametrize("end", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_of_one_that_failed(tmp_path: Path, end: type[BaseException]) -> None:
    def fail(archive: Archive) -> None:
        archive.document("a.json", {})
        raise end

    with pytest.raises(end), Archive.at(tmp_path / "x.zip") as archive:
        fail(archive)
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "x.zip"
    out.write_text("the only copy")
    with pytest.raises(FileExistsError), Archive.at(out):
        pytest.fail("it was opened")
    assert out.read_text() == "the only copy"
