"""Carries out a schedule of faults on the running whole, undoes each, and writes down when it did."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from local_stack.chaos.faults import DOINGS
from local_stack.chaos.history import Fault, History
from local_stack.chaos.schedule import Planned
from local_stack.chaos.topology import Topology


@dataclass(frozen=True, kw_only=True)
class Nemesis:
    """Breaks and mends; a fault that cannot be done, or not undone, ends the run with what went wrong."""

    whole: Topology
    history: History
    clock: Callable[[], float]
    say: Callable[[str], None]

    async def carry_out(self, schedule: Sequence[Planned]) -> None:
        """Do every fault at its time; return when the last is undone."""
        async with asyncio.TaskGroup() as faults:
            for fault in schedule:
                await asyncio.sleep(max(0.0, fault.at - self.clock()))
                faults.create_task(self._do(fault), name=f"{fault.kind} {fault.target}")

    async def _do(self, fault: Planned) -> None:
        began = self.clock()
        way = "".join(f" {name}={value}" for name, value in fault.way.items())
        self.say(f"fault {fault.number}: {fault.kind} {fault.target}{way}, for {fault.seconds:g} s")
        async with DOINGS[fault.kind](self.whole, fault):
            await asyncio.sleep(fault.seconds)
        self.history.add(
            Fault(
                number=fault.number,
                kind=fault.kind,
                target=fault.target,
                began=began,
                ended=self.clock(),
                detail=dict(fault.way),
            )
        )
