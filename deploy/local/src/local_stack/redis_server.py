"""Redis, run natively."""

import shutil
from pathlib import Path

import redis

from local_stack.failure import StackFailure
from local_stack.part import NativeEngine
from local_stack.port import HOST
from local_stack.process import Child

DATABASES = 64


class Redis(NativeEngine):
    """One server that writes an append-only file."""

    name = "redis"

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
            "appendonly": "yes" if self.durable else "no",
            "save": "",
            "databases": str(DATABASES),
            "daemonize": "no",
        }
        options = [option for name, setting in settings.items() for option in (f"--{name}", setting)]
        return Child(self.name, [program, *options], log=self.log, folder=Path("/"), account=self.account)

    def answers(self) -> bool:
        """PING; a server that still loads its file refuses."""
        return answers_ping(self.port)


def answers_ping(port: int) -> bool:
    """Tell whether the server takes commands."""
    try:
        with redis.Redis(host=HOST, port=port, socket_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
