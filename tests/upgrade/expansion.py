"""What a migration says, held against what instances of before can bear while it runs and after it has run.

Squawk, a linter of PostgreSQL migrations, knows which statement locks, rewrites or breaks; beside it stand the few that
change what the version before may do.
"""

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from alembic import op

from servicekit.migrate import migrations_folder

FIRST: Final = "0001"
"""It makes the schema: there is no instance of before."""
LEFT_OUT: Final = {
    "require-lock-timeout": "the job that migrates sets it, for all of them",
    "require-statement-timeout": "what takes long is named by other rules, and takes as long as it takes",
    "prefer-bigint-over-int": "an integer here is a version or a partition, and no id",
    "prefer-bigint-over-smallint": "a smallint here is a status of HTTP",
    "prefer-robust-stmts": "all migrations of a run are one transaction: nothing is left half done",
}
STOPS: Final = {
    "adds-trigger": re.compile(r"\bcreate\s+(or\s+replace\s+)?(constraint\s+)?trigger\b", re.IGNORECASE),
    "deletes-rows": re.compile(r"\bdelete\s+from\b|^\s*truncate\b", re.IGNORECASE | re.MULTILINE),
    "revokes": re.compile(r"\brevoke\b", re.IGNORECASE),
    "drops": re.compile(r"\bdrop\s+(?!policy\b)", re.IGNORECASE),
    "changes-policy": re.compile(r"\b(drop|alter)\s+policy\b", re.IGNORECASE),
}
"""What the linter has no rule for, and the version before may not bear."""
_PARAMETER: Final = re.compile(r"(?<!:):[a-z_]\w*")


class _Nothing:
    """A connection that finds nothing, and keeps what it was asked."""

    def __init__(self, said: list[str]) -> None:
        self._said = said

    def execute(self, statement: object, _parameters: object = None) -> "_Nothing":
        """Keep a statement."""
        self._said.append(str(statement))
        return self

    def scalars(self) -> "_Nothing":
        """Give no column."""
        return self

    def all(self) -> list[Any]:
        """Give no rows."""
        return []


def migrations(service: str) -> Iterator[Path]:
    """Name a service's migrations after the first."""
    for file in sorted((migrations_folder(service) / "versions").glob("[0-9]*.py")):
        if file.name[: len(FIRST)] > FIRST:
            yield file


def said(file: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the statements with which a migration upgrades an empty database, without one."""
    statements: list[str] = []
    monkeypatch.setattr(op, "execute", lambda statement: statements.append(str(statement)))
    monkeypatch.setattr(op, "get_bind", lambda: _Nothing(statements))
    spec = importlib.util.spec_from_file_location("migration", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.upgrade()
    return statements


def complaints(statements: list[str]) -> set[str]:
    """Name the rules that statements break, but for those that are left out."""
    text = ";\n".join(_PARAMETER.sub("null", statement.strip()) for statement in statements) + ";\n"
    command = [str(Path(sys.executable).with_name("squawk")), "--assume-in-transaction", "--reporter", "json"]
    excluded = [f"--exclude={rule}" for rule in LEFT_OUT]
    ended = subprocess.run(
        [*command, "--pg-version=15.0", *excluded], input=text, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode in {0, 1}, ended.stderr
    found = {complaint["rule_name"] for complaint in json.loads(ended.stdout or "[]")}
    return found | {name for name, like in STOPS.items() if like.search(text)}
