"""A stream's store with events in it, for what reads it."""

from uuid import UUID, uuid4

from servicekit import journal
from servicekit.clock import now
from servicekit.database import Database
from servicekit.journal import LoggedOutcome, StoredEvent


async def happen(database: Database, tenant: UUID, count: int = 1, *, title: str = "A night") -> list[UUID]:
    """Let events happen to a tenant, each by a command of its own with its outcome; gives the commands."""
    commands = [uuid4() for _ in range(count)]
    async with database.transaction([tenant]) as connection:
        head = (await journal.lock_streams(connection, [tenant]))[tenant].position
        events = [
            StoredEvent(
                id=uuid4(),
                tenant_id=tenant,
                aggregate_id=uuid4(),
                type="BookingCreated",
                version=1,
                position=head + number,
                occurred_at=now(),
                actor="user_ana",
                command_id=command,
                data={"title": title, "number": head + number},
            )
            for number, command in enumerate(commands, start=1)
        ]
        outcomes = [
            LoggedOutcome(
                tenant_id=tenant,
                command_id=event.command_id,
                actor=event.actor,
                key=None,
                fingerprint=None,
                status=201,
                body=event.data,
                position=event.position,
                decided_at=event.occurred_at,
            )
            for event in events
        ]
        await journal.append(connection, events, outcomes, {tenant: head + count})
    return commands


async def stored(database: Database, tenant: UUID) -> list[dict[str, object]]:
    """Read all of a tenant's events."""
    async with database.reading(tenant) as connection:
        return await journal.events_after(connection, "booking", tenant, 0, 100_000)
