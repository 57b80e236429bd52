"""Admission: who asks, whether they ask too often, and whether they may."""

from typing import Final

import structlog
from starlette.requests import Request

from gateway.application.ports import Limits, Quota
from gateway.application.refusals import Refusal, Refusals
from gateway.entrypoints import conditions, origins
from gateway.entrypoints.front import add_headers
from production_contracts import problems
from production_contracts.roles import Permission, may
from servicekit.problems import ProblemError
from servicekit.tokens import Principal, TokenVerifier

OPERATION: Final = "gateway.operation"
"""Where a request's scope names its method and route."""
_OF_BOOKING: Final = frozenset({Permission.BOOKINGS_READ, Permission.BOOKINGS_WRITE})


class Admission:
    """Lets requests in: first the token, then the rate limits, then removals and the permission.

    Whoever we know and refuse as forbidden is put on record.
    """

    def __init__(self, verifier: TokenVerifier, limits: Limits, refusals: Refusals) -> None:
        """Verify with ``verifier``, count with ``limits``, and put on record with ``refusals``."""
        self._verifier = verifier
        self._limits = limits
        self._refusals = refusals

    async def admit(self, request: Request, permission: Permission, service: str | None = None) -> Principal:
        """Tell who asks; ``service`` is the one concerned, where the permission does not tell.

        Raises:
            ProblemError: `unauthenticated`, `forbidden` or `unavailable` as `TokenVerifier.verify`; `rate-limited`;
                `forbidden`: the caller's role does not hold the permission.
        """
        principal = await self._verifier.identify(request)
        structlog.contextvars.bind_contextvars(tenant_id=str(principal.tenant_id))
        quotas = await self._limits.count(principal.tenant_id, principal.sub)
        add_headers(request, _headers(quotas))
        for quota in quotas:
            if quota.exceeded:
                detail = f"More than {quota.limit} requests in {quota.window_seconds} s by one {quota.name}."
                raise ProblemError(problems.RATE_LIMITED, detail, headers={"Retry-After": str(quota.window_seconds)})
        try:
            self._hold(principal, permission)
        except ProblemError as refused:
            if refused.kind is problems.FORBIDDEN:
                self._record(request, principal, service or ("booking" if permission in _OF_BOOKING else "tenancy"))
            raise
        return principal

    def _hold(self, principal: Principal, permission: Permission) -> None:
        self._verifier.check(principal)
        if not may(principal.role, permission):
            detail = f"The role {principal.role.value} does not hold the permission {permission.value}."
            raise ProblemError(problems.FORBIDDEN, detail)

    def _record(self, request: Request, principal: Principal, service: str) -> None:
        named = conditions.id_in_path(request)
        refusal = Refusal(
            principal=principal,
            service=service,
            operation=request.scope[OPERATION],
            aggregate_id=principal.tenant_id if named is None else named,
            origin=origins.origin(request),
        )
        self._refusals.record(refusal)


def _headers(quotas: tuple[Quota, ...]) -> list[tuple[bytes, bytes]]:
    """Write the headers of draft-ietf-httpapi-ratelimit-headers-10."""
    policy = ", ".join(f'"{quota.name}";q={quota.limit};w={quota.window_seconds}' for quota in quotas)
    left = ", ".join(f'"{quota.name}";r={max(quota.remaining, 0)};t={quota.window_seconds}' for quota in quotas)
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", left.encode())]
