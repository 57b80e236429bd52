"""What the images of the services hold, looked at without Docker: installed by the script that their build runs.

``python -m local_stack.images check gateway``, and ``sbom gateway``, which writes its bill of materials.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local_stack.checkout import ROOT
from local_stack.environment import SERVICES
from servicekit.secrets import EXIT_STATUS

LARGEST_BYTES: Final = 150_000_000
"""What an image may add to its base."""
SBOM: Final = "sbom.cdx.json"
OURS: Final = frozenset(f"production-{name}" for name in ("contracts", "servicekit", *SERVICES))
"""What is ours, and in no lock."""
_PINNED: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_STEPS: Final = ("locked", "ours")
_NAME: Final = re.compile(r"[-_.]+")


class ImageError(Exception):
    """An image would not hold what it is to hold; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """What an image adds to its base."""

    service: str
    bytes: int
    digest: str
    packages: int


def install(service: str, into: Path) -> None:
    """Install a service as its image holds it.

    Raises:
        ImageError: it can't be.
    """
    shutil.rmtree(into, ignore_errors=True)
    base = str(Path(sys.base_prefix) / "bin" / "python3")
    environment = os.environ | {"BASE_PYTHON": base, "BUILD": str(ROOT / ".venv")}
    for step in _STEPS:
        ended = subprocess.run(
            [ROOT / "deploy/install", step, service, into], env=environment, capture_output=True, text=True, check=False
        )
        if ended.returncode:
            message = f"{service} can't be installed: {ended.stderr}"
            raise ImageError(message)


def look(service: str, into: Path) -> Content:
    """Look at what was installed, and hold that it starts by itself and is what its bill of materials says.

    Raises:
        ImageError: it is not.
    """
    packages, pinned, installed = billed(into / SBOM), locked(service), _installed(into)
    odd = {one for one in packages - pinned if one[0] not in OURS}
    odd |= {one for one in pinned if one[0] not in dict(packages)}
    if odd := odd | (packages ^ installed):
        message = f"{service}: lock, bill of materials and what is installed differ: {sorted(odd)}"
        raise ImageError(message)
    alone = {"PATH": f"{into / 'bin'}:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run([into / "bin/service"], env=alone, cwd="/", capture_output=True, text=True, check=False)
    if ended.returncode != EXIT_STATUS or not ended.stderr.startswith("not started: these settings must be mended"):
        message = f"{service} does not start so far as to miss its settings: {ended.stderr}"
        raise ImageError(message)
    size = sum(file.lstat().st_size for file in _files(into))
    return Content(service=service, bytes=size, digest=_digest(into), packages=len(packages))


def check(services: Sequence[str]) -> Iterator[str]:
    """Install and look at services, the first of them twice; gives a line of each.

    Raises:
        ImageError: one is not as it is to be.
    """
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder) / "app"
        for number, service in enumerate(services):
            install(service, into)
            found = look(service, into)
            yield f"{service}: {found.bytes / 1e6:.0f} MB, {found.packages} packages, {found.digest[:12]}"
            if found.bytes > LARGEST_BYTES:
                message = f"{service} adds more than {LARGEST_BYTES / 1e6:.0f} MB to its base"
                raise ImageError(message)
            if number == 0:
                install(service, into)
                if _digest(into) != found.digest:
                    message = f"{service} is not the same when it is installed again"
                    raise ImageError(message)
                yield f"{service}: the same again"


def write_sbom(service: str, folder: Path = ROOT / ".local/sbom") -> Path:
    """Write the bill of materials of a service's image, the same as stands in it; gives the file.

    Raises:
        ImageError: as `install`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        install(service, Path(made) / "app")
        return Path(shutil.copy(Path(made) / "app" / SBOM, folder / f"{service}.cdx.json"))


def locked(service: str) -> set[tuple[str, str]]:
    """Name what a service's lock pins, with its versions: several of one where interpreters need others."""
    text = (ROOT / "services" / service / "requirements.lock").read_text()
    return {(_normal(name), pinned) for name, pinned in _PINNED.findall(text)}


def billed(file: Path) -> set[tuple[str, str]]:
    """Name what a bill of materials lists, with its versions, what it is a bill of included."""
    document = json.loads(file.read_text())
    components = [document["metadata"]["component"], *document["components"]]
    return {(_normal(one["name"]), one["version"]) for one in components}


def _installed(into: Path) -> set[tuple[str, str]]:
    found = into.glob("lib/python*/site-packages/*.dist-info")
    return {(_normal(name), number) for name, _, number in (one.stem.partition("-") for one in found)}


def _normal(name: str) -> str:
    return _NAME.sub("-", name).lower()


def _files(into: Path) -> Iterator[Path]:
    return (file for file in sorted(into.rglob("*")) if file.is_symlink() or file.is_file())


def _digest(into: Path) -> str:
    """Digest every file with its path, mode and time."""
    found = hashlib.sha256()
    for file in _files(into):
        told = file.lstat()
        content = str(file.readlink()).encode() if file.is_symlink() else file.read_bytes()
        found.update(f"{file.relative_to(into)} {told.st_mode} {told.st_mtime_ns} {len(content)}\n".encode() + content)
    return found.hexdigest()


def main() -> int:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m local_stack.images")
    parser.add_argument("job", choices=("check", "sbom"))
    parser.add_argument("services", nargs="+", choices=SERVICES)
    asked = parser.parse_args()
    try:
        done = check(asked.services) if asked.job == "check" else map(write_sbom, asked.services)
        for line in done:
            print(line)  # noqa: T201 - a program talks to the terminal
    except ImageError as error:
        print(error, file=sys.stderr)  # noqa: T201 - as above
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
