"""Random histories: what a batch decides on PostgreSQL equals what a simple model decides one command at a time."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from services.booking.tests.bench import NIGHT, Answer, Bench, ask
from services.booking.tests.model import Model, Said

from booking.application.projection import BookingProjection
from production_contracts import commands
from production_contracts.commands import Command
from servicekit import jobs

STEP = timedelta(hours=1)
FEW, MANY = 6, 80
"""Bookings that a history is about: few, so that most commands meet; many, so that it goes on."""
Asked = tuple[int, int, str, int, int, int, int | None]
"""Tenant, booking, what to do, artist, start, length, version expected. Two artists can be booked, the third is
archived, the fourth not in the roster, and the fifth the other tenant's."""

plans = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.integers(0, FEW - 1),
        st.sampled_from(["create", "create", "create", "confirm", "cancel", "move", "move", "move", "amend"]),
        st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 4]),
        st.integers(0, 12),
        st.integers(1, 4),
        st.none() | st.none() | st.integers(1, 4),
    ),
    min_size=1,
    max_size=40,
)
cuts = st.lists(st.integers(1, 12), min_size=1, max_size=10)


def sealed(text: str) -> dict[str, str]:
    return {"kid": "k", "ct": text}


CONFIDENCES: list[dict[str, Any]] = [
    {},
    {"contact": {"name": sealed("ana"), "email": sealed("mail")}},
    {"contact": {"name": None}, "fee": {"amount": sealed("1"), "currency": sealed("EUR")}},
    {"contact": {"phone": sealed("030")}, "fee": {"amount": sealed("2"), "currency": sealed("EUR")}},
]
AMENDMENTS: list[dict[str, Any]] = [
    {},
    {"venue": None, "contact": {"email": None}},
    {"contact": {"name": sealed("ben"), "phone": None}},
    {"contact": {"name": sealed("ana")}},
    {"contact": {}},
    {"contact": None},
    {"fee": None},
    {"fee": {"amount": sealed("1"), "currency": sealed("EUR")}},
]


class World:
    """Two tenants, in the database and as models."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.tenants = [uuid4(), uuid4()]
        self.artists = [[uuid4() for _ in range(4)] for _ in self.tenants]
        self.bookings = [[uuid4() for _ in range(MANY)] for _ in self.tenants]
        self.models: list[Model] = []

    async def fill_roster(self) -> None:
        for tenant, artists in zip(self.tenants, self.artists, strict=True):
            states = dict(zip(artists, ["active", "active", "archived"], strict=False))
            for artist, state in states.items():
                await self.bench.add_artist(tenant, artist, state)
            self.models.append(Model(states))

    def command(self, asked: Asked) -> Command:
        tenant, booking, verb, artist, start, length, version = asked
        artists = [*self.artists[tenant], self.artists[1 - tenant][0]]
        slot = {"start_time": NIGHT + start * STEP, "end_time": NIGHT + (start + length) * STEP}
        status = "pencil" if length % 2 else "confirmed"
        data: dict[str, commands.CommandData] = {
            "create": commands.CreateBooking.model_validate(
                {"artist_id": artists[artist], "status": status, "title": "t", **slot, **CONFIDENCES[start % 4]}
            ),
            "confirm": commands.ConfirmBooking(),
            "cancel": commands.CancelBooking(),
            "move": commands.RescheduleBooking.model_validate(slot),
            "amend": commands.AmendBooking.model_validate([{"title": f"t{start}"}, *AMENDMENTS][start % 9]),
        }
        return ask(
            self.tenants[tenant],
            data[verb],
            self.bookings[tenant][booking],
            versions=None if version is None else [version],
        )

    def model_of(self, command: Command) -> Model:
        return self.models[self.tenants.index(command.tenant_id)]

    async def handle(self, batch: Sequence[Command]) -> None:
        """Decide a batch twice over and compare."""
        expected = [self.model_of(command).decide(command) for command in batch]
        answers = await self.bench.handle(*batch)
        assert [said(answer) for answer in answers] == expected
        for command, answer in zip(batch, answers, strict=True):
            if answer[1].get("type") == "/problems/booking-conflict":
                assert windows(answer) == self.expected_windows(command)

    def expected_windows(self, command: Command) -> list[Any]:
        data, model = command.body.data, self.model_of(command)
        if isinstance(data, commands.CreateBooking):
            artist, besides = data.artist_id, None
        else:
            assert isinstance(data, commands.RescheduleBooking)
            artist, besides = model.bookings[command.aggregate_id].artist_id, command.aggregate_id
        return model.next_free(artist, data.start_time, data.end_time, besides, STEP)

    async def check(self) -> None:
        """Compare what is stored with the models, and the rows with the events."""
        for tenant, model in zip(self.tenants, self.models, strict=True):
            stored = await self.bench.stored(tenant)
            assert {key: shown(row) for key, row in stored.items()} == {key: model.told(key) for key in model.bookings}
            events = await self.bench.events(tenant)
            assert [event["position"] for event in events] == list(range(1, model.position + 1))
            replayed: dict[UUID, dict[str, Any]] = {}
            for event in events:
                BookingProjection().fold(replayed, event)
            assert replayed == stored


def shown(body: dict[str, Any]) -> Said:
    kept = {name: body[name] for name in ("id", "status", "title", "venue", "contact", "fee", "version", "position")}
    return kept | {
        "artist_id": UUID(body["artist_id"]),
        "start": datetime.fromisoformat(body["start_time"]),
        "end": datetime.fromisoformat(body["end_time"]),
    }


def said(answer: Answer) -> Said:
    status, body = answer
    if status < 400:
        return shown(body)
    refused: Said = {"refused": body["type"].removeprefix("/problems/")}
    if "conflicts" in body:
        refused["conflicts"] = [one["booking_id"] for one in body["conflicts"]]
    return refused


def windows(answer: Answer) -> list[Any]:
    return [
        (datetime.fromisoformat(free["start_time"]), datetime.fromisoformat(free["end_time"]))
        for free in answer[1]["next_free"]
    ]


@settings(max_examples=30)
@given(plans, cuts)
async def test_random_histories_in_random_batches_are_decided_and_stored_as_the_model_says(
    shared_bench: Bench, plan: list[Asked], cut: list[int]
) -> None:
    world = World(shared_bench)
    await world.fill_roster()
    waiting = [world.command(asked) for asked in plan]
    while waiting:
        for size in cut:
            batch, waiting = waiting[:size], waiting[size:]
            if batch:
                await world.handle(batch)
    await world.check()


def a_long_history(seed: int, length: int) -> list[Asked]:
    chance = random.Random(seed)
    verbs = ["create", "create", "confirm", "cancel", "move", "move", "amend"]
    return [
        (
            chance.randrange(2),
            chance.randrange(MANY),
            chance.choice(verbs),
            chance.randrange(2),
            chance.randrange(200),
            chance.randrange(1, 4),
            None,
        )
        for _ in range(length)
    ]


async def test_rows_are_what_the_events_say_and_rebuilding_gives_the_same(bench: Bench) -> None:
    world = World(bench)
    await world.fill_roster()
    waiting = [world.command(asked) for asked in a_long_history(seed=3, length=400)]
    for start in range(0, len(waiting), 50):
        await world.handle(waiting[start : start + 50])
    await world.check()
    before = [await bench.stored(tenant) for tenant in world.tenants]
    found = await jobs.verify(bench.database, "booking", BookingProjection())
    assert (found.tenants, found.differing) == (2, [])
    assert found.events == sum(model.position for model in world.models) > 100
    assert (await jobs.rebuild(bench.database, "booking", BookingProjection())).differing == []
    assert [await bench.stored(tenant) for tenant in world.tenants] == before


async def test_a_row_that_the_events_do_not_say_is_found_and_put_right(bench: Bench) -> None:
    world = World(bench)
    await world.fill_roster()
    await world.handle([world.command(asked) for asked in a_long_history(seed=5, length=60)])
    before = [await bench.stored(tenant) for tenant in world.tenants]
    await bench.as_superuser("update bookings set title = 'somebody else' where tenant_id = %s", world.tenants[0])
    await bench.as_superuser(
        "delete from bookings where id = (select min(id::text)::uuid from bookings where tenant_id = %s)",
        world.tenants[1],
    )
    found = await jobs.verify(bench.database, "booking", BookingProjection())
    assert sorted(found.differing) == sorted(world.tenants)
    assert [await bench.stored(tenant) for tenant in world.tenants] != before
    found = await jobs.rebuild(bench.database, "booking", BookingProjection())
    assert sorted(found.differing) == sorted(world.tenants)
    assert [await bench.stored(tenant) for tenant in world.tenants] == before
    assert (await jobs.verify(bench.database, "booking", BookingProjection())).differing == []


async def test_a_gap_in_the_events_is_not_replayed_over(bench: Bench) -> None:
    world = World(bench)
    await world.fill_roster()
    await world.handle([world.command(asked) for asked in a_long_history(seed=7, length=60)])
    await bench.as_superuser("delete from events where tenant_id = %s and position = 2", world.tenants[0])
    for job in (jobs.verify, jobs.rebuild):
        with pytest.raises(jobs.BrokenStreamError, match="position 2"):
            await job(bench.database, "booking", BookingProjection())
