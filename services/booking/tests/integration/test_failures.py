"""What can't be handled stands alone in the dead letters; what fails for the moment comes again, whole."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from services.booking.tests.bench import Bench, Desk, ask, night, recorded
from sqlalchemy.exc import SQLAlchemyError

from booking.application.ledger import BookingLedger
from local_stack.databases import Database as FreshDatabase
from production_contracts import commands
from production_contracts.commands import Command
from servicekit.database import Database, is_transient
from servicekit.deciding import Decision
from servicekit.kafka import KafkaUnavailableError, Record


@pytest.fixture
def booby_trap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command titled `boom` makes the ledger raise, every time."""
    decide = BookingLedger.decide

    def trapped(self: BookingLedger, command: Command, **given: Any) -> Decision:  # noqa: ANN401
        if getattr(command.body.data, "title", "") == "boom":
            message = "boom"
            raise ArithmeticError(message)
        return decide(self, command, **given)

    monkeypatch.setattr(BookingLedger, "decide", trapped)


@pytest.mark.parametrize("place", [0, 3, 6])
async def test_a_command_that_can_not_be_handled_stands_alone_in_the_dead_letters(
    shared_bench: Bench, booby_trap: None, place: int
) -> None:
    shared_bench.desk.dead.clear()
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    batch = [ask(tenant, night(artist, day, title="boom" if day == place else "fine")) for day in range(7)]
    answers = await shared_bench.handle(*batch)
    assert [status for status, _ in answers] == [201] * 6
    ((record, reason),) = shared_bench.desk.dead
    assert (record.offset, reason) == (place, "ArithmeticError: boom")
    assert [event["position"] for event in await shared_bench.events(tenant)] == [1, 2, 3, 4, 5, 6]


async def test_several_culprits_are_each_put_aside_and_what_builds_on_neighbours_still_works(
    shared_bench: Bench, booby_trap: None
) -> None:
    shared_bench.desk.dead.clear()
    tenant, other = uuid4(), uuid4()
    artist, theirs = await shared_bench.add_artist(tenant), await shared_bench.add_artist(other)
    create = ask(tenant, night(artist))
    answers = await shared_bench.handle(
        create,
        ask(tenant, night(artist, 1, title="boom")),
        ask(other, night(theirs)),
        ask(tenant, commands.ConfirmBooking(), create.aggregate_id),
        ask(other, night(theirs, 1, title="boom")),
        ask(tenant, night(artist)),
    )
    assert [status for status, _ in answers] == [201, 201, 200, 409]
    assert [record.offset for record, _ in shared_bench.desk.dead] == [1, 4]


async def test_text_that_the_database_refuses_is_put_aside_and_its_neighbours_go_on(shared_bench: Bench) -> None:
    shared_bench.desk.dead.clear()
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    answers = await shared_bench.handle(
        ask(tenant, night(artist, 0)),
        ask(tenant, night(artist, 1, title="a\x00b")),
        ask(tenant, night(artist, 2), key="k\x00"),
        ask(tenant, night(artist, 3), sub="user_\x00"),
        ask(tenant, night(artist, 4)),
    )
    assert [status for status, _ in answers] == [201, 201]
    assert [record.offset for record, _ in shared_bench.desk.dead] == [1, 2, 3]


async def test_neither_log_nor_dead_letter_repeats_what_anybody_wrote(
    shared_bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    shared_bench.desk.dead.clear()
    tenant, other = uuid4(), uuid4()
    artist, theirs = await shared_bench.add_artist(tenant), await shared_bench.add_artist(other)
    await shared_bench.handle(
        ask(other, night(theirs, title="Their secret show")),
        ask(tenant, night(artist, title="My secret show", venue="a\x00b")),
    )
    ((_, reason),) = shared_bench.desk.dead
    logged = capsys.readouterr().out
    assert "command_failed" in logged
    assert "batch_halved" in logged
    for text in (reason, logged):
        assert "secret" not in text
        assert "user_ana" not in text


async def test_a_range_that_the_contract_never_lets_through_is_put_aside(shared_bench: Bench) -> None:
    shared_bench.desk.dead.clear()
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    backwards = night(artist, start_time="2027-05-08T20:00:00Z", end_time="2027-05-08T19:00:00Z")
    answers = await shared_bench.handle(ask(tenant, backwards), ask(tenant, night(artist)))
    assert [status for status, _ in answers] == [201]
    assert len(shared_bench.desk.dead) == 1


async def test_a_lost_connection_is_an_outage_and_the_batch_comes_again_whole(bench: Bench) -> None:
    tenant = uuid4()
    artist = await bench.add_artist(tenant)
    batch = [ask(tenant, night(artist, day)) for day in range(4)]

    async def cut() -> None:
        await bench.as_superuser(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid <> pg_backend_pid()",
            bench.fresh.name,
        )

    bench.decider.after_load = cut
    with pytest.raises(SQLAlchemyError) as caught:
        await bench.handle(*batch)
    assert is_transient(caught.value)
    assert (bench.desk.dead, bench.desk.settled) == ([], [])
    assert [status for status, _ in await bench.handle(*batch)] == [201] * 4


async def test_connections_cut_while_nobody_used_them_are_not_even_noticed(bench: Bench) -> None:
    tenant = uuid4()
    artist = await bench.add_artist(tenant)
    assert (await bench.one(ask(tenant, night(artist))))[0] == 201
    await bench.as_superuser(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid <> pg_backend_pid()",
        bench.fresh.name,
    )
    assert (await bench.one(ask(tenant, night(artist, 1))))[0] == 201


async def test_a_database_that_is_not_there_dead_letters_nothing(bench: Bench) -> None:
    away = Bench(Database("postgresql+asyncpg://booking_service:x@127.0.0.1:1/booking"), bench.fresh)
    with pytest.raises(OSError, match="1"):
        await away.handle(ask(uuid4(), commands.ConfirmBooking()))
    assert (away.desk.dead, away.desk.settled) == ([], [])
    await away.database.stop()


async def test_a_database_without_its_tables_dead_letters_nothing(
    fresh_database: Callable[..., FreshDatabase],
) -> None:
    with fresh_database("booking", migrated=False) as empty:
        early = Bench(Database(empty.url), empty)
        with pytest.raises(Exception, match="streams"):
            await early.handle(ask(uuid4(), commands.ConfirmBooking()))
        assert (early.desk.dead, early.desk.settled) == ([], [])
        await early.database.stop()


class AwayDesk(Desk):
    """Kafka is away: nothing can be put aside."""

    async def put(self, record: Record, reason: str) -> None:
        message = f"{record.offset}: {reason}"
        raise KafkaUnavailableError(message)


async def test_what_can_not_be_put_aside_comes_again(bench: Bench, booby_trap: None) -> None:
    away = Bench(bench.database, bench.fresh, desk=AwayDesk())
    tenant = uuid4()
    artist = await away.add_artist(tenant)
    batch = [ask(tenant, night(artist)), ask(tenant, night(artist, 1, title="boom"))]
    with pytest.raises(KafkaUnavailableError):
        await away.handle(*batch)
    with pytest.raises(KafkaUnavailableError):
        await away.worker.handle([recorded(batch[0], value=b"{")])
    assert [status for status, _ in await bench.handle(*batch)] == [201], "what was decided keeps its outcome"
    assert len(bench.desk.dead) == 1
