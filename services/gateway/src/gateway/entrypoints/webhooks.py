"""Webhooks: ``POST /v1/webhooks/clerk``, signed as Svix signs them (https://docs.svix.com/receiving/verifying-payloads)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import structlog
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError
from starlette.requests import Request
from starlette.responses import Response

from gateway.application.tidings import TIDINGS, Tidings
from gateway.entrypoints import bodies, origins
from production_contracts import problems
from servicekit.problems import NOT_THERE, ProblemError

MOST_IN_HAND: Final = 64
"""Bodies are read before it is known who sends them: whoever that is takes no more of the gateway than this."""
LONGEST_HEADER: Final = 1024
_HEADERS: Final = ("svix-id", "svix-timestamp", "svix-signature")

_log = structlog.get_logger(__name__)


class Webhooks:
    """Takes what Clerk sends; who sends it is proven by the signature, so no token and no rate limit comes into it."""

    def __init__(self, secrets: Sequence[str], tidings: Tidings) -> None:
        """Accept what is signed with one of the secrets; without any there are no webhooks."""
        self._signers = [Webhook(secret) for secret in secrets]
        self._tidings = tidings
        self._in_hand = 0

    async def clerk(self, request: Request) -> Response:
        """``POST /v1/webhooks/clerk``: 200 once decided, 202 once Kafka has it; anything else is sent again by Svix."""
        if not self._signers:
            raise ProblemError(problems.NOT_FOUND, NOT_THERE)
        if self._in_hand >= MOST_IN_HAND:
            detail = "Too many webhooks are in hand here already; nothing was done."
            raise ProblemError(problems.UNAVAILABLE, detail, headers={"Retry-After": "1"})
        self._in_hand += 1
        try:
            raw = await bodies.read_bytes(request)
            message_id, sent_at = self._verify(raw, request.headers)
            origin = origins.origin(request, origins.WEBHOOK)
            decided = await self._tidings.take(message_id, bodies.parse_object(raw), sent_at, origin)
        finally:
            self._in_hand -= 1
        return Response(status_code=200 if decided else 202)

    def _verify(self, raw: bytes, headers: Mapping[str, str]) -> tuple[str, datetime]:
        """Hold that a body was signed a short while ago; gives the message's id, and when it was sent.

        Raises:
            ProblemError: `unauthenticated`.
        """
        stated = [headers.get(name, "")[: LONGEST_HEADER + 1] for name in _HEADERS]
        if all(0 < len(value) <= LONGEST_HEADER and value.isascii() for value in stated):
            standard = dict(zip(("webhook-id", "webhook-timestamp", "webhook-signature"), stated, strict=True))
            for signer in self._signers:
                try:
                    signer.verify(raw, standard, json_parse=False)
                except (WebhookVerificationError, ValueError):  # a signature or body that is no text raises ValueError
                    continue
                return stated[0][:200], datetime.fromtimestamp(int(float(stated[1])), UTC)
        TIDINGS.labels("other", "unauthenticated").inc()
        _log.warning("a webhook was not signed as it must be")
        detail = "This is not signed with a secret known here, or not within the last five minutes."
        raise ProblemError(problems.UNAUTHENTICATED, detail, headers={"WWW-Authenticate": "Svix"})
