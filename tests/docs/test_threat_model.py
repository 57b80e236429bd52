"""The threat model claims nothing without a test that is there, and leaves no folder of attacks unsaid."""

import re

from local_stack.checkout import ROOT

PAGE = (ROOT / "docs" / "threat-model.md").read_text()
NAMED = re.compile(r"`((?:\w+/)+(?:test_|rows)\w*\.py)`")


def test_every_test_that_it_names_is_there() -> None:
    named = set(NAMED.findall(PAGE))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []


def test_every_test_of_isolation_and_attack_is_named() -> None:
    written = {
        file.relative_to(ROOT).as_posix()
        for folder in ("isolation", "attack")
        for file in (ROOT / "tests" / folder).glob("test_*.py")
    }
    assert written - set(NAMED.findall(PAGE)) == set()


def test_each_row_of_what_holds_names_a_test_or_a_command() -> None:
    holds = PAGE.partition("## What holds")[2].partition("## What we do not defend")[0]
    rows = [line for line in holds.splitlines() if line.startswith("| ") and not line.startswith(("| they", "| ---"))]
    assert len(rows) > 20
    assert [row for row in rows if not re.search(r"`(\w+/)*tests/|`tests/", row)] == []
