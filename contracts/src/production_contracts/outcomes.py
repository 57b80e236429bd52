"""Outcomes: what became of a command."""

from typing import Any, Literal
from uuid import UUID

from production_contracts.records import Record


class Outcome(Record):
    """The answer to a command: the HTTP status it stands for, and the booking, artist or problem as body."""

    status: int
    body: dict[str, Any]


class Reply(Record):
    """The value of a record on ``gateway.replies.v1``: a command's outcome.

    ``position`` is the tenant's in the deciding service's stream when it was decided.
    """

    command_id: UUID
    outcome: Outcome
    position: int


class CommandStatus(Record):
    """Body of ``GET /v1/commands/{id}``."""

    id: str
    status: Literal["pending", "accepted", "rejected"]
    outcome: Outcome | None = None


FIRST_ERROR_STATUS = 400


def is_accepted(status: int) -> bool:
    """Tell whether an outcome's status says that the command was accepted."""
    return status < FIRST_ERROR_STATUS
