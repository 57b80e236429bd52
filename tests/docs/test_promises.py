"""The page of promises leaves out no check and no mutation, and promises nothing that nothing checks."""

import sys
from pathlib import Path

import pytest

from local_stack.chaos.checker import CHECKS
from local_stack.chaos.mutations import MUTATIONS

DOCS = Path(__file__).parents[2] / "docs"


def test_each_promise_is_checked_each_check_is_promised_and_each_mutation_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    from pages import promises  # noqa: PLC0415 - the pages are found where the site's folder is on the path

    page = promises.page()
    sys.modules.pop("pages.promises", None)
    assert {check for checks in promises.PROMISES.values() for check in checks} == set(CHECKS)
    assert all(promises.PROMISES.values())
    assert all(f"| `{name}` |" in page for name in MUTATIONS)
