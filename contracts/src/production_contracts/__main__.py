"""``python -m production_contracts FOLDER``: writes the contract's names and JSON Schemas into a folder."""

import argparse
import json
from pathlib import Path

from production_contracts.schemas import contract


def write(folder: Path) -> None:
    """Write ``names.json`` and ``<kind>/<name>.json``, and remove schemas that are no more."""
    current = contract()
    files = {folder / "names.json": current.names}
    files |= {folder / f"{name}.json": schema for name, schema in current.schemas.items()}
    for file in folder.rglob("*.json"):
        if file not in files:
            file.unlink()
    for file, content in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m production_contracts", description=write.__doc__)
    parser.add_argument("folder", type=Path, help="where to write, such as contracts/schemas")
    write(parser.parse_args().folder)
