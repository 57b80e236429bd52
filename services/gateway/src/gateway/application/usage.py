"""Usage: what is done with the product, told for each write of a person by what became of it."""

from typing import Final

from gateway.domain.pseudonyms import Pseudonyms
from production_contracts.commands import BY_DATA
from production_contracts.outcomes import Reply, is_accepted
from production_contracts.records import Record
from servicekit.problems import ProblemError
from servicekit.product import Product
from servicekit.tokens import Principal

COMMAND_ENDED: Final = "command ended"
"""The one event that there is: a person asked for a change, and this became of it while they waited."""
PROPERTIES: Final = {
    "command": "its type, such as `production.booking.create.v1`",
    "outcome": "`accepted`, `rejected`, `pending` (not decided while the caller waited) or `unavailable`",
    "reason": "where it was rejected or unavailable, the slug of the [problem](problems.md)",
}


class Usage:
    """Tells of writes; never of what was written, and of who wrote only a pseudonym."""

    def __init__(self, product: Product, pseudonyms: Pseudonyms) -> None:
        """Tell ``product``, and name people by ``pseudonyms``."""
        self._product = product
        self._pseudonyms = pseudonyms

    def answered(self, author: Principal, data: Record, reply: Reply | None) -> None:
        """Tell that a command was decided, or None: not yet."""
        if reply is None:
            self._tell(author, data, "pending")
        elif is_accepted(reply.outcome.status):
            self._tell(author, data, "accepted")
        else:
            self._tell(author, data, "rejected", str(reply.outcome.body.get("type", "")).rpartition("/")[2])

    def failed(self, author: Principal, data: Record, problem: ProblemError) -> None:
        """Tell that a command was not published, or perhaps not."""
        self._tell(author, data, "unavailable", problem.kind.slug)

    def _tell(self, author: Principal, data: Record, outcome: str, reason: str | None = None) -> None:
        told = {"command": BY_DATA[type(data)].name, "outcome": outcome}
        self._product.tell(
            COMMAND_ENDED,
            tenant_id=author.tenant_id,
            person=self._pseudonyms.of(author.tenant_id, author.issuer, author.sub),
            properties=told if reason is None else told | {"reason": reason},
        )
