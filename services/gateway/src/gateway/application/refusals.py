"""Refusals: a call that the gateway refuses as forbidden is on record for its tenant all the same.

It is published to the service that would have decided or answered it, which enters it in its audit trail. The caller
does not wait for that; what can't be published, or is one too many, is counted and logged.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from prometheus_client import Counter
from uuid_utils.compat import uuid7

from gateway.application.ports import CommandLine
from production_contracts.audit import CallOrigin
from production_contracts.commands import (
    BY_DATA,
    Author,
    Command,
    CommandBody,
    RefusedBookingCall,
    RefusedCall,
    RefusedTenancyCall,
)
from production_contracts.envelope import command_record
from production_contracts.topics import COMMANDS_OF
from servicekit import clock
from servicekit.tokens import Principal

MOST_IN_HAND: Final = 1024
"""Refusals on their way to Kafka; one more than these is lost to the trail."""
DELIVERY_SECONDS: Final = 15.0
KEPT: Final = timedelta(days=7)
_DATA: Final[dict[str, type[RefusedCall]]] = {"booking": RefusedBookingCall, "tenancy": RefusedTenancyCall}

REFUSALS: Final = Counter(
    "gateway_refusals", "Calls refused as forbidden, by whether they reached the audit trail's topic", ("result",)
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A refused call: whose, of which service, which method and route, about what, and from where."""

    principal: Principal
    service: str
    operation: str
    aggregate_id: UUID
    origin: CallOrigin


class Refusals:
    """Puts refused calls on record, in the background."""

    def __init__(self, commands: CommandLine, *, now: Callable[[], datetime] = clock.now) -> None:
        """Publish through ``commands``."""
        self._commands = commands
        self._now = now
        self._in_hand: set[asyncio.Task[None]] = set()

    def record(self, refusal: Refusal) -> None:
        """Put a refused call on record, and return at once."""
        if len(self._in_hand) >= MOST_IN_HAND:
            self._lost(refusal, "too many are on their way already")
            return
        task = asyncio.create_task(self._publish(refusal), name="refusal")
        self._in_hand.add(task)
        task.add_done_callback(self._in_hand.discard)

    async def start(self) -> None:
        """Do nothing: there is nothing to begin."""

    async def stop(self) -> None:
        """Let what is on its way arrive, within a deadline."""
        if self._in_hand:
            await asyncio.wait(self._in_hand, timeout=DELIVERY_SECONDS)

    async def _publish(self, refusal: Refusal) -> None:
        command = self._command(refusal)
        try:
            record = command_record(command, COMMANDS_OF[refusal.service].name, self._now())
            sent = await self._commands.send(record)
            await asyncio.wait_for(asyncio.shield(sent), DELIVERY_SECONDS)
        except Exception as error:  # noqa: BLE001 - nobody awaits this task: whatever went wrong, it is told here
            self._lost(refusal, repr(error))
        else:
            REFUSALS.labels("published").inc()

    def _command(self, refusal: Refusal) -> Command:
        data, who = _DATA[refusal.service], refusal.principal
        return Command(
            id=uuid7(),
            type=BY_DATA[data],
            tenant_id=who.tenant_id,
            aggregate_id=refusal.aggregate_id,
            body=CommandBody(
                author=Author(sub=who.sub, role=who.role, iat=who.iat, origin=refusal.origin),
                expires_at=self._now() + KEPT,
                data=data(operation=refusal.operation),
            ),
        )

    def _lost(self, refusal: Refusal, reason: str) -> None:
        REFUSALS.labels("lost").inc()
        _log.error(
            "a refused call is not in the audit trail",
            tenant_id=str(refusal.principal.tenant_id),
            actor=refusal.principal.sub,
            operation=refusal.operation,
            aggregate_id=str(refusal.aggregate_id),
            origin=refusal.origin.model_dump(),
            reason=reason,
        )
