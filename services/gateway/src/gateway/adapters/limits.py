"""Rate limits: counted in Redis for all replicas together, and by this replica alone while Redis is away.

Fixed windows of the library ``limits``. Keys hold a tenant's id, or a digest of tenant and user: no personal data.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable
from typing import Any, Final, Protocol
from uuid import UUID

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from prometheus_client import Counter
from redis.exceptions import RedisError

from gateway.application.ports import Quota
from servicekit.access import RedisAccess
from servicekit.logs import reason
from servicekit.redis_pool import make_pool

BREAKER_SECONDS: Final = 2.0
REDIS_CONNECTIONS: Final = 16

ALONE: Final = Counter("gateway_rate_limits_alone", "Requests counted without Redis")

_log = structlog.get_logger(__name__)


class Counts(Protocol):
    """A place to count in; `limits.aio.storage.Storage` is one."""

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count one more, and tell how many there are in this window."""
        ...


class RateLimits:
    """Counts requests per user and per tenant. It never fails: without Redis each replica counts its own."""

    def __init__(
        self,
        shared: Counts,
        *,
        user: str,
        tenant: str,
        timeout_seconds: float,
        local: Counts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Count in ``shared``, given ``timeout_seconds`` to answer; the limits read like ``2000/second``."""
        self._user, self._tenant = parse(user), parse(tenant)
        self._shared = shared
        self._local = local or MemoryStorage()
        self._timeout = timeout_seconds
        self._clock = clock
        self._closed_at = float("-inf")

    @property
    def alone(self) -> bool:
        """Whether Redis is left alone for now, because it failed a moment ago."""
        return self._clock() < self._closed_at

    async def count(self, tenant_id: UUID, sub: str) -> tuple[Quota, ...]:
        """Count a request of a user and then of the tenant, and say what is left for each.

        One that the user's limit refuses is not the tenant's: a user who asks too often takes nothing from the others.
        """
        digest = hashlib.blake2b(tenant_id.bytes + sub.encode(), digest_size=16).hexdigest()
        user_key, tenant_key = self._user.key_for("user", digest), self._tenant.key_for("tenant", str(tenant_id))
        counted = None if self.alone else await self._count_shared(user_key, tenant_key)
        if counted is None:
            ALONE.inc()
            counted = await self._count_in(self._local, user_key, tenant_key)
        return counted

    async def _count_shared(self, user_key: str, tenant_key: str) -> tuple[Quota, ...] | None:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._count_in(self._shared, user_key, tenant_key)
        except (RedisError, OSError, TimeoutError) as error:
            if not self.alone:
                _log.warning("rate limits are counted by this replica alone", reason=reason(error))
            self._closed_at = self._clock() + BREAKER_SECONDS
            return None

    async def _count_in(self, counts: Counts, user_key: str, tenant_key: str) -> tuple[Quota, ...]:
        # One after the other: neither goes on by itself, and outlives its connection's pool, when the other fails.
        user = _quota("user", self._user, await counts.incr(user_key, self._user.get_expiry()))
        if user.exceeded:
            return (user,)
        return user, _quota("tenant", self._tenant, await counts.incr(tenant_key, self._tenant.get_expiry()))


def _quota(name: str, item: RateLimitItem, counted: int) -> Quota:
    return Quota(name=name, limit=item.amount, window_seconds=item.get_expiry(), remaining=item.amount - counted)


class RedisCounts:
    """Counts in Redis, over pooled connections; the first is made with the first request."""

    def __init__(self, redis: RedisAccess | str, *, timeout_seconds: float) -> None:
        """Count in ``redis``, which has ``timeout_seconds`` to answer."""
        self._pool = make_pool(redis, most=REDIS_CONNECTIONS, timeout_seconds=timeout_seconds, retries=1)
        options: Any = {"connection_pool": self._pool}  # documented, but missing from the declared types
        # The URL is not used beside a pool; the password stands in the pool alone.
        self._storage = RedisStorage("async+redis://", implementation="redispy", key_prefix="gateway:rate", **options)

    async def start(self) -> None:
        """Do nothing: whether Redis is there is seen with the first request."""

    async def stop(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count one more; see `Counts`."""
        return await self._storage.incr(key, expiry, amount)

    async def check(self) -> bool:
        """Tell whether Redis answers."""
        return await self._storage.check()
