"""The audit trail: an entry for each decided command, in the transaction of the change; nobody's to change."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors
from services.booking.tests.bench import Bench, ask, consumed, night
from services.booking.tests.trail import FROM, NOTES, Owner, a_life, entries, flaws, verified
from sqlalchemy.exc import DBAPIError

from production_contracts import commands
from production_contracts.audit import AuditEntry
from production_contracts.commands import Command, RefusedBookingCall
from production_contracts.dead_letters import Origin
from production_contracts.envelope import command_record
from production_contracts.roles import Role
from production_contracts.topics import BOOKING_COMMANDS
from servicekit.audit import chain, store
from servicekit.database import is_transient
from servicekit.deadletters import rejection
from servicekit.deadletters.letters import Letter


async def test_every_decided_command_has_one_entry_that_says_who_when_from_where_what_and_the_outcome(
    shared_bench: Bench,
) -> None:
    tenant = uuid4()
    asked = await a_life(shared_bench, tenant)
    found = await entries(shared_bench, tenant)
    assert [(one["sequence"], one["command_id"], one["outcome"], one["status"], one["position"]) for one in found] == [
        (1, str(asked[0].id), "accepted", 201, 1),
        (2, str(asked[1].id), "booking-conflict", 409, 1),
        (3, str(asked[2].id), "accepted", 200, 2),
        (4, str(asked[3].id), "accepted", 200, 2),
        (5, str(asked[4].id), "forbidden", 403, 2),
        (6, str(asked[5].id), "forbidden", 403, 2),
        (7, str(asked[6].id), "accepted", 200, 3),
    ]
    for one, command in zip(found, asked, strict=True):
        AuditEntry.model_validate(one)
        assert (one["actor"], one["role"]) == (command.body.author.sub, command.body.author.role)
        assert one["origin"] == FROM.model_dump()
        assert one["aggregate_id"] == str(command.aggregate_id)
    assert found[0]["operation"] == "production.booking.create.v1"
    assert found[0]["data"]["notes"] == NOTES.model_dump(), "as it is stored: sealed"
    assert (found[5]["operation"], found[5]["data"]) == ("POST /v1/bookings", None)
    assert [one["events_digest"] is None for one in found] == [False, True, False, True, True, True, False]
    events = await shared_bench.events(tenant)
    assert found[2]["events_digest"] == chain.events_digest([events[1]])
    report = await verified(shared_bench, tenant)
    assert (report.entries, report.flaws) == (7, {})


async def test_a_redelivered_command_and_one_twice_in_a_batch_have_one_entry(shared_bench: Bench) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    create = ask(tenant, night(artist))
    refused = ask(tenant, RefusedBookingCall(operation="GET /v1/bookings"), tenant)
    await shared_bench.handle(create, create, refused)
    await shared_bench.handle(refused, create)
    assert len(await entries(shared_bench, tenant)) == 2
    assert await flaws(shared_bench, tenant) == []


async def test_a_repeat_under_a_key_a_late_command_and_a_stale_version_are_on_record_each(shared_bench: Bench) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    create = ask(tenant, night(artist), key="k")
    await shared_bench.handle(
        create,
        ask(tenant, night(artist), key="k"),
        ask(tenant, night(artist), key="k", fingerprint="other"),
        ask(tenant, night(artist, 9), expires_in=timedelta(seconds=-2)),
        ask(tenant, commands.ConfirmBooking(), create.aggregate_id, versions=[7]),
        ask(tenant, commands.ConfirmBooking()),
    )
    assert [one["outcome"] for one in await entries(shared_bench, tenant)] == [
        "accepted",
        "accepted",
        "idempotency-key-reused",
        "expired",
        "version-mismatch",
        "not-found",
    ]
    assert await flaws(shared_bench, tenant) == []


async def test_tenants_of_one_batch_have_trails_of_their_own(shared_bench: Bench) -> None:
    tenants = [uuid4() for _ in range(3)]
    artists = [await shared_bench.add_artist(tenant) for tenant in tenants]
    both = list(zip(tenants, artists, strict=True))
    await shared_bench.handle(*(ask(tenant, night(artist, day)) for day in range(2) for tenant, artist in both))
    for tenant in tenants:
        assert [one["sequence"] for one in await entries(shared_bench, tenant)] == [1, 2]
        assert await flaws(shared_bench, tenant) == []


async def test_a_refused_call_touches_no_booking_whatever_its_author_may(shared_bench: Bench) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    create = ask(tenant, night(artist))
    await shared_bench.one(create)
    before = await shared_bench.stored(tenant)
    call = ask(tenant, RefusedBookingCall(operation="POST /v1/bookings"), create.aggregate_id, role=Role.ADMIN)
    assert (await shared_bench.one(call))[0] == 403
    assert (await shared_bench.stored(tenant), await shared_bench.position(tenant)) == (before, 1)


def letter_of(command: Command) -> Letter:
    record = consumed(command_record(command, BOOKING_COMMANDS.name, datetime.now(UTC)))
    return Letter(
        origin=Origin(topic=record.topic, partition=0, offset=0),
        key=record.key or b"",
        value=record.value or b"",
        headers=list(record.headers),
        reason="ValueError",
        put_aside_at="2027-05-08T20:00:00.000Z",
    )


async def test_a_dead_letter_that_is_given_up_has_an_entry_as_far_as_it_can_be_read(shared_bench: Bench) -> None:
    tenant = uuid4()
    command = ask(tenant, commands.CancelBooking(reason="rain"))
    letter = letter_of(command)
    await rejection.reject(shared_bench.database, "booking", letter)
    await rejection.reject(shared_bench.database, "booking", letter)
    unreadable = Letter(
        origin=letter.origin,
        key=letter.key,
        value=b"{",
        headers=[("ce_tenantid", str(tenant).encode()), ("ce_id", str(uuid4()).encode())],
        reason=letter.reason,
        put_aside_at=letter.put_aside_at,
    )
    await rejection.reject(shared_bench.database, "booking", unreadable)
    first, second = await entries(shared_bench, tenant)
    assert (first["actor"], first["role"], first["data"]) == ("user_ana", "org:member", {"reason": "rain"})
    assert (first["operation"], first["outcome"]) == ("production.booking.cancel.v1", "expired")
    assert first["origin"]["channel"] == second["origin"]["channel"] == "operator"
    assert (second["actor"], second["operation"], second["data"], second["aggregate_id"]) == (
        "unknown",
        "unknown",
        None,
        None,
    )
    assert await flaws(shared_bench, tenant) == []


@pytest.mark.parametrize(
    "statement", ["update audit set actor = 'x'", "delete from audit", "truncate audit", "update audit set digest = ''"]
)
async def test_the_serving_role_can_not_change_the_trail(shared_bench: Bench, statement: str) -> None:
    tenant = uuid4()
    await a_life(shared_bench, tenant)
    with pytest.raises(DBAPIError, match="permission denied"):
        await shared_bench.rows([tenant], statement)


@pytest.mark.parametrize("statement", ["update audit set actor = 'x'", "delete from audit", "truncate audit"])
def test_a_mistake_of_the_owner_does_not_change_it_either(shared_bench: Bench, statement: str) -> None:
    with (
        psycopg.connect(shared_bench.fresh.owner_dsn) as owner,
        pytest.raises(errors.InsufficientPrivilege, match="neither changed nor removed"),
    ):
        owner.execute(statement.encode())


async def test_a_version_that_writes_no_trail_is_told_to_try_again_later(shared_bench: Bench) -> None:
    tenant = uuid4()
    insert = "insert into command_log values (:t, gen_random_uuid(), 'a', null, null, 200, '{}', 1, now())"
    with pytest.raises(DBAPIError, match="decides nothing any more") as refused:
        await shared_bench.rows([tenant], insert, t=tenant)
    assert is_transient(refused.value), "an outage: nothing it holds goes to the dead letters"


async def test_a_trail_begins_where_the_stream_stood_when_it_was_introduced(bench: Bench) -> None:
    tenant = uuid4()
    await a_life(bench, tenant)
    await Owner(bench.fresh.owner_dsn, tenant).does(  # as the migration finds a tenant of before, and leaves it
        "delete from audit where tenant_id = {t}",
        "update command_log set audited = null where tenant_id = {t}",
        "update streams set audited = 0, audited_digest = null, audited_from = position where tenant_id = {t}",
    )
    assert await flaws(bench, tenant) == []
    artist = await bench.add_artist(tenant)
    await bench.one(ask(tenant, night(artist, 40)))
    (entry,) = await entries(bench, tenant)
    assert (entry["sequence"], entry["position"]) == (1, 4)
    assert await flaws(bench, tenant) == []
    async with bench.database.reading(tenant) as connection:
        assert (await store.standing(connection, "booking", tenant)).begins.position == 3
