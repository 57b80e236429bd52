"""The desk: takes an order, publishes it as a command, and waits for its outcome as long as the caller does."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from prometheus_client import Counter
from uuid_utils.compat import uuid7

from gateway.application.ports import CommandLine, CrowdedError, NotSentError, ReplyLine
from gateway.domain.command_ids import CommandIds
from gateway.domain.preferences import Patience
from production_contracts import problems
from production_contracts.audit import CallOrigin
from production_contracts.commands import BY_DATA, Author, Command, CommandBody, Idempotency
from production_contracts.envelope import command_record
from production_contracts.outcomes import Reply, is_accepted
from production_contracts.records import Record
from production_contracts.topics import COMMANDS_OF
from servicekit import clock
from servicekit.problems import ProblemError
from servicekit.tokens import Principal

EXPIRES_WAITING: Final = timedelta(seconds=60)
EXPIRES_ASYNC: Final = timedelta(minutes=15)
DELIVERY_SECONDS: Final = 15.0
RETRY_AFTER: Final = {"Retry-After": "2"}

_DEAF: Final = "Outcomes can't be received for the moment; nothing was done."
_CROWDED: Final = "Too many requests wait here already; nothing was done."
_NOT_TAKEN: Final = "The request could not be taken; nothing was done."

COMMANDS: Final = Counter("gateway_commands", "Commands by what became of them here", ("type", "result"))

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What a caller asks for: the command's data (which names its type), of which aggregate, and from where."""

    principal: Principal
    aggregate_id: UUID
    data: Record
    patience: Patience
    origin: CallOrigin
    expected_versions: list[int] | None = None
    idempotency: Idempotency | None = None
    kept: timedelta | None = None
    """For how long it may be decided; None: as the patience says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """An order that was published; without ``reply`` its outcome is to be asked for by ``command_id``."""

    command_id: str
    reply: Reply | None


class Desk:
    """Takes orders. Whether the caller still listens makes no difference to what is done."""

    def __init__(
        self,
        commands: CommandLine,
        replies: ReplyLine,
        ids: CommandIds,
        *,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        """Publish through ``commands`` and hear of outcomes through ``replies``."""
        self._commands = commands
        self._replies = replies
        self._ids = ids
        self._now = now

    async def take(self, order: Order) -> Taken:
        """Publish an order and wait for its outcome.

        Raises:
            ProblemError: `unavailable`: it was not published; or, with ``command_id``, it may have been.
        """
        command = self._command(order)
        text = self._ids.write(command.id, command.tenant_id, command.type.service)
        # For the rest of the request: whoever catches what fails here, or after it, names the command as well.
        structlog.contextvars.bind_contextvars(command_id=str(command.id))
        try:
            reply = await self._publish(command, text, order.patience)
        except ProblemError:
            COMMANDS.labels(command.type.name, "unavailable").inc()
            raise
        result = "pending" if reply is None else "accepted" if is_accepted(reply.outcome.status) else "rejected"
        COMMANDS.labels(command.type.name, result).inc()
        return Taken(command_id=text, reply=reply)

    def _command(self, order: Order) -> Command:
        kept = order.kept or (EXPIRES_ASYNC if order.patience.asynchronous else EXPIRES_WAITING)
        stated: dict[str, Any] = {
            "author": Author(
                sub=order.principal.sub, role=order.principal.role, iat=order.principal.iat, origin=order.origin
            ),
            "expires_at": self._now() + kept,
            "data": order.data,
        }
        if order.idempotency is not None:
            stated["idempotency"] = order.idempotency
        if order.expected_versions is not None:
            stated["expected_versions"] = order.expected_versions
        return Command(
            id=uuid7(),
            type=BY_DATA[type(order.data)],
            tenant_id=order.principal.tenant_id,
            aggregate_id=order.aggregate_id,
            body=CommandBody(**stated),
            reply_partition=self._replies.partition if order.patience.seconds > 0 else None,
        )

    async def _publish(self, command: Command, text: str, patience: Patience) -> Reply | None:
        if patience.seconds <= 0:
            await self._delivered(await self._send(command), text)
            return None
        if not self._replies.attached:
            raise _unavailable(_DEAF)
        try:
            with self._replies.expecting(command.tenant_id, command.id) as outcome:
                return await self._await_reply(await self._send(command), outcome, text, patience.seconds)
        except CrowdedError:
            raise _unavailable(_CROWDED) from None

    async def _send(self, command: Command) -> "asyncio.Future[Any]":
        record = command_record(command, COMMANDS_OF[command.type.service].name, self._now())
        try:
            return await self._commands.send(record)
        except NotSentError as error:
            _log.warning("command not published", reason=str(error))
            raise _unavailable(_NOT_TAKEN) from error

    async def _delivered(self, sent: "asyncio.Future[Any]", text: str) -> None:
        try:
            await asyncio.wait_for(asyncio.shield(sent), DELIVERY_SECONDS)
        except Exception as error:  # whatever went wrong, it went wrong after the command had been handed over
            raise _uncertain(text, error) from error

    async def _await_reply(
        self, sent: "asyncio.Future[Any]", outcome: "asyncio.Future[Reply]", text: str, seconds: float
    ) -> Reply | None:
        def give_up(delivery: "asyncio.Future[Any]") -> None:
            error = _undelivered(delivery)
            if error is not None and not outcome.done():
                outcome.set_exception(_uncertain(text, error))

        sent.add_done_callback(give_up)
        try:
            async with asyncio.timeout(seconds):
                return await outcome
        except TimeoutError:
            error = _undelivered(sent)  # it may have failed in this very moment: the default wait is Kafka's deadline
            if error is not None:
                raise _uncertain(text, error) from None
            return None


def _undelivered(sent: "asyncio.Future[Any]") -> BaseException | None:
    """Say why a record is not known to be on Kafka; None: Kafka has acknowledged it."""
    if not sent.done():
        return TimeoutError("not acknowledged within the wait")
    return asyncio.CancelledError() if sent.cancelled() else sent.exception()


def _unavailable(detail: str) -> ProblemError:
    return ProblemError(problems.UNAVAILABLE, detail, headers=RETRY_AFTER)


def _uncertain(text: str, error: BaseException) -> ProblemError:
    _log.warning("command may not be published", reason=repr(error))
    detail = "The request may have been taken: ask for its command before you try again."
    return ProblemError(problems.UNAVAILABLE, detail, headers=RETRY_AFTER, command_id=text)
