"""Tenancy as it runs: on engines of its own, commands in over Kafka, replies out, reads over HTTP."""

import asyncio
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4, uuid5

import aiohttp
import psycopg
import pytest

from local_stack.databases import Database as FreshDatabase
from local_stack.databases import Databases
from local_stack.engines import Addresses, Engines
from local_stack.environment import NAMESPACE
from local_stack.issuer import Issuer
from local_stack.port import Ports
from local_stack.testing import temporary_folder
from production_contracts import commands
from production_contracts.commands import Author, Command, CommandBody, Idempotency
from production_contracts.envelope import command_record
from production_contracts.outcomes import Reply
from production_contracts.records import Record
from production_contracts.roles import Role
from production_contracts.topics import GATEWAY_REPLIES, PARTITIONS_LOCAL, TENANCY_COMMANDS
from servicekit import key_api
from servicekit.clock import now
from servicekit.kafka import Consumers, Producer
from servicekit.kafka import Record as ReceivedRecord
from servicekit.keyring import Kept
from servicekit.masters import WrappedKey
from servicekit.settings import IssuerSettings
from servicekit.testing import running
from servicekit.topics import create_topics
from tenancy.bootstrap import make_app
from tenancy.settings import Settings

DEADLINE_S = 120.0
REPLY_PARTITION = 3
KEYS_SECRET = "the-secret-of-the-gateway-in-tests"


async def eventually(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until a condition holds, within a deadline."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + DEADLINE_S
    while not await holds():
        if clock() > deadline:
            pytest.fail(f"not within {DEADLINE_S:.0f} s: {what}")
        await asyncio.sleep(0.02)


def ask(
    tenant: UUID,
    data: Record,
    artist: UUID | None = None,
    *,
    role: Role = Role.ADMIN,
    key: str | None = None,
    fingerprint: str = "f",
    versions: list[int] | None = None,
    expires_in: timedelta = timedelta(minutes=1),
) -> Command:
    """Make a command."""
    return Command(
        id=uuid4(),
        type=commands.BY_DATA[type(data)],
        tenant_id=tenant,
        aggregate_id=artist or uuid4(),
        body=CommandBody(
            author=Author(sub="user_ana", role=role, iat=1),
            expires_at=now() + expires_in,
            idempotency=None if key is None else Idempotency(key=key, fingerprint=fingerprint),
            expected_versions=versions,
            data=data,
        ),
        reply_partition=REPLY_PARTITION,
    )


@dataclass
class Desk:
    """A gateway's part: sends commands and takes the replies."""

    producer: Producer
    replies: dict[UUID, list[Reply]] = field(default_factory=lambda: defaultdict(list))

    async def take(self, records: Sequence[ReceivedRecord]) -> None:
        """Keep replies."""
        for record in records:
            reply = Reply.model_validate_json(record.value or b"")
            self.replies[reply.command_id].append(reply)

    async def send(self, command: Command) -> None:
        """Put a command on its topic."""
        await self.producer.send_and_wait(command_record(command, TENANCY_COMMANDS.name, now()))

    async def replied(self, command: Command, times: int = 1) -> Reply:
        """Wait for a command's reply."""

        async def there() -> bool:
            return len(self.replies[command.id]) >= times

        await eventually(there, f"reply {times} to {command.type.name}")
        return self.replies[command.id][times - 1]

    async def do(self, command: Command) -> Reply:
        """Send a command and wait for its reply."""
        await self.send(command)
        return await self.replied(command)


@dataclass
class Reader:
    """Asks the read API in the name of a tenant."""

    session: aiohttp.ClientSession
    url: str
    issuer: Issuer
    tenant: str

    @property
    def tenant_id(self) -> UUID:
        """The id that follows from the organisation's."""
        return uuid5(UUID(NAMESPACE), f"org_{self.tenant}")

    async def get(
        self, path: str, headers: dict[str, str] | None = None, role: str = "viewer"
    ) -> tuple[int, dict[str, Any], Mapping[str, str]]:
        """Read; gives status, body and headers."""
        token = self.issuer.token(tenant=self.tenant, role=role)
        asked = {"Authorization": f"Bearer {token}"} | (headers or {})
        async with self.session.get(f"{self.url}{path}", headers=asked) as response:
            return response.status, await response.json(content_type=None), response.headers


@dataclass
class Service:
    """A running tenancy."""

    url: str
    settings: Settings
    database: FreshDatabase
    desk: Desk
    issuer: Issuer
    session: aiohttp.ClientSession

    def reader(self) -> Reader:
        """Ask in the name of a new tenant."""
        return Reader(self.session, self.url, self.issuer, uuid4().hex)

    async def failing(self) -> list[str]:
        """Name what readiness lacks."""
        async with self.session.get(f"{self.url}/readyz") as response:
            body = await response.json(content_type=None)
            return [] if response.status == 200 else list(body["failing"])

    async def ready(self) -> bool:
        """Tell whether it is ready, and the desk too."""
        return self.desk.producer.ready and not await self.failing()

    async def offer(self, key: WrappedKey) -> Kept:
        """Offer a key, as the gateway does."""
        headers = {"Authorization": f"Bearer {KEYS_SECRET}"}
        body = key_api.OfferKey(key=key).model_dump_json()
        async with self.session.post(self.url + key_api.OFFER, data=body, headers=headers) as response:
            assert response.status == 200, await response.text()
            return Kept.model_validate_json(await response.read())

    def superuser(self) -> psycopg.Connection:
        """Come as the superuser, whom no policy binds."""
        return psycopg.connect(self.database.superuser_dsn, autocommit=True)

    def look(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Read as the superuser, whom no policy binds."""
        with psycopg.connect(self.database.superuser_dsn) as connection:
            return connection.execute(query.encode(), values).fetchall()


def settings_of(engines: Addresses, database: FreshDatabase, issuer: Issuer) -> Settings:
    """Make tenancy's settings."""
    return Settings(
        http_port=0,
        instance="tenancy-test",
        kafka_bootstrap=engines.kafka_bootstrap,
        database_url=database.url,
        database_owner_url=database.owner_url,
        auth_issuers=[IssuerSettings(issuer=issuer.url, jwks_url=issuer.jwks_url, namespace=UUID(NAMESPACE))],
        keys_secrets=[KEYS_SECRET, f"{KEYS_SECRET}-new"],
    )


@asynccontextmanager
async def serving(settings: Settings, database: FreshDatabase, issuer: Issuer) -> AsyncIterator[Service]:
    """Run tenancy in this loop, with a desk beside it, whatever it needs being there or not."""
    producer = Producer(settings.kafka_bootstrap, "desk")
    consumers = Consumers(settings.kafka_bootstrap, "desk", PARTITIONS_LOCAL)
    desk = Desk(producer)
    consumers.assigned(GATEWAY_REPLIES.name, [REPLY_PARTITION], desk.take, start="earliest")
    await producer.start()
    await consumers.start()
    try:
        async with aiohttp.ClientSession() as session, running(make_app(settings)) as url:
            yield Service(url, settings, database, desk, issuer, session)
    finally:
        await consumers.stop()
        await producer.stop()


@pytest.fixture(scope="session")
def tenancy_engines() -> Iterator[Engines]:
    """Engines that no other member uses: only we read the commands of this Kafka."""
    folder = temporary_folder()
    try:
        with Engines(folder, ports=Ports.free(), durable=False) as engines:
            yield engines
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
async def service(tenancy_engines: Engines, issuer: Issuer) -> AsyncIterator[Service]:
    """Tenancy, running and ready; every test has tenants of its own."""
    engines = tenancy_engines.addresses
    await create_topics(engines.kafka_bootstrap, partitions=PARTITIONS_LOCAL, replication=1)
    with Databases(engines, logs=tenancy_engines.logs).fresh("tenancy") as database:
        async with serving(settings_of(engines, database, issuer), database, issuer) as service:
            await eventually(service.ready, "ready")
            yield service
