"""Idempotency keys: the same key and request give the same outcome, within a batch, across batches and across time."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from services.booking.tests.bench import Answer, Bench, ask, night

from booking.adapters.bookings import Key
from production_contracts import commands
from production_contracts.commands import Command
from production_contracts.roles import Role

Deliver = Callable[..., Awaitable[list[Answer]]]


def slug(answer: Answer) -> str:
    return str(answer[1].get("type", "accepted")).removeprefix("/problems/")


@pytest.fixture(params=["in one batch", "in a batch each"])
def deliver(request: pytest.FixtureRequest, shared_bench: Bench) -> Deliver:
    async def hand_over(*asked: Command) -> list[Answer]:
        if request.param == "in one batch":
            return await shared_bench.handle(*asked)
        return [await shared_bench.one(command) for command in asked]

    return hand_over


async def test_the_same_request_under_the_same_key_has_the_same_outcome(shared_bench: Bench, deliver: Deliver) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    first, again = await deliver(*(ask(tenant, night(artist), key="k") for _ in range(2)))
    assert first[0] == 201
    assert again == first
    assert len(await shared_bench.stored(tenant)) == await shared_bench.position(tenant) == 1


async def test_a_remembered_outcome_is_told_as_it_was_whatever_happened_since(
    shared_bench: Bench, deliver: Deliver
) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    create = ask(tenant, night(artist), key="k")
    cancel = ask(tenant, commands.CancelBooking(), create.aggregate_id)
    first, _, again = await deliver(create, cancel, ask(tenant, night(artist), key="k"))
    assert again == first


async def test_another_request_under_the_same_key_is_refused_and_does_nothing(
    shared_bench: Bench, deliver: Deliver
) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    answers = await deliver(
        ask(tenant, night(artist), key="k", fingerprint="one"),
        ask(tenant, night(artist, 1), key="k", fingerprint="other"),
        ask(tenant, night(artist), key="k", fingerprint="one"),
    )
    assert [slug(answer) for answer in answers] == ["accepted", "idempotency-key-reused", "accepted"]
    assert answers[1][0] == 422
    assert len(await shared_bench.stored(tenant)) == 1


async def test_a_key_is_its_users_and_its_tenants_own(shared_bench: Bench, deliver: Deliver) -> None:
    tenant, other = uuid4(), uuid4()
    artist, theirs = await shared_bench.add_artist(tenant), await shared_bench.add_artist(other)
    answers = await deliver(
        ask(tenant, night(artist), key="k", sub="user_ana", fingerprint="one"),
        ask(tenant, night(artist, 1), key="k", sub="user_ben", fingerprint="two"),
        ask(other, night(theirs), key="k", sub="user_ana", fingerprint="three"),
    )
    assert [status for status, _ in answers] == [201, 201, 201]


async def test_a_conflict_is_remembered_with_its_windows(shared_bench: Bench, deliver: Deliver) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    create = ask(tenant, night(artist))
    _, refused, _, again = await deliver(
        create,
        ask(tenant, night(artist), key="k"),
        ask(tenant, commands.CancelBooking(), create.aggregate_id),
        ask(tenant, night(artist), key="k"),
    )
    assert slug(refused) == "booking-conflict"
    assert len(refused[1]["next_free"]) == 3
    assert again == refused


async def test_an_expiry_is_remembered_because_it_says_that_nothing_happened(
    shared_bench: Bench, deliver: Deliver
) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    late, again = await deliver(
        ask(tenant, night(artist), key="k", expires_in=timedelta(seconds=-2)), ask(tenant, night(artist), key="k")
    )
    assert slug(late) == "expired"
    assert again == late
    assert await shared_bench.stored(tenant) == {}


async def test_a_late_repetition_of_what_was_done_in_time_is_told_what_was_done(
    shared_bench: Bench, deliver: Deliver
) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    done, late = await deliver(
        ask(tenant, night(artist), key="k"), ask(tenant, night(artist), key="k", expires_in=timedelta(seconds=-2))
    )
    assert done[0] == 201
    assert late == done


async def test_who_was_not_allowed_may_try_again_under_the_same_key(shared_bench: Bench, deliver: Deliver) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    refused, allowed = await deliver(
        ask(tenant, night(artist), key="k", role=Role.VIEWER), ask(tenant, night(artist), key="k")
    )
    assert slug(refused) == "forbidden"
    assert allowed[0] == 201


async def test_who_is_not_allowed_any_more_is_not_told_what_the_key_has_done(
    shared_bench: Bench, deliver: Deliver
) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    _, refused = await deliver(
        ask(tenant, night(artist), key="k"), ask(tenant, night(artist), key="k", role=Role.VIEWER)
    )
    assert slug(refused) == "forbidden"


async def test_a_reused_key_is_refused_to_the_second_request_for_good(shared_bench: Bench, deliver: Deliver) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    asked = [ask(tenant, night(artist), key="k", fingerprint=fingerprint) for fingerprint in ("one", "two", "two")]
    answers = await deliver(*asked)
    assert [slug(answer) for answer in answers] == ["accepted", "idempotency-key-reused", "idempotency-key-reused"]


class DoubtfulRoster:
    """A roster that is behind for the moment."""

    behind = True

    async def await_artists(self, artists: Sequence[Key]) -> frozenset[Key]:
        return frozenset(artists) if self.behind else frozenset()


async def test_an_artist_that_may_come_yet_is_unavailable_and_the_key_still_good(shared_bench: Bench) -> None:
    bench = Bench(shared_bench.database, shared_bench.fresh, DoubtfulRoster())
    tenant, artist = uuid4(), uuid4()
    doubtful = await bench.one(ask(tenant, night(artist), key="k"))
    assert slug(doubtful) == "unavailable"
    await bench.add_artist(tenant, artist)
    assert (await bench.one(ask(tenant, night(artist), key="k")))[0] == 201


async def test_a_doubtful_artist_that_stands_in_the_roster_after_all_is_booked(shared_bench: Bench) -> None:
    bench = Bench(shared_bench.database, shared_bench.fresh, DoubtfulRoster())
    tenant = uuid4()
    artist = await bench.add_artist(tenant)
    assert (await bench.one(ask(tenant, night(artist))))[0] == 201


async def test_a_redelivered_command_of_a_remembered_key_keeps_its_own_outcome(shared_bench: Bench) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    first, reused = (ask(tenant, night(artist), key="k", fingerprint=fingerprint) for fingerprint in ("one", "two"))
    answers = await shared_bench.handle(first, reused)
    assert await shared_bench.handle(reused, first) == answers[::-1]


async def remembered(bench: Bench, tenant: UUID) -> list[Any]:
    return await bench.rows(
        [tenant], "select idempotency_key, status from command_log where idempotency_key is not null"
    )


async def test_the_log_holds_a_key_once_however_often_it_comes(shared_bench: Bench, deliver: Deliver) -> None:
    tenant = uuid4()
    artist = await shared_bench.add_artist(tenant)
    await deliver(*(ask(tenant, night(artist), key="k") for _ in range(4)))
    assert await remembered(shared_bench, tenant) == [("k", 201)]
    assert len(await shared_bench.rows([tenant], "select 1 from command_log")) == 4
