"""PostgreSQL, Redis and Kafka together."""

import contextlib
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from local_stack import checkout
from local_stack.account import Account, account_for, reachable
from local_stack.certificates import Certificate
from local_stack.credentials import Credentials
from local_stack.kafka import Kafka
from local_stack.part import Part, wait_until_ready
from local_stack.port import HOST, Ports, free_ports
from local_stack.postgres import SUPERUSER, PostgreSQL
from local_stack.redis_server import Redis
from local_stack.redis_server import url as redis_url
from production_contracts.principals import PROVISIONING
from production_contracts.redis_users import ADMIN
from servicekit.access import KafkaAccess


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """How to reach running engines; plain data, so it can travel between processes."""

    postgres_port: int
    redis_port: int
    kafka_port: int
    kafka_open_port: int | None = None
    credentials: Credentials
    ca_file: Path | None = None
    """By which CA they are verified, where they take nobody without TLS."""

    @property
    def kafka_bootstrap(self) -> str:
        """The bootstrap server at which a test is a super user without logging in; a lasting Kafka has none."""
        if self.kafka_open_port is None:
            message = "this Kafka lets nobody in who does not log in: ask for `kafka_access`"
            raise LookupError(message)
        return f"{HOST}:{self.kafka_open_port}"

    def kafka_access(self, principal: str) -> KafkaAccess:
        """Tell how to reach Kafka as a principal of the contracts, or as `PROVISIONING`."""
        return KafkaAccess(
            bootstrap=f"{HOST}:{self.kafka_port}",
            protocol="SASL_PLAINTEXT" if self.ca_file is None else "SASL_SSL",
            ca_file=self.ca_file,
            mechanism="PLAIN" if principal == PROVISIONING else "SCRAM-SHA-512",
            username=principal,
            password=self.credentials.of_principal(principal),
        )

    @property
    def redis_url(self) -> str:
        """The URL of Redis for the administrator, whom nothing is denied: for tools and tests."""
        return self.redis_url_as(ADMIN)

    def redis_url_as(self, user: str) -> str:
        """Give the URL of Redis, its first database, for a user of the contracts or `ADMIN`."""
        return redis_url(self.redis_port, self.credentials, user, tls=self.ca_file is not None)

    def postgres_url(self, database: str = "postgres", role: str = SUPERUSER) -> str:
        """Give the URL of a database for a role, as the services and SQLAlchemy take it (asyncpg)."""
        dsn = self.postgres_dsn(database, role).partition("?")[0]
        return dsn.replace("postgresql://", "postgresql+asyncpg://", 1)

    def postgres_dsn(self, database: str = "postgres", role: str = SUPERUSER) -> str:
        """Give the URL of a database for a role, as libpq, psycopg and a bare asyncpg take it."""
        dsn = f"postgresql://{role}:{self.credentials.of_role(role)}@{HOST}:{self.postgres_port}/{database}"
        return dsn if self.ca_file is None else f"{dsn}?sslmode=verify-full&sslrootcert={self.ca_file}"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where engines are to run: their data and logs, ports and passwords."""

    data: Path
    logs: Path
    ports: Ports
    durable: bool
    credentials: Credentials
    kafka_open_port: int | None
    certificate: Certificate | None = None


class Trio(NamedTuple):
    """The three engines, not yet started."""

    postgres: Part
    redis: Part
    kafka: Part


def native(place: Place) -> Trio:
    """Make the engines from this machine's packages; root hands each to an unprivileged account."""
    postgres, redis, kafka = _accounts()
    return Trio(
        postgres=PostgreSQL(
            data=place.data / "postgresql",
            log=place.logs / "postgresql.log",
            port=place.ports.postgres,
            durable=place.durable,
            account=postgres,
            password=place.credentials.postgres,
            certificate=place.certificate,
        ),
        redis=Redis(
            data=place.data / "redis",
            log=place.logs / "redis.log",
            port=place.ports.redis,
            durable=place.durable,
            account=redis,
            credentials=place.credentials,
            certificate=place.certificate,
        ),
        kafka=Kafka(
            data=place.data / "kafka",
            log=place.logs / "kafka.log",
            port=place.ports.kafka,
            controller_port=place.ports.kafka_controller,
            open_port=place.kafka_open_port,
            credentials=place.credentials,
            durable=place.durable,
            account=kafka,
            jars=checkout.KAFKA_JARS,
            certificate=place.certificate,
        ),
    )


def _accounts() -> tuple[Account | None, Account | None, Account | None]:
    return account_for("postgres"), account_for("redis"), account_for("kafka", "nobody")


class Engines:
    """The three engines, started side by side and stopped in order; a context manager.

    `durable=False` is for tests: what was written survives a crash of an engine, not of the machine, and Kafka has one
    more listener, where whoever comes is a super user.
    """

    def __init__(
        self,
        data: Path,
        *,
        ports: Ports,
        durable: bool = True,
        logs: Path | None = None,
        say: Callable[[str], None] = lambda _line: None,
        make: Callable[[Place], Trio] = native,
        certificate: Certificate | None = None,
    ) -> None:
        """Describe the engines; `start` or `with` starts them. Logs go to `logs`, by default beside the data.

        With a certificate they take nobody without TLS 1.3; natively only.
        """
        self.data = reachable(data, list(_accounts()))
        if self.data != data:
            say(f"{data} cannot be reached by unprivileged users: the engines' data are in {self.data}")
        self.logs = logs or data / "logs"
        self.credentials = Credentials.kept_in(self.data / "credentials.json")
        self.ports = ports
        self.say = say
        self.kafka_open_port = None if durable else free_ports(1)[0]
        place = Place(
            data=self.data,
            logs=self.logs,
            ports=ports,
            durable=durable,
            credentials=self.credentials,
            kafka_open_port=self.kafka_open_port,
            certificate=certificate,
        )
        self._ca_file = None if certificate is None else certificate.written_to(self.logs / "tls").ca
        self.postgres, self.redis, self.kafka = make(place)

    @property
    def all(self) -> tuple[Part, Part, Part]:
        """The engines in the order they are started: the slowest first."""
        return (self.kafka, self.postgres, self.redis)

    @property
    def addresses(self) -> Addresses:
        """How to reach them."""
        return Addresses(
            postgres_port=self.ports.postgres,
            redis_port=self.ports.redis,
            kafka_port=self.ports.kafka,
            kafka_open_port=self.kafka_open_port,
            credentials=self.credentials,
            ca_file=self._ca_file,
        )

    @property
    def kafka_bootstrap(self) -> str:
        """The bootstrap server at which a test is a super user without logging in."""
        return self.addresses.kafka_bootstrap

    def kafka_access(self, principal: str) -> KafkaAccess:
        """Tell how to reach Kafka as a principal."""
        return self.addresses.kafka_access(principal)

    @property
    def redis_url(self) -> str:
        """The URL of Redis for the administrator, whom nothing is denied: for tools and tests."""
        return self.addresses.redis_url

    def redis_url_as(self, user: str) -> str:
        """Give the URL of Redis, its first database, for a user of the contracts or `ADMIN`."""
        return self.addresses.redis_url_as(user)

    def postgres_url(self, database: str = "postgres", role: str = SUPERUSER) -> str:
        """Give the URL of a database for a role, as the services and SQLAlchemy take it (asyncpg)."""
        return self.addresses.postgres_url(database, role)

    def postgres_dsn(self, database: str = "postgres", role: str = SUPERUSER) -> str:
        """Give the URL of a database for a role, as libpq, psycopg and a bare asyncpg take it."""
        return self.addresses.postgres_dsn(database, role)

    def begin(self) -> None:
        """Start all of them, side by side; `wait_ready` waits for them."""
        with ThreadPoolExecutor() as side_by_side:
            list(side_by_side.map(lambda engine: engine.begin(), self.all))

    def wait_ready(self, *engines: Part) -> None:
        """Wait until these answer, or all of them."""
        wait_until_ready(
            engines or self.all, say=lambda engine: self.say(f"{engine.name} answers at {HOST}:{engine.port}")
        )

    def start(self) -> None:
        """Start all of them and wait until each answers; on a failure none is left running."""
        try:
            self.begin()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all of them, each in order; one that fails to stop keeps no other running."""
        with contextlib.ExitStack() as stack:
            for engine in self.all:
                stack.callback(engine.stop)

    def discard(self) -> None:
        """Stop all of them and remove their data."""
        self.stop()
        for engine in self.all:
            engine.discard()
        shutil.rmtree(self.data)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()
