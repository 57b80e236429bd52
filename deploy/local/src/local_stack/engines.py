"""PostgreSQL, Redis and Kafka together."""

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from local_stack import checkout
from local_stack.account import account_for, reachable
from local_stack.credentials import Credentials
from local_stack.kafka import Kafka
from local_stack.part import wait_until_ready
from local_stack.port import HOST, Ports
from local_stack.postgres import SUPERUSER, PostgreSQL
from local_stack.redis_server import Redis


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """How to reach running engines; plain data, so it can travel between processes."""

    postgres_port: int
    redis_port: int
    kafka_port: int
    credentials: Credentials

    @property
    def kafka_bootstrap(self) -> str:
        """The bootstrap server."""
        return f"{HOST}:{self.kafka_port}"

    @property
    def redis_url(self) -> str:
        """The URL of Redis, its first database."""
        return f"redis://{HOST}:{self.redis_port}/0"

    def postgres_url(self, database: str = "postgres", role: str = SUPERUSER) -> str:
        """Give the URL of a database for a role, as the services and SQLAlchemy take it (asyncpg)."""
        return self.postgres_dsn(database, role).replace("postgresql://", "postgresql+asyncpg://", 1)

    def postgres_dsn(self, database: str = "postgres", role: str = SUPERUSER) -> str:
        """Give the URL of a database for a role, as libpq, psycopg and a bare asyncpg take it."""
        return f"postgresql://{role}:{self.credentials.of_role(role)}@{HOST}:{self.postgres_port}/{database}"


class Engines:
    """The three engines, started side by side and stopped in order; a context manager.

    `durable=False` is for tests: what was written survives a crash of an engine, not of the machine.
    """

    def __init__(
        self,
        data: Path,
        *,
        ports: Ports,
        durable: bool = True,
        logs: Path | None = None,
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Describe the engines; `begin` or `with` starts them. Logs go to `logs`, by default beside the data."""
        database_account = account_for("postgres")
        redis_account = account_for("redis")
        kafka_account = account_for("kafka", "nobody")
        self.data = reachable(data, [database_account, redis_account, kafka_account])
        if self.data != data:
            say(f"{data} cannot be reached by unprivileged users: the engines' data are in {self.data}")
        self.logs = logs or data / "logs"
        self.credentials = Credentials.kept_in(self.data / "credentials.json")
        self.postgres = PostgreSQL(
            data=self.data / "postgresql",
            log=self.logs / "postgresql.log",
            port=ports.postgres,
            durable=durable,
            account=database_account,
            password=self.credentials.postgres,
        )
        self.redis = Redis(
            data=self.data / "redis",
            log=self.logs / "redis.log",
            port=ports.redis,
            durable=durable,
            account=redis_account,
        )
        self.kafka = Kafka(
            data=self.data / "kafka",
            log=self.logs / "kafka.log",
            port=ports.kafka,
            controller_port=ports.kafka_controller,
            durable=durable,
            account=kafka_account,
            jars=checkout.KAFKA_JARS,
        )
        self.say = say

    @property
    def all(self) -> tuple[Kafka, PostgreSQL, Redis]:
        """The engines in the order they are started: the slowest first."""
        return (self.kafka, self.postgres, self.redis)

    @property
    def addresses(self) -> Addresses:
        """How to reach them."""
        return Addresses(
            postgres_port=self.postgres.port,
            redis_port=self.redis.port,
            kafka_port=self.kafka.port,
            credentials=self.credentials,
        )

    @property
    def kafka_bootstrap(self) -> str:
        """The bootstrap server of Kafka."""
        return self.addresses.kafka_bootstrap

    @property
    def redis_url(self) -> str:
        """The URL of Redis, its first database."""
        return self.addresses.redis_url

    def postgres_url(self, database: str = "postgres", role: str = SUPERUSER) -> str:
        """Give the URL of a database for a role, as the services and SQLAlchemy take it (asyncpg)."""
        return self.addresses.postgres_url(database, role)

    def postgres_dsn(self, database: str = "postgres", role: str = SUPERUSER) -> str:
        """Give the URL of a database for a role, as libpq, psycopg and a bare asyncpg take it."""
        return self.addresses.postgres_dsn(database, role)

    def start(self) -> None:
        """Start all of them and wait until each answers; on a failure none is left running."""
        try:
            with ThreadPoolExecutor() as side_by_side:
                list(side_by_side.map(lambda engine: engine.begin(), self.all))
            wait_until_ready(self.all, say=lambda part: self.say(f"{part.name} answers at {HOST}:{part.port}"))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all of them, each in order; one that fails to stop keeps no other running."""
        with contextlib.ExitStack() as stack:
            for engine in self.all:
                stack.callback(engine.stop)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()
