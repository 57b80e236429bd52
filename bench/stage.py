"""Where benchmarks run: engines of their own that lose nothing, an issuer of tokens, databases and services at will.

Durability is on as in production: fsync, synchronous commit, full-page writes, and every producer with ``acks=all``.
"""

import asyncio
import contextlib
import secrets
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Self
from uuid import UUID, uuid5

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.processes import Processes
from local_stack.databases import Database, Databases
from local_stack.engines import Addresses, Engines
from local_stack.environment import NAMESPACE, OWN_DATABASES, WITH_DATABASE, service_environment
from local_stack.issuer import Issuer, IssuerServer
from local_stack.part import wait_until_ready
from local_stack.port import HOST, Ports, free_ports
from local_stack.provision import start_provisioned
from local_stack.services import Instance, Services
from production_contracts.principals import PROVISIONING
from servicekit.access import KafkaAccess

Changes = Mapping[str, Mapping[str, str]]
"""Settings by service, without the prefix: ``{"booking": {"LOG_LEVEL": "debug"}}``."""


class Stage:
    """The engines and what stands on them; a context manager that leaves nothing running."""

    def __init__(self, folder: Path, *, say: Callable[[str], None] = lambda _line: None) -> None:
        """Describe the stage; its data and logs are in ``folder``, and removed at the end but for the logs."""
        self.folder = folder
        self._say = say
        self._ports = Ports.free()
        self.issuer = Issuer.new(f"http://{HOST}:{self._ports.issuer}")
        self._running = contextlib.ExitStack()
        self._engines: Engines | None = None

    def __enter__(self) -> Self:
        """Start engines and issuer."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._say("starting PostgreSQL, Redis and Kafka, with fsync")
        with contextlib.ExitStack() as running:
            running.enter_context(IssuerServer(self.issuer, self._ports.issuer))
            engines = Engines(self.folder / "data", ports=self._ports, logs=self.folder / "logs")
            environment = service_environment(engines.addresses, self._ports, self.issuer.url)
            start_provisioned(engines, environment)
            running.callback(engines.discard)
            self._engines = engines
            self._running = running.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and remove the data."""
        self._running.close()

    @property
    def engines(self) -> Engines:
        """The running engines."""
        if self._engines is None:
            message = "the stage is not open"
            raise RuntimeError(message)
        return self._engines

    @property
    def addresses(self) -> Addresses:
        """How to reach them."""
        return self.engines.addresses

    @property
    def kafka(self) -> KafkaAccess:
        """Kafka, as one whom no ACL binds: benchmarks have topics of their own."""
        return self.addresses.kafka_access(PROVISIONING)

    @property
    def logs(self) -> Path:
        """Where logs go."""
        return self.folder / "logs"

    def processes(self) -> Processes:
        """Name the engines' processes, to ask what they cost."""
        engines = self.engines
        return Processes(
            {"postgresql": [engines.postgres.child.pid], "kafka": [engines.kafka.child.pid]}
            | {"redis": [engines.redis.child.pid]}
        )

    def database(self, service: str) -> Database:
        """Make a new database of a service, migrated; a context manager that drops it."""
        return Databases(self.addresses, logs=self.logs).fresh(service)

    @contextmanager
    def services(
        self, *names: str, databases: Mapping[str, Database] | None = None, changes: Changes | None = None
    ) -> Iterator[dict[str, Instance]]:
        """Run one instance of each named service, ready, on new ports and the databases given, until the end."""
        with self.no_services(databases=databases, changes=changes) as services:
            instances = {name: services.instance(name) for name in names}
            for instance in instances.values():
                instance.begin()
            wait_until_ready(list(instances.values()))
            yield instances

    def no_services(
        self, *, databases: Mapping[str, Database] | None = None, changes: Changes | None = None
    ) -> Services:
        """Give services none of which runs yet, on new ports and the databases given; a context manager."""
        given = {service: database.name for service, database in (databases or {}).items()}
        return Services(
            self.addresses,
            ports=Ports.free(),
            issuer_url=self.issuer.url,
            logs=self.logs,
            databases={service: given.get(service, OWN_DATABASES[service]) for service in WITH_DATABASE},
            changes=changes,
        )

    @contextmanager
    def program(self, name: str, module: Sequence[str], environment: Mapping[str, str]) -> Iterator[Instance]:
        """Run ``python -m *module --port PORT``, which says at ``/readyz`` whether it is ready, until the end."""
        port = free_ports(1)[0]
        instance = Instance(
            name, [*module, "--port", str(port)], port=port, environment=environment, log=self.logs / f"{name}.log"
        )
        try:
            instance.start()
            yield instance
        finally:
            instance.stop()

    @asynccontextmanager
    async def topics(self, *names: str, partitions: int = 12) -> AsyncIterator[None]:
        """Have topics of one's own, until the end."""
        admin = AIOKafkaAdminClient(**self.kafka.options())
        await admin.start()
        try:
            new = [NewTopic(name=name, num_partitions=partitions, replication_factor=1) for name in names]
            await admin.create_topics(new)
            yield
            await admin.delete_topics(list(names))
        finally:
            await admin.close()

    async def job(self, *module: str, environment: Mapping[str, str], given: bytes = b"") -> bytes:
        """Run ``python -m *module`` beside us, hand it ``given``, and give what it prints.

        Raises:
            RuntimeError: it failed; the message is what it complained of.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environment),
        )
        try:
            printed, complaint = await process.communicate(given)
        except BaseException:
            if process.returncode is None:
                process.kill()
                await process.wait()
            raise
        if process.returncode:
            message = f"{' '.join(module)} failed: {complaint.decode(errors='replace')[-2000:]}"
            raise RuntimeError(message)
        return printed


def new_tenants(count: int) -> list[str]:
    """Name tenants that nobody has had before: positions on Kafka and in Redis begin anew with each."""
    run = secrets.token_hex(4)
    return [f"b{run}-{number}" for number in range(count)]


def tenant_id(name: str) -> UUID:
    """Give the id under which the services know a tenant of the issuer."""
    return uuid5(UUID(NAMESPACE), f"org_{name}")


async def open_to(connection: "asyncpg.Connection[asyncpg.Record]", tenants: Sequence[UUID]) -> None:
    """Open a transaction that is under way to tenants, as services do."""
    await connection.execute("select set_config('app.tenant_ids', $1, true)", "{" + ",".join(map(str, tenants)) + "}")


async def analyze(database: Database) -> None:
    """Let PostgreSQL look at what stands in its tables, as it does by itself a minute after it was written.

    Without it everything is planned for empty tables, and each look-up of a row reads all rows of its tenant.
    """
    connection = await asyncpg.connect(database.superuser_dsn)
    try:
        await connection.execute("analyze")
    finally:
        await connection.close()


async def add_artists(database: Database, artists: Mapping[UUID, Sequence[UUID]]) -> None:
    """Put the artists of tenants into booking's roster, as if tenancy had told of them."""
    connection = await asyncpg.connect(database.dsn)
    try:
        async with connection.transaction():
            await open_to(connection, list(artists))
            rows = [(tenant, artist) for tenant, found in artists.items() for artist in found]
            await connection.execute(
                "insert into artists (tenant_id, id, status, version)"
                " select *, 'active', 1 from unnest($1::uuid[], $2::uuid[])",
                [tenant for tenant, _ in rows],
                [artist for _, artist in rows],
            )
    finally:
        await connection.close()
