"""What the tests of poison send, and the tool with which operators decide."""

import asyncio
import base64
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from aiokafka import AIOKafkaProducer

from gateway.domain.command_ids import CommandIds
from local_stack.clients.tenant import Tenant
from local_stack.clients.waiting import until
from local_stack.environment import dead_letter_environment, service_environment
from local_stack.port import Ports
from production_contracts.bookings import ActiveStatus
from production_contracts.commands import (
    BY_DATA,
    Author,
    Command,
    CommandBody,
    CreateArtist,
    CreateBooking,
    Idempotency,
)
from production_contracts.envelope import KafkaRecord, command_record
from production_contracts.records import Record
from production_contracts.roles import Role
from production_contracts.topics import (
    BOOKING_COMMANDS,
    BOOKING_EVENTS,
    COMMANDS_OF,
    GATEWAY_REPLIES,
    TENANCY_COMMANDS,
    TENANCY_EVENTS,
)
from servicekit.deadletters.letters import Letter, LetterBook

FIRST = datetime(2027, 5, 8, 20, tzinfo=UTC)
LARGEST = 2 * 1024 * 1024
READ_BY = {
    "booking": [BOOKING_COMMANDS.name, TENANCY_EVENTS.name],
    "tenancy": [TENANCY_COMMANDS.name],
    "notifications": [BOOKING_EVENTS.name, TENANCY_EVENTS.name],
    "gateway": [GATEWAY_REPLIES.name],
}


def book(artist: dict[str, Any], number: int = 0, *, title: str = "A night") -> CreateBooking:
    """Ask for a numbered night of an artist."""
    start = FIRST + timedelta(days=number)
    status: ActiveStatus = "pencil"
    return CreateBooking(
        artist_id=UUID(artist["id"]), start_time=start, end_time=start + timedelta(hours=3), status=status, title=title
    )


def hire(name: str = "Rosa Quintet") -> CreateArtist:
    """Ask for a new artist."""
    return CreateArtist(name=name)


def command(tenant: Tenant, data: Record, *, key: str | None = None, expires_in_s: float = 900) -> Command:
    """Write a command of an administrator who waits for it."""
    now = datetime.now(UTC).replace(microsecond=0)
    return Command(
        id=uuid4(),
        type=BY_DATA[type(data)],
        tenant_id=tenant.id,
        aggregate_id=uuid4(),
        body=CommandBody(
            author=Author(sub="user_ana", role=Role.ADMIN, iat=int(now.timestamp())),
            expires_at=now + timedelta(seconds=expires_in_s),
            idempotency=None if key is None else Idempotency(key=key, fingerprint="f"),
            data=data,
        ),
    )


def recorded(asked: Command, *, value: bytes | None = None) -> KafkaRecord:
    """Write its record, with another value if one is given."""
    record = command_record(asked, COMMANDS_OF[asked.type.service].name, datetime.now(UTC))
    return KafkaRecord(
        topic=record.topic, key=record.key, value=record.value if value is None else value, headers=record.headers
    )


def location(tenant: Tenant, asked: Command) -> str:
    """Tell where the gateway answers for a command."""
    ids = CommandIds(base64.b64decode(tenant.at.engines.credentials.command_id_key))
    return f"/v1/commands/{ids.write(asked.id, tenant.id, asked.type.service)}"


async def status(tenant: Tenant, asked: Command) -> str:
    """Ask the gateway how a command stands."""
    answer = await tenant.caller().get(location(tenant, asked))
    return str(answer.body["status"])


async def publish(tenant: Tenant, *records: KafkaRecord) -> None:
    """Send records as they are, one after the other."""
    producer = AIOKafkaProducer(
        bootstrap_servers=tenant.at.engines.kafka_bootstrap, acks="all", max_request_size=LARGEST
    )
    async with producer:
        for record in records:
            await producer.send_and_wait(record.topic, record.value, key=record.key, headers=record.headers)


@dataclass(frozen=True, kw_only=True)
class Done:
    """What the tool did."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Tool:
    """``python -m <service> deadletters`` on a tenant's system."""

    tenant: Tenant
    service: str

    async def __call__(self, *words: str) -> Done:
        """Run it."""
        at = self.tenant.at
        serving = service_environment(at.engines, Ports(), at.issuer_url)[self.service]
        own = dead_letter_environment(at.engines, serving, self.service)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", self.service, "deadletters", *words),
            env=os.environ | own,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return Done(code=process.returncode or 0, out=out.decode(), err=err.decode())

    async def letters(self) -> list[Letter]:
        """Read the tenant's undecided letters."""
        book = await LetterBook.read(
            {"bootstrap_servers": self.tenant.at.engines.kafka_bootstrap}, READ_BY[self.service]
        )
        return [letter for letter in book.open if letter.tenant == str(self.tenant.id)]

    async def when_there(self, count: int) -> list[Letter]:
        """Wait until so many letters of the tenant are there."""

        async def look() -> list[Letter] | None:
            found = await self.letters()
            return found if len(found) >= count else None

        found = await until(look, f"{count} dead letters of {self.tenant.name}")
        assert len(found) == count
        return found

    async def decide(self, action: str, *words: str) -> Done:
        """Decide as an operator."""
        return await self(action, "--operator", "olga", *words)
