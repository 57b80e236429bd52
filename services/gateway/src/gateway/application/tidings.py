"""Tidings: what the identity provider tells us, published as commands of tenancy."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from prometheus_client import Counter
from pydantic import ValidationError

from gateway.application.desk import Desk, Order
from gateway.application.ports import Keyring
from gateway.application.sealing import keys_away
from gateway.domain.preferences import Patience
from production_contracts.audit import CallOrigin
from production_contracts.commands import Idempotency
from production_contracts.outcomes import is_accepted
from production_contracts.roles import Role
from servicekit.clerk import AUTHOR, Fact, Facts, Webhook, sealed
from servicekit.keyring import KeysAwayError
from servicekit.problems import field_errors, invalid_request
from servicekit.tokens import Principal

KEPT: Final = timedelta(days=7)
"""A fact does not go out of date: it may be decided for as long as the topic keeps it."""
KNOWN_TYPES: Final = ("organization", "organizationMembership", "organizationInvitation", "user")

TIDINGS: Final = Counter("gateway_webhooks", "Webhooks by type and by what became of them", ("type", "result"))

_log = structlog.get_logger(__name__)


class Tidings:
    """Takes webhooks whose signature holds. Every fact is a command of its own, in any number of repeats."""

    def __init__(self, facts: Facts, keyring: Keyring, desk: Desk, *, wait_seconds: float) -> None:
        """Read with ``facts``, seal with ``keyring``, publish at ``desk``, and wait for the outcomes for so long."""
        self._facts = facts
        self._keyring = keyring
        self._desk = desk
        self._wait = wait_seconds

    async def take(self, message_id: str, document: dict[str, object], sent_at: datetime, origin: CallOrigin) -> bool:
        """Take a webhook; False where not all of it is decided yet, though Kafka has it for certain.

        Raises:
            ProblemError: `invalid-request`: it is not as its type asks; `unavailable`: it may not be published, or
                keys to seal it with can't be had: it is to be sent again.
        """
        kind = "unreadable"
        try:
            webhook = Webhook.model_validate(document)
            kind = _label(webhook.type)
            told = self._facts.of_webhook(webhook, sent_at)
        except ValidationError as error:
            TIDINGS.labels(kind, "invalid").inc()
            found = error.errors(include_url=False, include_input=False, include_context=False)
            raise invalid_request(field_errors(found)) from None
        if told is None:
            TIDINGS.labels(kind, "unknown").inc()
            return True
        try:
            facts = await sealed(told, self._keyring)
        except KeysAwayError as error:
            TIDINGS.labels(kind, "unavailable").inc()
            raise keys_away() from error
        decided = await self._publish(message_id, facts, origin)
        TIDINGS.labels(kind, "decided" if decided else "published").inc()
        return decided

    async def _publish(self, message_id: str, facts: Sequence[Fact], origin: CallOrigin) -> bool:
        orders = [self._order(f"{message_id}:{index}", fact, origin) for index, fact in enumerate(facts)]
        taken = await asyncio.gather(*(self._desk.take(order) for order in orders))
        replies = [one.reply for one in taken]
        for one in replies:
            if one is not None and not is_accepted(one.outcome.status):
                _log.critical("a fact of the identity provider was refused", outcome=one.outcome.body.get("type"))
        return all(one is not None for one in replies)

    def _order(self, key: str, fact: Fact, origin: CallOrigin) -> Order:
        author = Principal(
            sub=AUTHOR,
            tenant_id=fact.tenant_id,
            org_id="",
            role=Role.ADMIN,
            iat=0,
            exp=0,
            issuer="",
            token="",
        )
        return Order(
            principal=author,
            aggregate_id=fact.aggregate_id,
            data=fact.data,
            patience=Patience(seconds=self._wait, asynchronous=False),
            origin=origin,
            idempotency=Idempotency(key=key, fingerprint=key),
            kept=KEPT,
        )


def _label(kind: str) -> str:
    """Name a type for the metric: whatever Clerk may invent, there are few names."""
    return kind if kind.partition(".")[0] in KNOWN_TYPES and len(kind) < 50 else "other"  # noqa: PLR2004 - a bound
