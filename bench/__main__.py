"""The command line: ``python -m bench run [--only NAME]``, ``compare``, and ``profile NAME``."""

import argparse
import asyncio
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import comparison, plots, profiling, results, runner, tables
from bench.benchmark import Benchmark
from bench.benchmarks import BENCHMARKS
from bench.stage import Stage
from local_stack import checkout
from local_stack.failure import StackFailure


def read_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure, and compare what was measured.")
    todo = parser.add_subparsers(dest="todo", required=True)
    run = todo.add_parser("run", help="measure")
    run.add_argument("--only", default="", help=f"one of, or several with commas: {', '.join(BENCHMARKS)}")
    run.add_argument("--scale", type=float, default=1.0, help="how much is done, against the usual (default: 1)")
    run.add_argument("--repetitions", type=int, default=None, help="of each side; default: as the benchmark says")
    run.add_argument("--into", type=Path, default=results.LATEST, help="where the results go")
    compare = todo.add_parser("compare", help="tell what is worse than in a stored run; fails if anything is")
    compare.add_argument("--stored", type=Path, default=results.STORED)
    compare.add_argument("--latest", type=Path, default=results.LATEST)
    profile = todo.add_parser("profile", help="tell where the time goes")
    profile.add_argument("scene", choices=list(profiling.SCENES))
    return parser.parse_args(words)


def main() -> int:
    """Do what is asked; 0 where it is done and nothing is worse."""
    arguments = read_arguments()
    if arguments.todo == "compare":
        return _compare(arguments)
    logging.getLogger("aiokafka").setLevel(logging.ERROR)  # it says of each log-in on this machine that it is in clear
    if arguments.todo == "profile":
        return asyncio.run(_profile(arguments.scene))
    names = [name for name in arguments.only.split(",") if name] or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        tables.say(f"there is no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
        return 2
    try:
        return asyncio.run(_run([BENCHMARKS[name] for name in names], arguments))
    except StackFailure as failure:
        tables.say(str(failure))
        return 1


def _compare(arguments: argparse.Namespace) -> int:
    try:
        stored, latest = results.read(arguments.stored), results.read(arguments.latest)
    except (OSError, ValueError) as error:
        tables.say(f"{error}: measure first (make bench), or name the runs")
        return 2
    changes = comparison.compare(stored, latest)
    tables.show_changes(changes)
    return 1 if comparison.is_worse(changes) else 0


async def _run(kinds: Sequence[type[Benchmark]], arguments: argparse.Namespace) -> int:
    measured = _measured(arguments.scale)
    tables.say(f"{measured['machine']}, commit {measured['commit']}, scale {arguments.scale:g}")
    rows: list[results.Row] = []
    failed: list[str] = []
    with Stage(checkout.LOCAL / "bench", say=tables.say) as stage:
        for kind in kinds:
            benchmark = kind(stage, arguments.scale)
            try:
                rows += await _measure(benchmark, arguments, measured)
            except Exception as error:  # noqa: BLE001 - the others can still be measured; it fails the run
                tables.say(f"{benchmark.name} failed: {type(error).__name__}: {error}")
                failed.append(benchmark.name)
    tables.summarise(rows)
    tables.say(f"written: {arguments.into}, and a plot of each beside it")
    if failed:
        tables.say(f"not measured, see above: {', '.join(failed)}; logs: {checkout.LOCAL / 'bench' / 'logs'}")
    return 1 if failed else 0


async def _measure(benchmark: Benchmark, arguments: argparse.Namespace, measured: dict[str, Any]) -> list[results.Row]:
    with tables.progress(benchmark) as tell:
        found = await runner.run(benchmark, tell=tell, repetitions=arguments.repetitions, measured=measured)
    results.merge(arguments.into, found)
    plots.draw(benchmark, found, arguments.into.parent / f"{benchmark.name}.png")
    tables.show(benchmark, found)
    return found


async def _profile(scene: str) -> int:
    with Stage(checkout.LOCAL / "bench", say=tables.say) as stage:
        profiles, statements = await profiling.profile(stage, scene, results.FOLDER)
    for part, found in profiles.items():
        tables.show_profile(part, found)
    tables.show_statements(statements)
    tables.say(f"stacks for a flame graph: {results.FOLDER}/profile-{scene}-*.stacks")
    return 0


def _measured(scale: float) -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=checkout.ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit or "unknown",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "scale": scale,
    }


if __name__ == "__main__":
    sys.exit(main())
