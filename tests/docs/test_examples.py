"""What the documentation shows is run as it stands, but for the addresses, against the running whole."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from local_stack.checkout import ROOT
from local_stack.clients.tenant import Tenant
from local_stack.clients.waiting import until

EXAMPLES = ROOT / "docs" / "examples"
PATIENCE_SECONDS = 90.0


def localised(name: str, tenant: Tenant, folder: Path) -> Path:
    """Write an example with the addresses of the running system in place of those of `make run`."""
    at = tenant.at
    text = (EXAMPLES / name).read_text()
    for shown, real in (
        ("http://127.0.0.1:8000", at.gateway_url),
        ("http://127.0.0.1:8001", at.notifications_urls[0]),
        ("127.0.0.1:19092", at.downstream.bootstrap),
    ):
        text = text.replace(shown, real)
    file = folder / name
    file.write_text(text)
    return file


async def said(*command: str, cwd: Path, **variables: str) -> str:
    """Run a program to its end, which must be a good one, and give what it said."""
    running = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=os.environ | variables, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output = (await asyncio.wait_for(running.communicate(), PATIENCE_SECONDS))[0].decode()
    finally:
        if running.returncode is None:
            running.kill()
    assert running.returncode == 0, output
    return output


@asynccontextmanager
async def following(file: Path, token: str) -> AsyncIterator[asyncio.StreamReader]:
    """Run `follow.py`, and give what it prints."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, str(file), token), cwd=file.parent, stdout=asyncio.subprocess.PIPE
    )
    assert running.stdout is not None
    try:
        assert await line(running.stdout) == "ready"
        yield running.stdout
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


async def kept(folder: Path, position: int) -> bool:
    return bool(json.loads((folder / "follow.json").read_text())["after"]["booking"] == position)


async def line(output: asyncio.StreamReader) -> str:
    return (await asyncio.wait_for(output.readline(), PATIENCE_SECONDS)).decode().strip()


async def test_the_quickstart_books_confirms_and_is_refused_the_same_night(tenant: Tenant, tmp_path: Path) -> None:
    script = localised("quickstart.sh", tenant, tmp_path)
    script.write_text(f"set -eu\nmake() {{ echo '{tenant.token()}'; }}\n{script.read_text()}")
    output = await said("bash", str(script), cwd=tmp_path)
    assert "HTTP/1.1 201 Created" in output
    assert '"status":"confirmed"' in output
    assert output.count("/problems/booking-conflict") == 1
    assert [event["type"] for event in await tenant.caller().events()] == ["BookingCreated", "BookingConfirmed"]


async def test_a_follower_that_is_killed_goes_on_where_it_was(tenant: Tenant, tmp_path: Path) -> None:
    file = localised("follow.py", tenant, tmp_path)
    artist = await tenant.artist()
    async with following(file, tenant.token()) as output:
        await tenant.booking(artist, 0)
        assert await line(output) == "booking 1 booking:created Night 0"
        await until(lambda: kept(tmp_path, 1), "the follower has taken note of position 1")
    await tenant.booking(artist, 1)
    async with following(file, tenant.token()) as output:
        assert await line(output) == "booking 2 booking:created Night 1"
        await tenant.booking(artist, 2)
        assert await line(output) == "booking 3 booking:created Night 2"


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node here; the example is JavaScript")
async def test_the_client_in_javascript_books_another_night_when_the_first_is_taken(
    tenant: Tenant, tmp_path: Path
) -> None:
    file = localised("calendar.mjs", tenant, tmp_path)
    output = await said("node", str(file), tenant.token(), cwd=tmp_path)
    assert output.splitlines() == [
        "confirmed version 2",
        "in the way: 2027-05-09T00:00:00.000Z",
        "would work: 2027-05-09T03:30:00.000Z, 2027-05-09T07:00:00.000Z, 2027-05-09T10:30:00.000Z",
        "booked instead: 2027-05-09T03:30:00.000Z",
        "version-mismatch 412",
        "position 3 bookings 2",
    ]
    shown = (ROOT / "docs" / "how-to" / "frontend.md").read_text()
    assert all(told in shown for told in output.splitlines()[:5])


async def test_an_outsider_verifies_the_trail_with_the_example_and_keeps_its_heads(
    tenant: Tenant, tmp_path: Path
) -> None:
    artist = await tenant.artist("Ümit & Söhne ☾")
    await tenant.booking(artist, venue="Übersee \u2028 \U0001f3b7 </script>")
    example = localised("verify_audit.py", tenant, tmp_path)
    output = await said(sys.executable, str(example), tenant.token(), cwd=tmp_path)
    assert output.splitlines() == [
        "booking: 1 entries, as they were written",
        "tenancy: 1 entries, as they were written",
    ]
    await tenant.booking(artist, 1)
    assert "booking: 2 entries" in await said(sys.executable, str(example), tenant.token(), cwd=tmp_path)
    kept = json.loads((tmp_path / "audit.json").read_text())
    assert kept["booking"].keys() == {"1", "2"}
    (tmp_path / "audit.json").write_text(json.dumps(kept | {"booking": {"1": "0" * 64}}))
    with pytest.raises(AssertionError, match="written anew"):
        await said(sys.executable, str(example), tenant.token(), cwd=tmp_path)
