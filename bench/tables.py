"""What is shown in the terminal: where a run is, and what came of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.benchmark import Benchmark, Measured
from bench.comparison import Change, Verdict
from bench.profiling import Profile, Statement, shares
from bench.results import Row
from bench.runner import Step, Tell, turns
from bench.statistics import Spread

_console = Console(highlight=False, soft_wrap=True)
_STYLES: Final = {Verdict.WORSE: "red", Verdict.BETTER: "green", Verdict.SAME: "", Verdict.UNKNOWN: "dim"}
_THOUSAND: Final = 1000


def say(line: str) -> None:
    """Say a line."""
    _console.print(line, markup=False)


def figure(value: float) -> str:
    """Write a figure with the digits that mean something."""
    if abs(value) >= _THOUSAND:
        return f"{value:,.0f}"
    return f"{value:.3g}"


@contextmanager
def progress(benchmark: Benchmark) -> Iterator[Tell]:
    """Show how a benchmark goes on, and each figure as it is taken."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    _console.print(f"\n[bold]{benchmark.name}[/bold]: {benchmark.about}")
    with Progress(*columns, console=_console, transient=True) as bar:
        task = bar.add_task("getting ready", total=None)

        def tell(step: Step) -> None:
            steps = (step.repetitions + 1) * len(turns(benchmark, 0))
            where = f"{step.repetition} of {step.repetitions}" if step.repetition else "warming up"
            side = benchmark.ours_is if step.side == "ours" else benchmark.baseline_is
            if step.measured is None:
                bar.update(task, total=steps, description=f"{where}: {side}")
            else:
                bar.advance(task)
                bar.console.print(f"  {where:>10}  {side}: {_shown(benchmark, step.measured)}", markup=False)

        yield tell


def _shown(benchmark: Benchmark, measured: Measured) -> str:
    units = {line.name: line.unit for line in benchmark.lines}
    return ", ".join(f"{name} {figure(value)} {units.get(name, '')}" for name, value in measured.items())


def show(benchmark: Benchmark, rows: Sequence[Row]) -> None:
    """Print the table of a benchmark: smallest, median and largest of each."""
    table = Table("", "unit", benchmark.ours_is, benchmark.baseline_is, "ratio", "goal", "")
    for row in rows:
        table.add_row(
            row.line,
            row.unit,
            _spread(row.spread("ours")),
            _spread(row.spread("baseline")),
            _spread(row.spread("ratio")),
            row.goal or "",
            _met(row),
        )
    _console.print(table)


def summarise(rows: Sequence[Row]) -> None:
    """Print what has a goal, and whether it is reached."""
    aimed = [row for row in rows if row.goal is not None]
    if not aimed:
        return
    table = Table("claim", "ratio", "goal", "", title="What was aimed at", title_justify="left")
    for row in aimed:
        table.add_row(row.name, _spread(row.spread("ratio")), row.goal, _met(row))
    _console.print(table)


def show_changes(changes: Sequence[Change]) -> None:
    """Print what has changed between two runs."""
    table = Table("claim", "stored", "now", "change", "verdict")
    for change in changes:
        table.add_row(
            change.name,
            "" if change.before is None else figure(change.before),
            "" if change.now is None else figure(change.now),
            "" if change.change is None else f"{change.change:+.0%}",
            f"{change.verdict}" + (f" ({change.why})" if change.why else ""),
            style=_STYLES[change.verdict],
        )
    _console.print(table)


def show_profile(part: str, found: Profile) -> None:
    """Print how a process's busy time is spread."""
    for title, counted in (
        ("packages, by where a sample was taken", found.packages),
        ("functions, by where a sample was taken", found.functions),
        ("functions, with what they call", found.within),
    ):
        table = Table("share", "what", title=f"{part}: {title} ({found.samples} samples)", title_justify="left")
        for name, share in shares(counted, found.samples):
            table.add_row(f"{share:.1%}", name)
        _console.print(table)


def show_statements(statements: Sequence[Statement]) -> None:
    """Print what PostgreSQL ran."""
    table = Table("calls", "ms", "ms each", "rows", "blocks", "statement", title="PostgreSQL", title_justify="left")
    for one in statements:
        table.add_row(
            figure(one.calls), figure(one.ms), figure(one.ms_each), figure(one.rows), figure(one.blocks), one.query[:90]
        )
    _console.print(table)


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return ""
    if len(spread.samples) == 1:
        return figure(spread.median)
    return f"{figure(spread.median)}  ({figure(spread.least)} to {figure(spread.most)})"


def _met(row: Row) -> str:
    return "" if row.met is None else "[green]yes[/green]" if row.met else "[red]no[/red]"
