"""Versions of before, taken from this repository's own history, to run beside the one at hand."""

import io
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from local_stack.checkout import ROOT

FIRST: Final = "6388aa151af33d21631acebdf2c5159a42e2690e"
"""The first commit: where it is not there, the history is cut off."""
PARTS: Final = ("contracts", "libs", "services")


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version: its commit, and at which revision it leaves each database."""

    name: str
    commit: str
    revisions: dict[str, str]

    def taken(self, folder: Path) -> "Code":
        """Take its code out of the history; where that is cut off, the test is skipped and says what to do."""
        if _git("cat-file", "-e", f"{self.commit}^{{commit}}").returncode:
            missing = f"{self.name} ({self.commit[:12]}) is not in this repository's history"
            if _git("cat-file", "-e", f"{FIRST}^{{commit}}").returncode == 0:
                pytest.fail(f"{missing}: name the commit that it is now in tests/upgrade/versions.py")
            pytest.skip(f"NOT TESTED, {missing}, which is cut off: git fetch --unshallow, or clone it whole")
        archived = _git("archive", self.commit, *PARTS)
        assert archived.returncode == 0, archived.stderr.decode()
        with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as archive:
            archive.extractall(folder, filter="data")
        return Code(version=self, folder=folder)


@dataclass(frozen=True, kw_only=True)
class Code:
    """The code of a version, in a folder."""

    version: Version
    folder: Path

    def path(self, service: str) -> str:
        """Give the PYTHONPATH with which this interpreter runs the version's service, on the libraries of today."""
        parts = ("contracts", "libs/servicekit", f"services/{service}")
        return ":".join(str(self.folder / part / "src") for part in parts)

    def newest(self, service: str) -> str:
        """Tell at which revision it leaves a database."""
        files = (self.folder / "services" / service / "migrations" / "versions").glob("[0-9]*.py")
        return max(file.name.partition("_")[0] for file in files)


def _git(*words: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False)


SAME_SCHEMA: Final = Version(
    name="the version before this one",
    commit="1c4810e16fcf5ab6cc627c1560c42b62676266d7",
    revisions={"booking": "0006", "tenancy": "0006"},
)
"""Both versions decide at once. When a migration comes, this becomes the version that it is to be expanded from."""

BEFORE_THE_TRAIL: Final = Version(
    name="the version before the audit trail",
    commit="d8deb980542930b56c6f024114d0bfe8fc5a7b42",
    revisions={"booking": "0002", "tenancy": "0003"},
)
"""Booking's 0004 and tenancy's 0005 let it decide nothing any more (decision 0075)."""
