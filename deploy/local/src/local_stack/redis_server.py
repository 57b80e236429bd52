"""Redis, run natively."""

import shutil
from pathlib import Path

import redis

from local_stack.account import Account
from local_stack.certificates import Certificate
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
        self,
        *,
        data: Path,
        log: Path,
        port: int,
        durable: bool,
        account: Account | None,
        credentials: Credentials,
        certificate: Certificate | None = None,
    ) -> None:
        """Describe the server; with a certificate it takes nobody without TLS, of the versions in `tls_versions`."""
        super().__init__(data=data, log=log, port=port, durable=durable, account=account)
        self.credentials = credentials
        self.certificate = certificate
        self.tls_versions = "TLSv1.3"

    def url_as(self, user: str) -> str:
        """Give the URL of its first database for a user."""
        return url(self.port, self.credentials, user, tls=self.certificate is not None)

    def prepare(self) -> None:
        """Write the file of users."""
        super().prepare()
        self.write(_USERS, users_file(self.credentials))
        if self.certificate is not None:
            self.write("cert.pem", self.certificate.certificate)
            self.write("key.pem", self.certificate.key)

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
            **self._port_settings(),
            "dir": str(self.data),
            "aclfile": str(self.data / _USERS),
            "appendonly": "yes" if self.durable else "no",
            "save": "",
            "databases": str(DATABASES),
            "daemonize": "no",
        }
        options = [option for name, setting in settings.items() for option in (f"--{name}", setting)]
        return Child(self.name, [program, *options], log=self.log, folder=Path("/"), account=self.account)

    def _port_settings(self) -> dict[str, str]:
        if self.certificate is None:
            return {"port": str(self.port)}
        return {
            "port": "0",
            "tls-port": str(self.port),
            "tls-cert-file": str(self.data / "cert.pem"),
            "tls-key-file": str(self.data / "key.pem"),
            "tls-auth-clients": "no",
            "tls-protocols": self.tls_versions,
        }

    def answers(self) -> bool:
        """PING; a server that still loads its file refuses."""
        return answers_ping(self.port, self.credentials, tls=self.certificate is not None)


def users_file(credentials: Credentials) -> str:
    """Write the file of users with the passwords of this stack."""
    return acl_file({name: credentials.of_redis_user(name) for name in (ADMIN, *(user.name for user in REDIS_USERS))})


def url(port: int, credentials: Credentials, user: str, *, tls: bool = False) -> str:
    """Give the URL of the first database for a user."""
    return f"{'rediss' if tls else 'redis'}://{user}:{credentials.of_redis_user(user)}@{HOST}:{port}/0"


def answers_ping(port: int, credentials: Credentials, *, tls: bool = False) -> bool:
    """Tell whether the server takes commands; by TLS whoever it is, as this asks for nothing but that."""
    unverified = {"ssl_cert_reqs": "none", "ssl_check_hostname": False} if tls else {}
    try:
        with redis.Redis.from_url(url(port, credentials, ADMIN, tls=tls), socket_timeout=2, **unverified) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
