"""Changes: how a write goes from a checked request to the answer, the same for all of them."""

from dataclasses import dataclass
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from gateway.application.desk import Desk, Order, Taken
from gateway.application.sealing import Sealing
from gateway.application.usage import Usage
from gateway.domain.fingerprints import Fingerprints
from gateway.domain.preferences import patience
from gateway.entrypoints import answers, conditions, origins
from production_contracts import problems
from production_contracts.commands import Idempotency
from production_contracts.outcomes import Outcome, is_accepted
from production_contracts.records import Record
from production_contracts.records import Request as Asked
from servicekit.problems import ProblemError
from servicekit.tokens import Principal


@dataclass(frozen=True, kw_only=True, slots=True)
class Waits:
    """How long a write waits for its outcome, in seconds: unless told otherwise, and at most."""

    default: float
    longest: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A write whose caller may make it and whose body is as the contract asks.

    ``asked`` is the body as it was sent, for the fingerprint; ``data`` what is commanded.
    """

    principal: Principal
    aggregate_id: UUID
    asked: Asked
    data: Record
    creates: bool = False


class Changes:
    """Carries out changes."""

    def __init__(self, desk: Desk, sealing: Sealing, fingerprints: Fingerprints, waits: Waits, usage: Usage) -> None:
        """Place orders at ``desk``, and tell ``usage`` of them."""
        self._desk = desk
        self._sealing = sealing
        self._fingerprints = fingerprints
        self._waits = waits
        self._usage = usage

    async def carry_out(self, request: Request, change: Change, collection: str) -> Response:
        """Carry out a change to something that stands in ``collection``, and answer.

        Raises:
            ProblemError: `invalid-request`: a header is wrong; `unavailable`, as `Desk.take`.
        """
        key = conditions.idempotency_key(request)
        stated, versions = (None, None) if change.creates else conditions.if_match(request)
        wanted = patience(request.headers.getlist("prefer"), default=self._waits.default, longest=self._waits.longest)
        order = Order(
            principal=change.principal,
            aggregate_id=change.aggregate_id,
            data=change.data,
            patience=wanted,
            origin=origins.origin(request),
            expected_versions=versions,
            idempotency=None if key is None else self._idempotency(request, change.asked, key, stated),
        )
        try:
            taken = await self._desk.take(order)
        except ProblemError as problem:
            self._usage.failed(order.principal, order.data, problem)
            raise
        self._usage.answered(order.principal, order.data, taken.reply)
        if taken.reply is None:
            return answers.pending(taken, wanted.applied)
        if is_accepted(taken.reply.outcome.status):
            await self._open(change.principal.tenant_id, taken, taken.reply.outcome)
        return answers.outcome(taken.reply, collection, wanted.applied)

    async def _open(self, tenant_id: UUID, taken: Taken, outcome: Outcome) -> None:
        """Open what is answered; where that can't be, the change is made all the same, and its command says so."""
        try:
            await self._sealing.open_booking(tenant_id, outcome.body)
        except ProblemError as problem:
            if problem.kind is not problems.UNAVAILABLE:
                raise
            detail = "What was asked for is done, but can't be shown for the moment: ask for its command."
            raise ProblemError(problem.kind, detail, headers=problem.headers, command_id=taken.command_id) from problem

    def _idempotency(self, request: Request, asked: Asked, key: str, if_match: str | None) -> Idempotency:
        body = asked.model_dump(mode="json", exclude_unset=True)
        return Idempotency(
            key=key, fingerprint=self._fingerprints.take(request.method, request.scope["path"], body, if_match)
        )
