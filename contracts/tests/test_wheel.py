"""The package alone: built as a wheel, installed in an environment that holds pydantic besides and nothing else."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from email.parser import BytesParser
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1]
PYDANTIC = ("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection")
READ_AN_EVENT = """
import json, sys
from production_contracts.bookings import BookingEventData
from production_contracts.envelope import event_record, read_event
from uuid import UUID

tenant = UUID("8a0b1c2d-0000-4000-8000-00000000000a")
record = event_record(json.load(sys.stdin), tenant, "booking.events.v1")
received = read_event(record.key, record.value, record.headers)
assert received is not None and received.tenant_id == tenant
assert not {"aiokafka", "fastapi", "faststream", "sqlalchemy"} & sys.modules.keys()
print(received.type.socket, received.position, BookingEventData.model_validate(received.event["data"]).title)
"""
EVENT = {
    "stream": "booking",
    "position": 7,
    "id": "0190f3a4-0000-7000-8000-000000000001",
    "type": "BookingCreated",
    "aggregate_id": "0190f3a4-0000-7000-8000-000000000002",
    "version": 1,
    "occurred_at": "2027-05-08T20:00:00.000Z",
    "actor": "user_ana",
    "data": {
        "id": "0190f3a4-0000-7000-8000-000000000002",
        "artist_id": "0190f3a4-0000-7000-8000-000000000003",
        "start_time": "2027-05-08T20:00:00.000Z",
        "end_time": "2027-05-08T23:00:00.000Z",
        "status": "pencil",
        "title": "A night",
        "version": 1,
        "position": 7,
        "created_by": "user_ana",
        "created_at": "2027-01-01T00:00:00.000Z",
        "updated_at": "2027-01-01T00:00:00.000Z",
    },
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the locked hatchling, as any frontend would (PEP 517), without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=FOLDER, check=True, capture_output=True, text=True
    )
    return folder / done.stdout.split()[-1]


def test_it_says_what_it_is_and_is_typed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = BytesParser().parsebytes(archive.read(next(name for name in names if name.endswith("/METADATA"))))
    assert metadata["Name"] == "production-contracts"
    assert metadata.get_all("Requires-Dist") == ["pydantic>=2.14"]
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Summary"]
    assert "production_contracts" in str(metadata.get_payload()), "the README is the long description"
    assert "production_contracts/py.typed" in names
    assert {name.split("/")[0] for name in names} == {
        "production_contracts",
        f"production_contracts-{metadata['Version']}.dist-info",
    }


def test_it_reads_an_event_with_pydantic_alone(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.run([python, "-c", where], check=True, capture_output=True, text=True).stdout.strip())
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)  # a wheel of pure Python is installed by unpacking it
    ours = Path(sys.modules["pydantic"].__file__ or "").parents[1]
    for package in PYDANTIC:
        found = next(path for path in (ours / package, ours / f"{package}.py") if path.exists())
        (packages / found.name).symlink_to(found)
    done = subprocess.run(
        [python, "-c", READ_AN_EVENT],
        input=json.dumps(EVENT),
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(maxsplit=2) == ["booking:created", "7", "A night\n"]
