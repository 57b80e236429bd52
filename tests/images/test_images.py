"""Images, without Docker: what they hold is small, complete, listed, and always the same; and they are labelled."""

import json
import re
from pathlib import Path

import pytest

from local_stack import images
from local_stack.checkout import ROOT

LARGEST = "gateway"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
LABELS = {"title", "description", "version", "revision", "created", "source", "base.name"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("image") / "app"
    images.install(LARGEST, into)
    return into


def test_the_largest_is_small_and_starts_and_its_bill_is_the_lock(installed: Path) -> None:
    found = images.look(LARGEST, installed)
    assert 20_000_000 < found.bytes < images.LARGEST_BYTES
    assert found.packages > 50


def test_its_bill_of_materials_names_licences_and_what_depends_on_what(installed: Path) -> None:
    bill = json.loads((installed / images.SBOM).read_text())
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", f"production-{LARGEST}")
    known = {component["name"]: component for component in bill["components"]}
    assert known["pydantic"]["purl"].startswith("pkg:pypi/pydantic@")
    assert known["pydantic"]["licenses"]
    named = {component["bom-ref"] for component in bill["components"]}
    depends = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    assert depends[known["pydantic"]["bom-ref"]]
    assert {ref for refs in depends.values() for ref in refs} <= named
    assert str(ROOT) not in json.dumps(bill)


def test_nothing_in_it_says_when_or_where_it_was_installed(installed: Path) -> None:
    assert {file.lstat().st_mtime for file in installed.rglob("*")} == {float(315532800)}
    told = [file for file in installed.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    assert [file for file in told if str(ROOT).encode() in file.read_bytes()] == []


def test_a_bill_that_is_not_the_lock_is_found(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = images.locked(LARGEST) - {("pydantic", dict(images.locked(LARGEST))["pydantic"])}
    monkeypatch.setattr(images, "locked", lambda _: pinned)
    with pytest.raises(images.ImageError, match="pydantic"):
        images.look(LARGEST, installed)


def test_an_image_is_labelled_and_runs_as_nobody() -> None:
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    assert set(re.findall(r"org\.opencontainers\.image\.([a-z.]+)=", final)) == LABELS
    assert re.search(r"^USER (?!0\b)\d+:\d+$", final, re.MULTILINE)
    assert "HEALTHCHECK" in final
    assert re.findall(r"RUN .*deploy/install (\w+) ", DOCKERFILE) == list(images._STEPS)


def test_what_make_tells_a_build_is_what_the_build_takes() -> None:
    given = set(re.findall(r"--build-arg (\w+)=", MAKEFILE))
    assert given == set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE))
