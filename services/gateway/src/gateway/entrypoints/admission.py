"""Admission: who asks, whether they ask too often, and whether they may."""

import structlog
from starlette.requests import Request

from gateway.application.ports import Limits, Quota
from gateway.entrypoints.front import add_headers
from production_contracts import problems
from production_contracts.roles import Permission, may
from servicekit.problems import ProblemError
from servicekit.tokens import Principal, TokenVerifier


class Admission:
    """Lets requests in: first the token, then the rate limits, then the permission."""

    def __init__(self, verifier: TokenVerifier, limits: Limits) -> None:
        """Verify with ``verifier`` and count with ``limits``."""
        self._verifier = verifier
        self._limits = limits

    async def admit(self, request: Request, permission: Permission) -> Principal:
        """Tell who asks.

        Raises:
            ProblemError: `unauthenticated`, `forbidden` or `unavailable` as `TokenVerifier.verify`; `rate-limited`;
                `forbidden`: the caller's role does not hold the permission.
        """
        principal = await self._verifier.authenticate(request)
        structlog.contextvars.bind_contextvars(tenant_id=str(principal.tenant_id))
        quotas = await self._limits.count(principal.tenant_id, principal.sub)
        add_headers(request, _headers(quotas))
        for quota in quotas:
            if quota.exceeded:
                detail = f"More than {quota.limit} requests in {quota.window_seconds} s by one {quota.name}."
                raise ProblemError(problems.RATE_LIMITED, detail, headers={"Retry-After": str(quota.window_seconds)})
        if not may(principal.role, permission):
            detail = f"The role {principal.role.value} does not hold the permission {permission.value}."
            raise ProblemError(problems.FORBIDDEN, detail)
        return principal


def _headers(quotas: tuple[Quota, ...]) -> list[tuple[bytes, bytes]]:
    """Write the headers of draft-ietf-httpapi-ratelimit-headers-10."""
    policy = ", ".join(f'"{quota.name}";q={quota.limit};w={quota.window_seconds}' for quota in quotas)
    left = ", ".join(f'"{quota.name}";r={max(quota.remaining, 0)};t={quota.window_seconds}' for quota in quotas)
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", left.encode())]
