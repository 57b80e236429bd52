"""Rate limits: counted in Redis for all replicas together, and by this replica alone while Redis is away.

Fixed windows of the library ``limits``. Keys hold a tenant's id, or a digest of tenant and user: no personal data.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol
from uuid import UUID

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from prometheus_client import Counter
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.application.ports import Quota
from servicekit.access import RedisAccess
from servicekit.logs import reason
from servicekit.redis_pool import make_pool

BREAKER_SECONDS: Final = 2.0
REDIS_CONNECTIONS: Final = 4
"""One counts, the others ask whether Redis is there."""
MOST_TOGETHER: Final = 256
"""Requests that are counted in one call at most: a script holds up everybody else at Redis."""
PREFIX: Final = "gateway:rate:"

_COUNT: Final = """
local counted = {}
for i = 1, #KEYS, 2 do
    local most, seconds, tenant_seconds = unpack(ARGV, (i - 1) / 2 * 3 + 1, (i - 1) / 2 * 3 + 3)
    counted[i] = redis.call("incrby", KEYS[i], 1)
    counted[i + 1] = 0
    if counted[i] == 1 then redis.call("expire", KEYS[i], seconds) end
    if counted[i] <= tonumber(most) then
        counted[i + 1] = redis.call("incrby", KEYS[i + 1], 1)
        if counted[i + 1] == 1 then redis.call("expire", KEYS[i + 1], tenant_seconds) end
    end
end
return counted
"""
"""For each pair of keys, a user's and the tenant's: count the user's, and the tenant's where that is within bounds."""

ALONE: Final = Counter("gateway_rate_limits_alone", "Requests counted without Redis")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """What is counted: under which key, how many there may be, and for how many seconds it is counted."""

    key: str
    most: int
    seconds: int


class Counts(Protocol):
    """A place to count in."""

    async def count(self, user: Window, tenant: Window) -> tuple[int, int]:
        """Count a request of a user and, where the user asks not too often, of the tenant; tells how many there are."""
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
        self._local = local or OwnCounts()
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
        user, tenant = _window(self._user, "user", digest), _window(self._tenant, "tenant", str(tenant_id))
        counted = None if self.alone else await self._count_shared(user, tenant)
        if counted is None:
            ALONE.inc()
            counted = await self._local.count(user, tenant)
        of_user = _quota("user", user, counted[0])
        return (of_user,) if of_user.exceeded else (of_user, _quota("tenant", tenant, counted[1]))

    async def _count_shared(self, user: Window, tenant: Window) -> tuple[int, int] | None:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._shared.count(user, tenant)
        except (RedisError, OSError, TimeoutError) as error:
            if not self.alone:
                _log.warning("rate limits are counted by this replica alone", reason=reason(error))
            self._closed_at = self._clock() + BREAKER_SECONDS
            return None


def _window(item: RateLimitItem, kind: str, name: str) -> Window:
    return Window(key=item.key_for(kind, name), most=item.amount, seconds=item.get_expiry())


def _quota(name: str, window: Window, counted: int) -> Quota:
    return Quota(name=name, limit=window.most, window_seconds=window.seconds, remaining=window.most - counted)


class OwnCounts:
    """Counts of this process alone."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self._storage = MemoryStorage()

    async def count(self, user: Window, tenant: Window) -> tuple[int, int]:
        """Count one more; see `Counts`."""
        of_user = await self._storage.incr(user.key, user.seconds)
        return of_user, await self._storage.incr(tenant.key, tenant.seconds) if of_user <= user.most else 0


_Asked = tuple[Window, Window, "asyncio.Future[tuple[int, int]]"]


class RedisCounts:
    """Counts in Redis. What comes while a call is under way is counted in the next, all of it in one.

    So that a busy replica asks once for many requests, and an idle one at once for each.
    """

    def __init__(self, redis: RedisAccess | str, *, timeout_seconds: float) -> None:
        """Count in ``redis``, which has ``timeout_seconds`` to answer; the first request connects."""
        self._redis: Redis = Redis(
            connection_pool=make_pool(redis, most=REDIS_CONNECTIONS, timeout_seconds=timeout_seconds, retries=1)
        )
        self._script = self._redis.register_script(_COUNT)
        self._waiting: list[_Asked] = []
        self._counting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Do nothing: whether Redis is there is seen with the first request."""

    async def stop(self) -> None:
        """Finish the call in hand, and close the connections."""
        if self._counting is not None:
            await self._counting
        await self._redis.connection_pool.aclose()

    async def count(self, user: Window, tenant: Window) -> tuple[int, int]:
        """Count one more; see `Counts`."""
        counted: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        self._waiting.append((user, tenant, counted))
        if self._counting is None:
            self._counting = asyncio.create_task(self._count_waiting(), name="rate-limits")
        return await counted

    async def _count_waiting(self) -> None:
        try:
            while self._waiting:
                together, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
                await self._count_together([one for one in together if not one[2].done()])
        finally:
            self._counting = None

    async def _count_together(self, asked: list[_Asked]) -> None:
        if not asked:
            return  # whoever asked has gone
        keys = [PREFIX + window.key for user, tenant, _ in asked for window in (user, tenant)]
        arguments = [told for user, tenant, _ in asked for told in (user.most, user.seconds, tenant.seconds)]
        try:
            found: list[int] = await self._script(keys, arguments)
        except Exception as error:  # noqa: BLE001 - it is raised again, where it is waited for
            for _, _, counted in asked:
                if not counted.done():
                    counted.set_exception(error)
            return
        for number, (_, _, counted) in enumerate(asked):
            if not counted.done():
                counted.set_result((found[2 * number], found[2 * number + 1]))

    async def check(self) -> bool:
        """Tell whether Redis answers."""
        with suppress(RedisError, OSError, TimeoutError):
            return bool(await self._ping())
        return False

    async def _ping(self) -> Any:  # noqa: ANN401 - redis-py declares it for both of its clients
        return await self._redis.ping()
