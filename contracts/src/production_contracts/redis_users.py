"""Who may do what in Redis, declared once: its users are made from this table, and nothing else is allowed.

Every part that needs Redis logs in as a user of its own, which reaches its own keys and channels with the commands that
it sends, and no other. The user `default`, as whom everybody comes who does not log in, is off. Beside these stands
`ADMIN`, an operator's, whom no rule binds; no service has its password.
"""

from dataclasses import dataclass
from typing import Final

ADMIN: Final = "admin"
ANY: Final = "*"
"""At the end of a key or a channel: every name that begins so."""

_CONNECTION: Final = ("ping", "select")
"""What a client asks of its connection. It tells its name, too, where Redis knows how; that is denied and ignored."""


@dataclass(frozen=True, kw_only=True)
class RedisUser:
    """A part and its rights: keys that it reads and writes, channels it speaks and listens on, commands it sends.

    A script sends no command that its user may not send.
    """

    name: str
    keys: tuple[str, ...]
    channels: tuple[str, ...] = ()
    commands: tuple[str, ...]

    @property
    def rules(self) -> tuple[str, ...]:
        """The rights as Redis states them (https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl)."""
        return (
            "resetkeys",
            "resetchannels",
            "-@all",
            *(f"~{key}" for key in self.keys),
            *(f"&{channel}" for channel in self.channels),
            *(f"+{command}" for command in self.commands),
        )


GATEWAY: Final = RedisUser(
    name="gateway",
    keys=(f"gateway:rate:{ANY}",),
    commands=(*_CONNECTION, "evalsha", "script|load", "incrby", "expire"),
)
NOTIFICATIONS: Final = RedisUser(
    name="notifications",
    keys=(f"live:{ANY}",),
    channels=(f"live:{ANY}",),
    commands=(
        *_CONNECTION,
        "evalsha",
        "script|load",
        "xadd",
        "xrange",
        "xrevrange",
        "expire",
        "publish",
        "subscribe",
        "unsubscribe",
    ),
)
REDIS_USERS: Final = (GATEWAY, NOTIFICATIONS)
