"""Several instances at once: a paused worker and its successor, and many workers on the same tenants."""

import asyncio
import random
from uuid import UUID, uuid4

import pytest
from services.booking.tests.bench import Bench, ask, move, night, until
from sqlalchemy.exc import SQLAlchemyError

from production_contracts import commands
from servicekit.database import is_transient


async def test_two_workers_given_the_same_batch_at_once_give_the_same_outcomes(bench: Bench) -> None:
    tenants = [uuid4(), uuid4()]
    artists = [await bench.add_artist(tenant) for tenant in tenants]
    batch = [
        ask(tenant, night(artist, day), key=f"{number}")
        for number, day in enumerate((0, 0, 1, 2))
        for tenant, artist in zip(tenants, artists, strict=True)
    ]
    workers = [bench, bench.another(), bench.another(), bench.another()]
    answers = await asyncio.gather(*(worker.handle(*batch) for worker in workers))
    assert [status for status, _ in answers[0]] == [201, 201, 409, 409, 201, 201, 201, 201]
    assert all(answer == answers[0] for answer in answers)
    for tenant in tenants:
        assert [event["position"] for event in await bench.events(tenant)] == [1, 2, 3]
        assert len(await bench.stored(tenant)) == 3


class Pause:
    """A worker stands still here until it is let go."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        await self.go.wait()


async def test_a_worker_paused_before_its_commit_and_its_successor_give_one_outcome(bench: Bench) -> None:
    tenant, pause, successor = uuid4(), Pause(), bench.another()
    artist = await bench.add_artist(tenant)
    batch = [ask(tenant, night(artist)), ask(tenant, night(artist)), ask(tenant, night(artist, 1))]
    bench.decider.before_commit = pause
    paused = asyncio.create_task(bench.handle(*batch))
    await pause.reached.wait()
    following = asyncio.create_task(successor.handle(*batch))
    await until(bench.waits_for_a_lock, "the successor waits for the paused worker's lock")
    pause.go.set()
    assert await following == await paused
    assert [event["position"] for event in await bench.events(tenant)] == [1, 2]


async def test_what_a_worker_stopped_before_its_commit_had_in_hand_is_its_successors(bench: Bench) -> None:
    tenant, pause, successor = uuid4(), Pause(), bench.another()
    artist = await bench.add_artist(tenant)
    batch = [ask(tenant, night(artist)), ask(tenant, night(artist, 1))]
    bench.decider.before_commit = pause
    stopped = asyncio.create_task(bench.handle(*batch))
    await pause.reached.wait()
    following = asyncio.create_task(successor.handle(*batch))
    await until(bench.waits_for_a_lock, "the successor waits for the paused worker's lock")
    stopped.cancel()
    assert [status for status, _ in await following] == [201, 201]
    with pytest.raises(asyncio.CancelledError):
        await stopped
    assert bench.desk.settled == []
    assert [event["position"] for event in await bench.events(tenant)] == [1, 2]


async def test_a_worker_cut_off_from_the_database_before_its_commit_finds_what_its_successor_decided(
    bench: Bench,
) -> None:
    tenant, pause, successor = uuid4(), Pause(), bench.another()
    artist = await bench.add_artist(tenant)
    batch = [ask(tenant, night(artist)), ask(tenant, night(artist))]
    bench.decider.before_commit = pause
    cut_off = asyncio.create_task(bench.handle(*batch))
    await pause.reached.wait()
    await bench.as_superuser(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid <> pg_backend_pid()",
        bench.fresh.name,
    )
    decided = await successor.handle(*batch)
    pause.go.set()
    with pytest.raises(SQLAlchemyError) as caught:
        await cut_off
    assert is_transient(caught.value)
    assert bench.desk.dead == []
    assert await bench.handle(*batch) == decided
    assert [event["position"] for event in await bench.events(tenant)] == [1]


async def test_an_idempotency_key_used_at_two_instances_at_once_stands_for_one_outcome(bench: Bench) -> None:
    tenant = uuid4()
    artist = await bench.add_artist(tenant)
    workers = [bench.another() for _ in range(4)]
    answers = await asyncio.gather(*(worker.one(ask(tenant, night(artist), key="k")) for worker in workers))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 201
    assert len(await bench.stored(tenant)) == 1


async def test_tenants_that_are_new_to_several_instances_at_once_get_one_stream_each(bench: Bench) -> None:
    tenants = [uuid4() for _ in range(20)]
    artists = {tenant: await bench.add_artist(tenant) for tenant in tenants}
    orders = [random.Random(seed).sample(tenants, k=len(tenants)) for seed in range(8)]
    workers = [bench.another() for _ in orders]
    answers = await asyncio.gather(
        *(
            worker.handle(*(ask(tenant, night(artists[tenant], day)) for tenant in order))
            for day, (worker, order) in enumerate(zip(workers, orders, strict=True))
        )
    )
    assert {status for answer in answers for status, _ in answer} == {201}
    for tenant in tenants:
        assert [event["position"] for event in await bench.events(tenant)] == list(range(1, 9))


async def test_who_waits_for_a_tenants_first_stream_holds_no_other(bench: Bench) -> None:
    """Two that held a lock each while they waited for the other's new stream ended in a deadlock."""
    known, new, first, second = uuid4(), uuid4(), bench.another(), bench.another()
    artists = {tenant: await bench.add_artist(tenant) for tenant in (known, new)}
    await bench.one(ask(known, night(artists[known])))
    pause = first.decider.before_commit = Pause()
    adding = asyncio.create_task(first.handle(ask(new, night(artists[new]))))
    await pause.reached.wait()
    waiting = asyncio.create_task(second.handle(*(ask(tenant, night(artist, 1)) for tenant, artist in artists.items())))
    await until(bench.waits_for_a_lock, "the second waits for the new stream")
    free = "select tenant_id from streams where tenant_id = %s for update skip locked"
    assert len(await bench.as_superuser(free, known)) == 1
    pause.go.set()
    assert [status for status, _ in [*await adding, *await waiting]] == [201, 201, 201]


async def test_positions_have_no_gap_under_eight_workers_on_the_same_tenants(bench: Bench) -> None:
    tenants = [uuid4() for _ in range(4)]
    artists = {tenant: await bench.add_artist(tenant) for tenant in tenants}
    bookings = {tenant: [uuid4() for _ in range(10)] for tenant in tenants}

    def some(chance: random.Random) -> list[commands.CommandData]:
        return [commands.ConfirmBooking(), commands.CancelBooking(), commands.AmendBooking(title=f"{chance.random()}")]

    async def work(seed: int) -> int:
        chance, worker, accepted = random.Random(seed), bench.another(), 0
        for _ in range(6):
            batch = []
            for _ in range(12):
                tenant = chance.choice(tenants)
                data = chance.choice(
                    [night(artists[tenant], chance.randrange(9)), move(chance.randrange(9)), *some(chance)]
                )
                batch.append(ask(tenant, data, chance.choice(bookings[tenant])))
            await worker.handle(*batch)
            assert worker.desk.dead == []
            accepted += sum(one.status < 400 for one in worker.desk.settled)
        return accepted

    accepted = sum(await asyncio.gather(*(work(seed) for seed in range(8))))
    heads: dict[UUID, int] = {}
    for tenant in tenants:
        heads[tenant] = await bench.position(tenant)
        events = await bench.events(tenant)
        assert [event["position"] for event in events] == list(range(1, heads[tenant] + 1))
        versions: dict[str, int] = {}
        for event in events:
            assert event["version"] == versions.get(event["aggregate_id"], 0) + 1
            versions[event["aggregate_id"]] = event["version"]
        stored = await bench.stored(tenant)
        assert {str(key): row["version"] for key, row in stored.items()} == versions
    assert 0 < sum(heads.values()) <= accepted
