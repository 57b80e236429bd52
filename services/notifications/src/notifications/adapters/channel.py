"""The channels of this instance's tenants, on one connection to Redis that is made again for as long as it takes.

redis-py makes the connection and lets itself in (URL, TLS, user); then the connection is ours. What has arrived is read
by hiredis in one go, however many events it is, and what is told of a tenant's stream is handed on together: a task, a
timer and a future for each event would cost more than all else that is done for it here.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

import hiredis
import structlog
from prometheus_client import Counter
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

Take = Callable[[list[list[Any]]], None]

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
        self._tenants: dict[bytes, UUID] = {}
        self._subscription: Subscription | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._subscription is not None

    def listen(self, tenant_id: UUID) -> None:
        """Hear a tenant from now on; across losses of the connection, until `forget`."""
        channel = channel_name(tenant_id).encode()
        self._tenants[channel] = tenant_id
        if self._subscription is not None:
            self._subscription.say(b"SUBSCRIBE", channel)

    def forget(self, tenant_id: UUID) -> None:
        """Hear a tenant no more."""
        channel = channel_name(tenant_id).encode()
        self._tenants.pop(channel, None)
        if self._subscription is not None:
            self._subscription.say(b"UNSUBSCRIBE", channel)

    async def run(self) -> None:
        """Listen, for ever; a lost connection is made again, at growing intervals."""
        wait = FIRST_WAIT_S
        while True:
            pool: Any = connect(self._access, retries=0).connection_pool
            connection = pool.make_connection()
            try:
                await connection.connect()
                self._subscription = Subscription.on(connection, self._take)
                self._subscription.say(b"SUBSCRIBE", HEARTH.encode(), *self._tenants)
                wait = FIRST_WAIT_S
                await self._subscription.listen()
            except (RedisError, OSError, TimeoutError) as error:
                RECONNECTS.inc()
                log.warning("channel_lost", error=reason(error), retry_in_s=wait)
            finally:
                self._subscription = None
                with contextlib.suppress(RedisError, OSError, TimeoutError):
                    await connection.disconnect()
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_S)

    def _take(self, messages: list[list[Any]]) -> None:
        """Take what has arrived together."""
        told: dict[tuple[bytes, str], list[LiveEvent]] = {}  # a channel's bytes are hashed faster than a UUID
        for kind, channel, *said in messages:
            tenant_id = self._tenants.get(channel)
            if tenant_id is None:
                continue
            if kind == b"message":
                try:
                    events = read_told(said[0].decode())
                except ValueError:
                    # Whoever said this speaks another version; what it was about stands in the history.
                    log.warning("channel_unreadable", tenant_id=str(tenant_id))
                    self._heard(tenant_id)
                    continue
                if events:
                    told.setdefault((channel, events[0].stream), []).extend(events)
            elif kind == b"subscribe":
                self._heard(tenant_id)
        for (channel, _), events in told.items():
            if (tenant_id := self._tenants.get(channel)) is not None:  # it may have been forgotten meanwhile
                self._hand_on(tenant_id, events)

    def _hand_on(self, tenant_id: UUID, events: Sequence[LiveEvent]) -> None:
        try:
            self._receive(tenant_id, events)
        except Exception:
            # The others' events must not go with this one's, whatever it is; what it was about stands in the history.
            log.exception("channel_failed", tenant_id=str(tenant_id))
            self._heard(tenant_id)


class Subscription(asyncio.Protocol):
    """A connection to Redis that is listened to, and the one way to talk on it."""

    def __init__(self, transport: asyncio.Transport, take: Take) -> None:
        """Take a connection over from the protocol that it has."""
        self._transport = transport
        self._take = take
        self._before = transport.get_protocol()
        self._reader = hiredis.Reader(notEnoughData=self)
        self._has_heard = False
        self._lost: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    @classmethod
    def on(cls, connection: Any, take: Take) -> "Subscription":  # noqa: ANN401 - redis-py's own
        """Listen on a connection of redis-py that waits for nothing; messages that came together go to ``take``."""
        transport = connection._writer.transport  # noqa: SLF001 - it gives the connection away in no other way
        subscription = cls(transport, take)
        transport.set_protocol(subscription)
        return subscription

    def say(self, *words: bytes) -> None:
        """Send a command, unless the connection is lost."""
        if not self._lost.done():
            self._transport.write(hiredis.pack_command(words))  # type: ignore[arg-type] # its stub takes one word

    async def listen(self) -> None:
        """Wait for the end of the connection, and ask for a word where there is silence.

        Raises:
            RedisError: Redis refused, or was silent for too long; OSError: the connection is lost.
        """
        is_asked = False
        while True:
            self._has_heard = False
            await asyncio.wait([self._lost], timeout=SILENCE_S)
            if self._lost.done():
                raise self._lost.result()
            if self._has_heard:
                is_asked = False
            elif is_asked:
                silence = "Redis is silent"
                raise RedisConnectionError(silence)
            else:
                self.say(b"PING")
                is_asked = True

    def data_received(self, data: bytes) -> None:
        """Read what has arrived, all of it."""
        self._has_heard = True
        self._reader.feed(data)
        messages = []
        try:
            while (said := self._reader.gets()) is not self:
                if isinstance(said, list):
                    messages.append(said)
                elif isinstance(said, hiredis.ReplyError):
                    self._lose(RedisError(str(said)))
        except hiredis.ProtocolError as error:
            self._lose(RedisError(str(error)))
        self._take(messages)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell of the end."""
        self._lose(exc or RedisConnectionError("Redis closed the connection"))
        self._before.connection_lost(exc)

    def _lose(self, error: Exception) -> None:
        if not self._lost.done():
            self._lost.set_result(error)
