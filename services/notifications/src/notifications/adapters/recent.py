"""Recent events in Redis: a Redis stream per tenant and event stream, and a channel per tenant.

Keys are ``live:{<tenant>}:<stream>``, the channel is ``live:{<tenant>}``: the braces keep a tenant on one shard of a
cluster. The id of an entry is ``<position>-0``. A flush leaves a hole at the front that Redis knows nothing of; readers
see it by the positions and ask the owner. What is told on the channel is the stream's name on a line, then a line
``<position> <payload>`` per event.
"""

from collections.abc import Sequence
from typing import Final, cast
from uuid import UUID

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import NoScriptError, RedisError

from notifications.application.ports import Batch, RecentUnavailableError
from notifications.domain.positions import LiveEvent
from servicekit import tracing
from servicekit.access import RedisAccess
from servicekit.logs import reason
from servicekit.redis_pool import make_pool

PAGE: Final = 500
DEADLINE_S: Final = 5.0
CONNECTIONS: Final = 16

_PUBLISH: Final = """
local told = {ARGV[2]}
for i = 5, #ARGV, 3 do
  local kept = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], ARGV[i] .. '-0', 'e', ARGV[i + 1])
  if type(kept) == 'string' then
    told[#told + 1] = ARGV[i] .. ARGV[i + 2] .. ' ' .. ARGV[i + 1]
  elseif not string.find(kept.err, 'equal or smaller', 1, true) then
    return kept
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
if #told > 1 then redis.call('PUBLISH', ARGV[1], table.concat(told, '\\n')) end
return #told - 1
"""
"""Keeps and tells what is past the last entry; the rest was told before. Atomic: never one without the other.

Redis itself refuses an entry whose id is not past the last one's; to ask it for the last first costs a third more. What
is told of an event is a line ``<position> <payload>``, or ``<position>;<traceparent> <payload>``.
"""


def connect(redis: RedisAccess | str, *, retries: int = 1) -> "Redis":
    """Make a client; each command has a deadline, and ``retries`` on a connection that turned out dead."""
    pool = make_pool(
        redis,
        most=CONNECTIONS,
        timeout_seconds=DEADLINE_S,
        retries=retries,
        socket_keepalive=True,
        decode_responses=True,
    )
    return Redis.from_pool(pool)


def stream_key(tenant_id: UUID, stream: str) -> str:
    """Name the key of a tenant's stream."""
    return f"live:{{{tenant_id}}}:{stream}"


def channel_name(tenant_id: UUID) -> str:
    """Name the channel of a tenant."""
    return f"live:{{{tenant_id}}}"


def read_told(text: str) -> list[LiveEvent]:
    """Read what was told on a channel."""
    stream, *lines = text.split("\n")
    return [_read_line(stream, line) for line in lines]


def _read_line(stream: str, line: str) -> LiveEvent:
    numbered, _, payload = line.partition(" ")
    position, _, traceparent = numbered.partition(";")
    return LiveEvent(
        stream=stream, position=int(position), payload=payload or None, traceparent=tracing.carried(traceparent)
    )


def _written(event: LiveEvent) -> tuple[str, str, str]:
    return str(event.position), event.payload or "", f";{event.traceparent}" if event.traceparent else ""


class RedisRecent:
    """`Recent` in Redis: about ``kept`` events of each stream, and none longer than ``expire_s`` after the last."""

    def __init__(self, redis: "Redis", *, kept: int, expire_s: int) -> None:
        """Keep events in ``redis``."""
        self._redis = redis
        self._kept = kept
        self._expire_s = expire_s
        self._script: str | None = None

    async def publish(self, batch: Batch) -> None:
        """Keep and tell a batch in one round trip; see `Recent.publish`."""
        try:
            if self._script is None:
                self._script = await self._redis.script_load(_PUBLISH)
            results = await self._run(batch, self._script)
            if any(isinstance(result, NoScriptError) for result in results):
                self._script = await self._redis.script_load(_PUBLISH)
                results = await self._run(batch, self._script)
        except (RedisError, OSError, TimeoutError) as error:
            raise RecentUnavailableError(reason(error)) from error
        for result in results:
            if isinstance(result, Exception):
                raise RecentUnavailableError(repr(result)) from result

    async def _run(self, batch: Batch, script: str) -> list[object]:
        async with self._pipeline() as pipeline:
            for (tenant_id, stream), events in batch.items():
                told = [text for event in events for text in _written(event)]
                arguments = [channel_name(tenant_id), stream, str(self._kept), str(self._expire_s), *told]
                pipeline.evalsha(script, 1, stream_key(tenant_id, stream), *arguments)
            return list(await pipeline.execute(raise_on_error=False))

    async def after(self, tenant_id: UUID, stream: str, position: int) -> list[LiveEvent]:
        """Read up to `PAGE` events; see `Recent.after`."""
        try:
            answer = await self._redis.xrange(stream_key(tenant_id, stream), min=f"{position + 1}-0", count=PAGE)
        except (RedisError, OSError, TimeoutError) as error:
            raise RecentUnavailableError(reason(error)) from error
        found = cast("list[tuple[str, dict[str, str]]]", answer)
        return [
            LiveEvent(stream=stream, position=_position(entry), payload=fields["e"] or None) for entry, fields in found
        ]

    async def last(self, streams: Sequence[tuple[UUID, str]]) -> list[int]:
        """Read the last positions in one round trip; see `Recent.last`."""
        try:
            async with self._pipeline() as pipeline:
                for tenant_id, stream in streams:
                    pipeline.xrevrange(stream_key(tenant_id, stream), count=1)
                found = await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            raise RecentUnavailableError(reason(error)) from error
        return [_position(entries[0][0]) if entries else 0 for entries in found]

    async def ping(self) -> bool:
        """Tell whether Redis answers; raises what Redis raises where it does not."""
        return bool(await self._redis.ping())

    def _pipeline(self) -> "Pipeline":
        return self._redis.pipeline(transaction=False)


def _position(entry: str) -> int:
    return int(entry.partition("-")[0])
