"""Each import rule is seen to fail on a violation of it, in a copy of the sources."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for path in ROOT.glob("*/src")) + sorted(ROOT.glob("*/*/src"))

VIOLATIONS = [
    ("booking/domain", "import pydantic", "A domain imports the standard library only"),
    ("gateway/domain", "import gateway.settings", "A domain imports the standard library only"),
    ("tenancy/domain", "import production_contracts.commands", "A domain imports the standard library only"),
    ("notifications/domain", "import servicekit.clock", "A domain imports the standard library only"),
    ("production_contracts", "import fastapi", "The contracts import pydantic only"),
    ("production_contracts", "import servicekit", "The contracts import pydantic only"),
    ("servicekit", "import booking.settings", "The servicekit imports no service"),
    ("gateway", "import booking.settings", "A service imports no other service"),
    ("notifications/adapters", "import tenancy", "A service imports no other service"),
    ("booking", "import local_stack.issuer", "A service does not import the local stack"),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources, the rules and nothing else."""
    folder = tmp_path_factory.mktemp("checkout")
    for source in SOURCES:
        shutil.copytree(source, folder / "src", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "import_rules.py", folder / "tests")
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def lint(folder: Path) -> str:
    """What import-linter says of a folder."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=folder,
        env={"PYTHONPATH": f"{folder / 'src'}:{folder}", "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(("package", "violation", "rule"), VIOLATIONS)
def test_a_violation_breaks_its_rule(copy: Path, package: str, violation: str, rule: str) -> None:
    seeded = copy / "src" / package / "seeded.py"
    seeded.write_text(f"{violation}\n")
    try:
        said = lint(copy)
    finally:
        seeded.unlink()
    assert f"{rule} BROKEN" in said
    assert f"{package.replace('/', '.')}.seeded" in said


def test_without_a_violation_no_rule_is_broken(copy: Path) -> None:
    assert " 0 broken" in lint(copy)
