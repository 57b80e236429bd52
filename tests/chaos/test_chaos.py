"""Two minutes of every fault under load, and every promise still holds."""

from pathlib import Path

import pytest

from local_stack.chaos.run import run
from local_stack.chaos.schedule import KINDS
from local_stack.testing import temporary_folder

SECONDS = 120
SEED = 20261125


@pytest.mark.timeout(600)
async def test_two_minutes_of_every_fault_break_no_promise() -> None:
    folder: Path = temporary_folder()
    async with await run(folder, seconds=SECONDS, seed=SEED, kinds=tuple(KINDS)) as done:
        findings = await done.judge()
        breached = [finding.render() for finding in findings if finding.breaches]
        assert not breached, "\n".join([f"seed {SEED}, kept in {folder}", *breached])
        assert done.faults >= len(KINDS)
        assert done.commands > 1_000
