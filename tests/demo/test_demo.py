"""The demo plays to its end against any running system, and its data are as their README tells."""

import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

from local_stack.demo.tour import read_concerts
from local_stack.port import free_ports
from local_stack.system import SystemAddresses

CONCERTS = 120


async def play(*arguments: str, password: str = "") -> tuple[int | None, str]:
    """Run the demo and give how it ended and what it said."""
    command: Sequence[str] = (sys.executable, "-m", "local_stack.demo", *arguments)
    running = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"KAFKA_PASSWORD": password},
    )
    try:
        said = (await running.communicate())[0].decode()
    except BaseException:
        running.kill()
        raise
    return running.returncode, said


async def test_the_story_is_played_to_its_end_and_everything_is_as_told(system: SystemAddresses) -> None:
    code, said = await play(
        *("--gateway", system.gateway_url),
        *("--notifications", system.notifications_urls[1]),
        *("--issuer", system.issuer_url),
        *("--kafka", system.downstream.bootstrap),
        *("--concerts", str(CONCERTS)),
        *("--webhook-secret", system.engines.credentials.webhook_secret),
        *("--at-once", "60"),  # how quick it is depends on who else uses this machine
        password=system.downstream.password or "",
    )
    assert code == 0, said
    assert "Everything was as told." in said
    # Answered, listed, stored, published, and heard by three.
    assert said.count(f" {CONCERTS} ") >= 7, said


async def test_without_a_system_the_demo_says_so_and_fails() -> None:
    nowhere = f"127.0.0.1:{free_ports(1)[0]}"
    url = f"http://{nowhere}"
    code, said = await play(
        "--gateway", url, "--notifications", url, "--issuer", url, "--kafka", nowhere, "--concerts", "1"
    )
    assert code == 1, said
    assert "The system does not answer" in said
    assert "Traceback" not in said


def test_all_2269_concerts_have_a_place_and_none_overlaps_another() -> None:
    concerts = read_concerts()
    assert len(concerts) == 2269
    assert all(concert.end - concert.start == timedelta(hours=3, minutes=30) for concert in concerts)
    assert all(earlier.end <= later.start for earlier, later in pairwise(concerts))
    assert concerts[0].start.isoformat() == "1965-05-06T03:00:00+00:00"
    assert concerts[-1].start.isoformat() == "1995-07-10T01:00:00+00:00"
    assert not any("&amp;" in concert.venue for concert in concerts)
