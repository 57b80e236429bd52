"""What was released stays readable, and is frozen."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from local_stack.contract.releases import ReleaseError, broken, current_version, release, released
from production_contracts.schemas import Contract, contract


def test_the_contract_breaks_no_released_form() -> None:
    assert released(), "there is a released form to compare with"
    assert broken(contract()) == []


def test_what_is_released_under_the_present_version_is_the_contract() -> None:
    frozen = released().get(current_version(), contract())
    assert frozen == contract(), "it has grown since its release: give contracts/pyproject.toml the next version"


def test_a_release_freezes_the_contract_once(tmp_path: Path) -> None:
    file = release("3.0.0", tmp_path)
    assert released(tmp_path) == {"3.0.0": contract()}
    assert file.name == "3.0.0.json"
    with pytest.raises(ReleaseError, match="released already"):
        release("3.0.0", tmp_path)


def promise_more(folder: Path) -> None:
    """Release a form with an event that the present one does not have."""
    current = contract()
    names = current.names | {"events": {**current.names["events"], "production.booking.praised.v1": {}}}
    text = json.dumps(asdict(Contract(names=names, schemas=current.schemas)))
    (folder / "2.9.0.json").write_text(text)


def test_what_breaks_a_released_form_is_not_released(tmp_path: Path) -> None:
    promise_more(tmp_path)
    with pytest.raises(ReleaseError, match=r"2\.9\.0: names: events production\.booking\.praised\.v1"):
        release("3.0.0", tmp_path)
    assert not (tmp_path / "3.0.0.json").exists()


def test_every_released_form_counts_and_not_only_the_last(tmp_path: Path) -> None:
    promise_more(tmp_path)
    (tmp_path / "2.9.1.json").write_text(json.dumps(asdict(contract())))
    assert [sentence.split(":")[0] for sentence in broken(contract(), tmp_path)] == ["2.9.0"]
