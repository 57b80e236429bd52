"""What the audience sees."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from local_stack.clients.caller import Answer

COLOURS = {"Ana": "cyan", "Ben": "magenta", "Cleo": "yellow", "Dan": "blue"}


class NotAsToldError(Exception):
    """The system did something else than the story tells."""


class Stage:
    """The terminal: scenes, who says and hears what, and that it is as told."""

    def __init__(self, console: Console) -> None:
        """Play on this console."""
        self._console = console
        self._scene = 0

    def scene(self, title: str) -> None:
        """Begin a scene."""
        self._scene += 1
        self._console.print()
        self._console.rule(f"[bold]{self._scene}. {escape(title)}", align="left")

    def tell(self, line: str) -> None:
        """Say what the audience should know."""
        self._print(escape(line))

    def speak(self, who: str, line: str) -> None:
        """Let somebody do or hear something."""
        colour = COLOURS.get(who, "white")
        self._print(f"  [bold {colour}]{escape(who):<5}[/] {escape(line)}")

    def answered(self, who: str, asked: str, answer: Answer) -> None:
        """Show what somebody asked and the status that came back."""
        good = answer.status < 400  # noqa: PLR2004 - the errors begin here
        mark = "[green]" if good else "[red]"
        colour = COLOURS.get(who, "white")
        said = answer.slug or {201: "Created", 200: "OK"}.get(answer.status, "")
        self._print(f"  [bold {colour}]{escape(who):<5}[/] {escape(asked)}  {mark}{answer.status} {escape(said)}[/]")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Show a table."""
        table = Table(*columns, title=title, title_justify="left", title_style="bold")
        for row in rows:
            table.add_row(*map(str, row))
        self._console.print(table)

    def progress(self) -> Progress:
        """Show how far something long is."""
        return Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
        )

    def hold(self, claim: str, holds: object) -> None:
        """Claim something and show that it holds.

        Raises:
            NotAsToldError: it does not.
        """
        if not holds:
            raise NotAsToldError(claim)
        self._print(f"  [green]✔[/] {escape(claim)}")

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)
