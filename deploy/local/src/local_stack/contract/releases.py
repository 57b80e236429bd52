"""The released forms of the contract: one frozen file per version, with which every later form is compared.

A file is never changed. There is no look into git's history, so that the comparison works in any copy of the project.
"""

import json
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Final

from local_stack import checkout
from local_stack.contract.compatibility import breaks
from production_contracts.schemas import Contract, contract

CONTRACTS: Final = checkout.ROOT / "contracts"
FOLDER: Final = CONTRACTS / "released"


class ReleaseError(Exception):
    """It can't be released; the message says why and what to do."""


def current_version() -> str:
    """Tell the version that the package has now."""
    version: str = tomllib.loads((CONTRACTS / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return version


def released(folder: Path = FOLDER) -> dict[str, Contract]:
    """Read the released forms, by version."""
    return {file.stem: Contract(**json.loads(file.read_text(encoding="utf-8"))) for file in folder.glob("*.json")}


def broken(current: Contract, folder: Path = FOLDER) -> list[str]:
    """Say what a form of the contract breaks for those who hold a released one."""
    return [
        f"{version}: {sentence}"
        for version, old in sorted(released(folder).items())
        for sentence in breaks(old, current)
    ]


def release(version: str, folder: Path = FOLDER) -> Path:
    """Freeze what the contract is now as a version, and give its file.

    Raises:
        ReleaseError: there is such a version, or an earlier one would be broken.
    """
    file = folder / f"{version}.json"
    if file.exists():
        message = f"{version} is released already: give contracts/pyproject.toml the next version"
        raise ReleaseError(message)
    current = contract()
    if reasons := broken(current, folder):
        message = "\n".join([*reasons, "let the contract only grow: see contracts/README.md"])
        raise ReleaseError(message)
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(asdict(current), ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    return file
