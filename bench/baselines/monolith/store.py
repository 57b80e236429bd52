"""The monolith's SQL: as few round trips as one transaction a request allows.

Booking takes five: BEGIN; open the transaction, lock the stream and take the next position, in one statement; insert
the booking if its artist is active (the exclusion constraint decides); append event, outcome and entry of the audit
trail, in one statement; COMMIT. Only a refusal asks further, for what to tell.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from booking.adapters import bookings
from booking.adapters.bookings import Filters
from booking.domain.booking import Booking
from servicekit.audit.chain import Entered, Link, begin

_TAKE_POSITION = text("""
    update streams set position = position + 1
    from (select set_config('app.tenant_ids', cast(:opened as text), true)) as opened
    where tenant_id = :tenant returning position, audited, audited_digest, audited_from
""")
_FIRST_POSITION = text("""
    insert into streams (tenant_id) select cast(:tenant as uuid)
    from (select set_config('app.tenant_ids', cast(:opened as text), true)) as opened on conflict do nothing
""")
_GIVE_BACK = text("update streams set position = position - 1 where tenant_id = :tenant")
_KNOWN_KEY = text("""
    select status, body, position, fingerprint from command_log
    where tenant_id = :tenant and actor = :actor and idempotency_key = :key
""")
_BOOK = text("""
    insert into bookings (tenant_id, id, artist_id, start_time, end_time, status, title, venue, notes, version,
        position, created_by, created_at, updated_at)
    select a.tenant_id, cast(:id as uuid), a.id, cast(:starts as timestamptz), cast(:ends as timestamptz),
        cast(:status as text), cast(:title as text), cast(:venue as text), cast(:notes as json), 1,
        cast(:position as bigint), cast(:actor as text), cast(:now as timestamptz), cast(:now as timestamptz)
    from artists a where a.tenant_id = :tenant and a.id = :artist and a.status = 'active'
    on conflict do nothing returning id
""")
_ARTIST = text("select status from artists where tenant_id = :tenant and id = :artist")
_ENTER = """
    logged as (
        insert into command_log (tenant_id, command_id, actor, idempotency_key, fingerprint, status, body, position,
            decided_at, audited)
        values (:tenant, :command, :actor, :key, :fingerprint, :status, cast(cast(:body as text) as json), :position,
            :now, :sequence)
    ),
    entered as (
        insert into audit (tenant_id, sequence, at, actor, role, operation, aggregate_id, command_id, data, status,
            outcome, position, events_digest, digest)
        values (:tenant, :sequence, :now, :actor, :role, :operation, :aggregate, :command,
            cast(cast(:data as text) as json), :status, :outcome, :position, :events_digest, :digest)
    )
    update streams
    set position = :position, audited = :sequence, audited_digest = :digest,
        last_at = greatest(last_at, cast(:last_at as timestamptz))
    where tenant_id = :tenant
"""
_TELL = text(f"""
    with told as (
        insert into events (id, aggregate_id, event_type, event_data, version, tenant_id, created_at, position, actor,
            command_id)
        values (:event, :aggregate, 'BookingCreated', cast(cast(:body as text) as jsonb), 1, :tenant, :now, :position,
            :actor, :command)
    ), {_ENTER}
""")  # noqa: S608 - the text above
_LOG = text(f"with {_ENTER}")
_BOOKING = text("select * from bookings where tenant_id = :tenant and id = :id")
_HEAD = text("""
    select coalesce((select position from streams where tenant_id = :tenant), 0)
    from (select set_config('app.tenant_ids', cast(:opened as text), true)) as opened
""")


@dataclass(frozen=True, kw_only=True)
class Taken:
    """The position that is taken, and where the tenant's audit trail stands."""

    position: int
    trail: Link


async def take_position(connection: AsyncConnection, tenant: UUID) -> Taken:
    """Open the transaction to a tenant, lock its stream, and give the next position."""
    asked = {"tenant": tenant, "opened": f"{{{tenant}}}"}
    while True:
        row = (await connection.execute(_TAKE_POSITION, asked)).one_or_none()
        if row is None:
            await connection.execute(_FIRST_POSITION, asked)
        elif row.audited_digest is None:
            return Taken(position=row.position, trail=begin("booking", tenant, row.audited_from))
        else:
            trail = Link(sequence=row.audited, digest=row.audited_digest, position=row.position - 1)
            return Taken(position=row.position, trail=trail)


async def give_position_back(connection: AsyncConnection, tenant: UUID) -> None:
    """Leave the stream where it was: nothing has happened."""
    await connection.execute(_GIVE_BACK, {"tenant": tenant})


async def known_key(connection: AsyncConnection, tenant: UUID, actor: str, key: str) -> Any:  # noqa: ANN401 - a row
    """Find what was answered to an idempotency key."""
    return (await connection.execute(_KNOWN_KEY, {"tenant": tenant, "actor": actor, "key": key})).one_or_none()


async def book(connection: AsyncConnection, booking: dict[str, Any]) -> bool:
    """Store a booking; False where its artist is not active, or not free."""
    return (await connection.execute(_BOOK, booking)).scalar() is not None


async def artist_status(connection: AsyncConnection, tenant: UUID, artist: UUID) -> str | None:
    """Tell what the roster says of an artist; None where there is none."""
    return (await connection.execute(_ARTIST, {"tenant": tenant, "artist": artist})).scalar()


async def tell(connection: AsyncConnection, told: dict[str, Any], entered: Entered) -> None:
    """Append the event, the outcome and the entry of a booking."""
    await connection.execute(_TELL, told | _entry(entered) | {"last_at": entered.decided.at})


async def log_refusal(
    connection: AsyncConnection, outcome: dict[str, Any], body: dict[str, Any], entered: Entered
) -> None:
    """Append the outcome and the entry of what was refused, and leave the stream where it was."""
    told = outcome | {"body": orjson.dumps(body).decode(), "last_at": None}
    await connection.execute(_LOG, told | _entry(entered))


def _entry(entered: Entered) -> dict[str, Any]:
    asked, decided = entered.asked, entered.decided
    return {
        "now": decided.at,
        "status": decided.status,
        "position": decided.position,
        "sequence": entered.sequence,
        "role": asked.role,
        "operation": asked.operation,
        "aggregate": asked.aggregate_id,
        "data": orjson.dumps(asked.data).decode(),
        "outcome": decided.outcome,
        "events_digest": None if entered.events_digest is None else bytes.fromhex(entered.events_digest),
        "digest": entered.digest,
    }


async def open_reading(connection: AsyncConnection, tenant: UUID) -> int:
    """Open the transaction to a tenant, and tell the head of its stream."""
    return int((await connection.execute(_HEAD, {"tenant": tenant, "opened": f"{{{tenant}}}"})).scalar_one())


async def booking(connection: AsyncConnection, tenant: UUID, booking_id: UUID) -> Booking | None:
    """Read one booking."""
    row = (await connection.execute(_BOOKING, {"tenant": tenant, "id": booking_id})).one_or_none()
    return None if row is None else bookings.booking_of(row)


async def listed(connection: AsyncConnection, tenant: UUID, filters: Filters, limit: int) -> list[Booking]:
    """List bookings, by the query by which booking lists them."""
    query, asked = bookings.listing(filters, limit)
    return [bookings.booking_of(row) for row in await connection.execute(text(query), {**asked, "tenant": tenant})]
