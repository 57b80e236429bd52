"""The command line: `python -m local_stack.chaos --seconds 600 --seed 1 --faults all`."""

import argparse
import asyncio
import random
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from local_stack import checkout
from local_stack.chaos.run import Finding, run
from local_stack.chaos.schedule import KINDS, read_kinds
from local_stack.failure import StackFailure

_console = Console(highlight=False, soft_wrap=True)
SHOWN = 5


def read_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m local_stack.chaos", description="Break the system on purpose, and check what it promises."
    )
    parser.add_argument("--seconds", type=float, default=600, help="how long (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="what befalls whom and when; default: another each time")
    parser.add_argument("--faults", default="all", help=f"all, or some of: {', '.join(KINDS)}")
    parser.add_argument("--mutation", default=None, help="break a promise on purpose, to see that it is noticed")
    parser.add_argument("--keep", action="store_true", help="keep history and logs also of a run without a breach")
    return parser.parse_args(words)


async def play(arguments: argparse.Namespace, folder: Path) -> int:
    """Run, check, and tell; give the number of breaches."""
    kinds = read_kinds(arguments.faults)
    async with await run(
        folder,
        seconds=arguments.seconds,
        seed=arguments.seed,
        kinds=kinds,
        mutation=arguments.mutation,
        say=lambda line: _console.print(line, markup=False),
    ) as done:
        findings = done.findings
        show(findings)
        breaches = sum(len(finding.breaches) for finding in findings)
        if breaches or arguments.keep:
            _console.print(f"history: {done.history}\nlogs:    {folder / 'logs'}", markup=False)
    if not (breaches or arguments.keep):
        shutil.rmtree(folder)
    _console.print(f"chaos: {done.commands} commands, {done.faults} faults, {breaches} breaches", markup=False)
    return breaches


def show(findings: Sequence[Finding]) -> None:
    """Print what was checked, and the first breaches of each."""
    table = Table("checked", "looked at", "breaches", title="What always holds", title_justify="left")
    for finding in findings:
        table.add_row(finding.name, str(finding.count), str(len(finding.breaches)))
    _console.print(table)
    for finding in findings:
        for breach in finding.breaches[:SHOWN]:
            _console.print(f"{finding.name}: {breach}", markup=False)
        if len(finding.breaches) > SHOWN:
            _console.print(f"... and {len(finding.breaches) - SHOWN} more", markup=False)


def main() -> int:
    """Play; give 0 when nothing was breached."""
    arguments = read_arguments()
    if arguments.seed is None:
        arguments.seed = random.randrange(10**6)  # noqa: S311 - not a secret
    _console.print(f"seed {arguments.seed}, {arguments.seconds:g} s, faults: {arguments.faults}", markup=False)
    folder = checkout.LOCAL / "chaos" / str(arguments.seed)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        return 1 if asyncio.run(play(arguments, folder)) else 0
    except ValueError as error:
        _console.print(str(error), markup=False)
        return 2
    except StackFailure as failure:
        _console.print(str(failure), markup=False)
        return 1


if __name__ == "__main__":
    sys.exit(main())
