"""Redis, run natively."""

import shutil
from pathlib import Path

import redis

from local_stack.account import Account
from local_stack.credentials import Credentials
from local_stack.failure import StackFailure
from local_stack.part import NativeEngine
from local_stack.port import HOST
from local_stack.process import Child
from production_contracts.redis_users import ADMIN, REDIS_USERS
from servicekit.redis_users import acl_file

DATABASES = 64
_USERS = "users.acl"


class Redis(NativeEngine):
    """One server that writes an append-only file, and serves the users of the contracts and an administrator."""

    name = "redis"

    def __init__(
        self, *, data: Path, log: Path, port: int, durable: bool, account: Account | None, credentials: Credentials
    ) -> None:
        """Describe the server."""
        super().__init__(data=data, log=log, port=port, durable=durable, account=account)
        self.credentials = credentials

    def url_as(self, user: str) -> str:
        """Give the URL of its first database for a user."""
        return url(self.port, self.credentials, user)

    def prepare(self) -> None:
        """Write the file of users."""
        super().prepare()
        self.write(_USERS, users_file(self.credentials))

    def make_child(self) -> Child:
        """Everything by argument: there is no configuration file."""
        program = shutil.which("redis-server")
        if program is None:
            raise StackFailure(
                part=self.name,
                problem="redis-server is not installed",
                remedy="run deploy/local/setup, or install redis-server",
            )
        settings = {
            "bind": HOST,
            "port": str(self.port),
            "dir": str(self.data),
            "aclfile": str(self.data / _USERS),
            "appendonly": "yes" if self.durable else "no",
            "save": "",
            "databases": str(DATABASES),
            "daemonize": "no",
        }
        options = [option for name, setting in settings.items() for option in (f"--{name}", setting)]
        return Child(self.name, [program, *options], log=self.log, folder=Path("/"), account=self.account)

    def answers(self) -> bool:
        """PING; a server that still loads its file refuses."""
        return answers_ping(self.port, self.credentials)


def users_file(credentials: Credentials) -> str:
    """Write the file of users with the passwords of this stack."""
    return acl_file({name: credentials.of_redis_user(name) for name in (ADMIN, *(user.name for user in REDIS_USERS))})


def url(port: int, credentials: Credentials, user: str) -> str:
    """Give the URL of the first database for a user."""
    return f"redis://{user}:{credentials.of_redis_user(user)}@{HOST}:{port}/0"


def answers_ping(port: int, credentials: Credentials) -> bool:
    """Tell whether the server takes commands."""
    try:
        with redis.Redis.from_url(url(port, credentials, ADMIN), socket_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
