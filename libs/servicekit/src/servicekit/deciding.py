"""What a service that decides brings along: how it loads a batch, decides in memory and saves the net result."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from production_contracts.commands import Command
from production_contracts.events import Stream
from production_contracts.outcomes import is_accepted
from production_contracts.problems import ProblemType, problem_body


@dataclass(frozen=True, kw_only=True, slots=True)
class NewEvent:
    """An event that a decision makes; its position follows from its place in the decision."""

    type: str
    aggregate_id: UUID
    version: int
    data: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What became of a command: its events, in order, and its outcome.

    ``remember``: whether the caller's idempotency key stands for this outcome from now on.
    """

    status: int
    body: dict[str, Any]
    events: tuple[NewEvent, ...] = ()
    remember: bool = True

    @property
    def accepted(self) -> bool:
        """Whether the command was accepted."""
        return is_accepted(self.status)


def refuse(problem: ProblemType, detail: str, *, remember: bool = True, **members: Any) -> Decision:  # noqa: ANN401
    """Decide against a command, with a problem as its outcome."""
    return Decision(status=problem.status, body=problem_body(problem, detail, **members), remember=remember)


class ForeignWriteError(Exception):
    """Another writer, who did not take the stream's lock, stored something in the way of this batch."""


class Ledger(Protocol):
    """The state that a batch of commands is about, in memory, under the locks of its tenants' streams."""

    def decide(self, command: Command, *, position: int, now: datetime) -> Decision:
        """Decide one command after those before it; ``position`` is the one that its first event gets. No I/O."""
        ...

    async def complete(self, connection: AsyncConnection) -> None:
        """Fill in what explanations need from the database (bodies of decisions given are changed in place)."""
        ...

    async def save(self, connection: AsyncConnection) -> None:
        """Write the net state.

        Raises:
            ForeignWriteError: fewer rows were written than should be.
        """
        ...


class Decider(Protocol):
    """A service's part of the command worker."""

    stream: Stream

    async def prepare(self, commands: Sequence[Command]) -> None:
        """Do what may take time before the transaction is opened."""
        ...

    async def load(self, connection: AsyncConnection, commands: Sequence[Command]) -> Ledger:
        """Load the state that the commands are about."""
        ...
