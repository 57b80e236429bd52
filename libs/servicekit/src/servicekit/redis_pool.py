"""Connections to Redis, pooled; a service that uses this asks for ``production-servicekit[redis]``."""

import ssl
from typing import Any

from redis.asyncio import BlockingConnectionPool, SSLConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from servicekit.access import RedisAccess


class _TlsConnection(SSLConnection):
    """A connection with a context of ours: redis-py's own trusts the system's CAs besides those that it is given."""

    def __init__(self, *, tls: ssl.SSLContext, **options: Any) -> None:  # noqa: ANN401 - redis-py's own
        super().__init__(**options)
        self.ssl_context.context = tls


def make_pool(
    redis: RedisAccess | str,
    *,
    most: int,
    timeout_seconds: float,
    retries: int,
    **options: Any,  # noqa: ANN401 - as above
) -> BlockingConnectionPool:
    """Make a pool of at most ``most`` connections; nothing is connected yet.

    A command has ``timeout_seconds``, as has a connection, and the wait for one. ``retries`` is for a pooled connection
    that turned out dead; redis-py would go on for seconds.
    """
    access = RedisAccess.of(redis)
    found: dict[str, Any] = {**parse_url(access.url)}
    tls = access.tls()
    if tls is not None:
        found |= {"connection_class": _TlsConnection, "tls": tls}
    return BlockingConnectionPool(
        max_connections=most,
        timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), retries),
        **found,
        **options,
    )
