"""The channels of this instance's tenants, on one connection to Redis that is made again for as long as it takes."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

import structlog
from prometheus_client import Counter
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from notifications.adapters.recent import channel_name, connect, read_told
from notifications.domain.positions import LiveEvent
from servicekit.access import RedisAccess
from servicekit.logs import reason

FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 5.0
SILENCE_S: Final = 10.0
"""After so long without a word Redis is asked for one, and given as long to answer."""

HEARTH: Final = "live:hearth"
"""A channel on which nothing is said: it keeps the connection subscribed while no tenant is listened to."""

RECONNECTS = Counter("notifications_channel_reconnects", "Times that the connection to the channels was lost")

log = structlog.get_logger(__name__)


class RedisChannel:
    """`Channel` on Redis; `run` is its one reader."""

    def __init__(
        self,
        redis: RedisAccess | str,
        *,
        receive: Callable[[UUID, Sequence[LiveEvent]], None],
        heard: Callable[[UUID], None],
    ) -> None:
        """Hand events to ``receive``; ``heard`` is told of a tenant each time that it begins to be heard (again)."""
        self._access = redis
        self._receive = receive
        self._heard = heard
        self._tenants: dict[str, UUID] = {}
        self._pubsub: PubSub | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self.connected = False

    def listen(self, tenant_id: UUID) -> None:
        """Hear a tenant from now on; across losses of the connection, until `forget`."""
        self._tenants[channel_name(tenant_id)] = tenant_id
        self._send("SUBSCRIBE", channel_name(tenant_id))

    def forget(self, tenant_id: UUID) -> None:
        """Hear a tenant no more."""
        self._tenants.pop(channel_name(tenant_id), None)
        self._send("UNSUBSCRIBE", channel_name(tenant_id))

    async def run(self) -> None:
        """Listen, for ever; a lost connection is made again, at growing intervals."""
        wait = FIRST_WAIT_S
        while True:
            # Without retries: redis-py would quietly subscribe again to what it knows of, which is not all.
            redis = connect(self._access, retries=0)
            try:
                async with redis.pubsub() as pubsub:
                    await pubsub.subscribe(HEARTH, *self._tenants)
                    self._pubsub, self.connected = pubsub, True
                    wait = FIRST_WAIT_S
                    await self._read(pubsub)
            except (RedisError, OSError, TimeoutError) as error:
                RECONNECTS.inc()
                log.warning("channel_lost", error=reason(error), retry_in_s=wait)
            finally:
                self._pubsub, self.connected = None, False
                await _release(redis)
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_S)

    async def _read(self, pubsub: PubSub) -> None:
        asked = False
        while True:
            message = await pubsub.get_message(timeout=SILENCE_S)
            if message is None:
                if asked:
                    silence = "Redis is silent"
                    raise RedisConnectionError(silence)
                await pubsub.ping()
                asked = True
                continue
            asked = False
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        tenant_id = self._tenants.get(message["channel"] or "")
        if tenant_id is None:
            return
        if message["type"] == "message":
            try:
                self._receive(tenant_id, read_told(message["data"]))
            except (ValueError, KeyError):
                # Whoever said this speaks another version; what it was about stands in the history.
                log.warning("channel_unreadable", tenant_id=str(tenant_id))
                self._heard(tenant_id)
        elif message["type"] == "subscribe":
            self._heard(tenant_id)

    def _send(self, command: str, channel: str) -> None:
        """Send a command in its turn; where there is no connection, the next one begins with what is wanted then."""
        connection: Any = None if self._pubsub is None else self._pubsub.connection
        if connection is not None:
            task = asyncio.create_task(_command(connection, command, channel))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)


async def _command(connection: Any, command: str, channel: str) -> None:  # noqa: ANN401 - redis-py's own
    # Not PubSub.subscribe: when it fails it connects again, at the same time as the reader does.
    with contextlib.suppress(RedisError, OSError, TimeoutError):
        await connection.send_command(command, channel, check_health=False)


async def _release(redis: "Redis") -> None:
    with contextlib.suppress(RedisError, OSError, TimeoutError):
        await redis.aclose()
