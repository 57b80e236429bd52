"""What was stored before a booking had a contact and a fee: it is migrated, read, replayed and changed."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from services.booking.tests.bench import Bench, ask, move, night

from booking.application.projection import BookingProjection
from booking.application.representation import booking_after
from local_stack.databases import Database as FreshDatabase
from production_contracts import commands
from production_contracts.bookings import SealedContact, SealedFee
from production_contracts.sealed import Sealed
from servicekit import jobs
from servicekit.database import Database
from servicekit.migrate import upgrade

TENANT, ARTIST, BOOKING = uuid4(), uuid4(), uuid4()
NOTES = {"kid": "k", "ct": "written before"}
OLD: dict[str, Any] = {
    "id": str(BOOKING),
    "artist_id": str(ARTIST),
    "start_time": "2027-05-08T20:00:00.000Z",
    "end_time": "2027-05-08T23:30:00.000Z",
    "status": "pencil",
    "title": "A night",
    "venue": None,
    "notes": NOTES,
    "version": 1,
    "position": 1,
    "created_by": "user_ana",
    "created_at": "2026-11-01T12:00:00.000Z",
    "updated_at": "2026-11-01T12:00:00.000Z",
}
"""A booking as the release before told it, in events and answers."""
CONTACT = SealedContact(name=Sealed(kid="k", ct="n"))
FEE = SealedFee(amount=Sealed(kid="k", ct="a"), currency=Sealed(kid="k", ct="c"))


def store_as_before(dsn: str) -> None:
    """Store the booking, its event and the artist in a database of that release."""
    with psycopg.connect(dsn) as connection:
        connection.execute("insert into artists values (%s, %s, 'active', null, 1)", (TENANT, ARTIST))
        connection.execute("insert into streams (tenant_id, position, published) values (%s, 1, 1)", (TENANT,))
        connection.execute(
            "insert into events (id, aggregate_id, event_type, event_data, version, tenant_id, created_at, position,"
            " actor, command_id) values (%s, %s, 'BookingCreated', %s, 1, %s, %s, 1, 'user_ana', %s)",
            (uuid4(), BOOKING, json.dumps(OLD), TENANT, OLD["created_at"], uuid4()),
        )
        columns = [name for name in OLD if name != "notes"]
        connection.execute(
            f"insert into bookings (tenant_id, notes, {', '.join(columns)})"  # noqa: S608 - the names above
            f" values (%s, %s, {', '.join(['%s'] * len(columns))})".encode(),
            (TENANT, json.dumps(NOTES), *(OLD[name] for name in columns)),
        )


@pytest.fixture
async def bench(fresh_database: Callable[..., FreshDatabase]) -> AsyncIterator[Bench]:
    """A worker of today on a database that the release before has filled."""
    with fresh_database("booking", migrated=False) as fresh:
        await asyncio.to_thread(upgrade, "booking", fresh.owner_url, "0002")
        await asyncio.to_thread(store_as_before, fresh.superuser_dsn)
        await asyncio.to_thread(upgrade, "booking", fresh.owner_url)
        database = Database(fresh.url, pool_size=4)
        yield Bench(database, fresh)
        await database.stop()


async def test_a_booking_of_before_is_there_without_contact_and_fee(bench: Bench) -> None:
    assert await bench.stored(TENANT) == {BOOKING: OLD | {"contact": None, "fee": None}}
    (event,) = await bench.events(TENANT)
    assert event["data"] == OLD, "an event is never rewritten"
    assert booking_after(event["data"])["contact"] is None


async def test_its_rows_are_what_its_events_say_and_rebuilding_gives_the_same(bench: Bench) -> None:
    before = await bench.stored(TENANT)
    for job in (jobs.verify, jobs.rebuild):
        found = await job(bench.database, "booking", BookingProjection())
        assert (found.events, found.differing) == (1, [])
    assert await bench.stored(TENANT) == before


async def test_it_goes_on_as_any_other(bench: Bench) -> None:
    status, body = await bench.one(ask(TENANT, commands.AmendBooking(contact=CONTACT, fee=FEE), BOOKING))
    said = {"contact": CONTACT.model_dump(), "fee": FEE.model_dump(), "notes": NOTES}
    assert (status, body.items() >= said.items()) == (200, True)
    for data in (move(3), commands.ConfirmBooking(), commands.CancelBooking()):
        status, body = await bench.one(ask(TENANT, data, BOOKING))
        assert (status, body.items() >= said.items()) == (200, True)
    assert (await bench.stored(TENANT))[BOOKING] == body
    assert (await jobs.verify(bench.database, "booking", BookingProjection())).differing == []


async def test_a_command_of_before_is_decided_as_it_was_meant(bench: Bench) -> None:
    command = ask(TENANT, night(ARTIST, 1))
    assert not {"contact", "fee"} & json.loads(command.body.data.model_dump_json(exclude_unset=True)).keys()
    status, body = await bench.one(command)
    assert (status, body["contact"], body["fee"]) == (201, None, None)
    await bench.one(ask(TENANT, commands.AmendBooking(contact=CONTACT), UUID(body["id"])))
    _, body = await bench.one(ask(TENANT, commands.AmendBooking(title="Another"), UUID(body["id"])))
    assert body["contact"] == CONTACT.model_dump(), "who says nothing of it changes nothing of it"
