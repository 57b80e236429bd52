"""Every kind of fault, on the whole system under load: two minutes with a fixed seed break no promise."""

import shutil

import pytest

from local_stack.chaos.run import run
from local_stack.chaos.schedule import KINDS, plan
from local_stack.testing import temporary_folder

SEED, SECONDS = 1, 120.0


@pytest.mark.timeout(900)
async def test_two_minutes_of_every_fault_break_no_promise() -> None:
    assert {fault.kind for fault in plan(SEED, SECONDS)} == set(KINDS)
    folder = temporary_folder()
    async with await run(folder, seconds=SECONDS, seed=SEED, kinds=tuple(KINDS), say=print) as done:
        findings = await done.judge()
        assert done.faults == len(plan(SEED, SECONDS))
    breached = [finding.render() for finding in findings if finding.breaches]
    assert not breached, "\n".join([*breached, f"history and logs: {folder}"])
    shutil.rmtree(folder)
