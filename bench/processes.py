"""What processes cost: CPU time and memory, from the kernel's own books (proc(5))."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_USER: Final = 11
_SYSTEM: Final = 12
_WAITED_USER: Final = 13
_WAITED_SYSTEM: Final = 14
_PARENT: Final = 1


class Processes:
    """Processes by the part of the system that they are; those that they have started count as they do."""

    def __init__(self, parts: Mapping[str, Sequence[int]]) -> None:
        """Look at these process ids by name of their part."""
        self._parts = {name: list(pids) for name, pids in parts.items()}

    def also(self, **parts: int | Sequence[int]) -> "Processes":
        """Look at others besides."""
        more = {name: [found] if isinstance(found, int) else list(found) for name, found in parts.items()}
        return Processes(self._parts | more)

    def cpu_seconds(self) -> dict[str, float]:
        """Tell how much CPU time each part has taken so far, that of its children that have ended included."""
        table = _table()
        return {name: sum(table[pid][1] for pid in _family(pids, table)) for name, pids in self._parts.items()}

    def resident_bytes(self) -> dict[str, int]:
        """Tell how much memory each part holds (PSS: what processes share is counted once)."""
        table = _table()
        return {name: sum(_pss(pid) for pid in _family(pids, table)) for name, pids in self._parts.items()}


def used(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Tell how much CPU time each part took between two looks."""
    return {name: after[name] - before[name] for name in before}


def _table() -> dict[int, tuple[int, float]]:
    """Read of each process its parent and its CPU seconds."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        ticks = sum(int(fields[place]) for place in (_USER, _SYSTEM, _WAITED_USER, _WAITED_SYSTEM))
        found[int(stat.parent.name)] = (int(fields[_PARENT]), ticks / _TICKS)
    return found


def _family(pids: Sequence[int], table: Mapping[int, tuple[int, float]]) -> set[int]:
    family = {pid for pid in pids if pid in table}
    grown = True
    while grown:
        children = {pid for pid, (parent, _) in table.items() if parent in family} - family
        family |= children
        grown = bool(children)
    return family


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
