"""Services that die in the middle of their work: each accepted command has one outcome, and nothing is there twice."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from local_stack.clients.caller import Answer, Caller, expect
from local_stack.clients.nights import night
from local_stack.clients.tenant import Tenant, wish
from local_stack.clients.topic import Topic
from local_stack.clients.waiting import until
from local_stack.part import Part

NIGHTS = 120
IN_FLIGHT = 12


@dataclass
class Stream:
    """Many bookings asked for one after the other, whatever happens meanwhile; what was answered is kept."""

    caller: Caller
    artist: dict[str, Any]
    answers: dict[int, Answer] = field(default_factory=dict)
    progress: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def book(self, *, again: bool) -> None:
        """Ask for every night; with `again`, ask once more with the same key where it was not taken."""
        waiting = iter(range(NIGHTS))

        async def keep_asking() -> None:
            for number in waiting:
                self.answers[number] = await self._ask(number, again=again)
                async with self.progress:
                    self.progress.notify_all()

        await asyncio.gather(*(keep_asking() for _ in range(IN_FLIGHT)))

    async def answered(self, count: int) -> None:
        """Wait until so many have been answered."""
        async with self.progress:
            await self.progress.wait_for(lambda: len(self.answers) >= count)

    async def _ask(self, number: int, *, again: bool) -> Answer:
        headers = {"Idempotency-Key": str(uuid4())}

        async def ask() -> Answer | None:
            try:
                answer = await self.caller.post("/v1/bookings", wish(self.artist, number), headers=headers)
            except aiohttp.ClientError:
                if again:
                    return None
                raise
            return None if again and answer.status == 503 else answer

        return await until(ask, f"an answer for night {number}")


async def outcome(caller: Caller, answer: Answer) -> dict[str, Any]:
    """Give the booking that an answer holds, or the one that its command tells of in the end."""
    if answer.status == 201:
        return dict(answer.body)
    if answer.status == 202:
        location = answer.headers["Location"]
    else:
        assert (answer.status, answer.slug) == (503, "unavailable"), str(answer)
        location = f"/v1/commands/{answer.body['command_id']}"
    status = await caller.decided(location)
    assert (status["status"], status["outcome"]["status"]) == ("accepted", 201)
    return dict(status["outcome"]["body"])


async def stands_once(tenant: Tenant, stream: Stream) -> None:
    """Hold that every night that was asked for is booked, once, as told, in the list, the store and the topic."""
    caller = stream.caller
    told = {number: await outcome(caller, answer) for number, answer in stream.answers.items()}
    assert {number: booking["start_time"] for number, booking in told.items()} == {
        number: night(number)["start_time"] for number in range(NIGHTS)
    }
    assert await caller.every("/v1/bookings") == [told[number] for number in range(NIGHTS)]
    events = await caller.events()
    assert [event["position"] for event in events] == list(range(1, NIGHTS + 1))
    assert {event["aggregate_id"] for event in events} == {booking["id"] for booking in told.values()}
    async with Topic(tenant.at.engines.kafka_bootstrap, "booking.events.v1") as topic:
        published = await topic.of_tenant(tenant.id)
    assert [record.headers["ce_id"] for record in published] == [event["id"] for event in events]


async def test_booking_is_killed_twice_in_a_stream_of_creates_and_every_night_is_booked_once(
    tenant: Tenant, part: Callable[[str], Part]
) -> None:
    stream = Stream(tenant.caller(), await tenant.artist())
    async with tenant.watcher() as watcher:
        asking = asyncio.create_task(stream.book(again=False))
        for count in (20, 70):
            await stream.answered(count)
            part("booking").kill()
            await asyncio.to_thread(part("booking").start)
        await asking
        await stands_once(tenant, stream)
        await watcher.reached("booking", NIGHTS)
        assert [heard.position for heard in watcher.of("booking")] == list(range(1, NIGHTS + 1))


async def test_the_gateway_is_killed_in_a_stream_of_creates_and_who_asks_again_with_the_key_has_one_booking(
    tenant: Tenant, part: Callable[[str], Part]
) -> None:
    stream = Stream(tenant.caller(), await tenant.artist())
    asking = asyncio.create_task(stream.book(again=True))
    await stream.answered(30)
    part("gateway").kill()
    await asyncio.to_thread(part("gateway").start)
    await asking
    await stands_once(tenant, stream)


@pytest.mark.parametrize("engine", ["postgresql", "kafka"])
async def test_an_engine_crashes_in_a_stream_of_creates_and_what_was_taken_is_decided(
    tenant: Tenant, part: Callable[[str], Part], engine: str
) -> None:
    caller = tenant.caller()
    stream = Stream(caller, await tenant.artist())
    asking = asyncio.create_task(stream.book(again=False))
    await stream.answered(30)
    await asyncio.to_thread(part(engine).kill)
    await asyncio.to_thread(part(engine).start)
    await asking
    # What Kafka could not take was refused, for certain, without a command to ask for: nothing was done.
    refused = {
        number: answer
        for number, answer in stream.answers.items()
        if answer.status == 503 and "command_id" not in answer.body
    }
    for number, answer in refused.items():
        assert answer.slug == "unavailable"
        assert int(answer.headers["Retry-After"]) > 0
        stream.answers[number] = expect(await caller.post("/v1/bookings", wish(stream.artist, number)), 201)
    await stands_once(tenant, stream)


async def test_tenancy_is_killed_in_a_stream_of_artists_and_none_that_was_answered_is_unknown(
    tenant: Tenant, part: Callable[[str], Part]
) -> None:
    caller = tenant.caller()
    answers: list[Answer] = []
    waiting = iter(range(60))
    some = asyncio.Event()

    async def keep_adding() -> None:
        for number in waiting:
            answers.append(await caller.post("/v1/artists", {"name": f"Artist {number:02}"}))
            if len(answers) >= 15:
                some.set()

    adding = asyncio.gather(*(keep_adding() for _ in range(6)))
    await some.wait()
    part("tenancy").kill()
    await asyncio.to_thread(part("tenancy").start)
    await adding
    artists = [await outcome(caller, answer) for answer in answers]
    assert await caller.every("/v1/artists") == sorted(artists, key=lambda artist: artist["name"])
    booked = await asyncio.gather(*(caller.post("/v1/bookings", wish(artist)) for artist in artists))
    assert {answer.status for answer in booked} == {201}


async def test_a_command_taken_while_booking_is_away_is_pending_and_decided_after_everything_was_started_again(
    tenant: Tenant, part: Callable[[str], Part]
) -> None:
    artist = await tenant.artist()
    caller = tenant.caller()
    await asyncio.to_thread(part("booking").stop)
    key = {"Idempotency-Key": str(uuid4())}
    asked = wish(artist)
    taken = [
        expect(await caller.post("/v1/bookings", asked, headers=key | {"Prefer": prefer}), 202)
        for prefer in ("respond-async", "wait=1")
    ]
    await asyncio.gather(*(asyncio.to_thread(part(name).restart) for name in ("gateway", "tenancy")))
    away = await caller.get(taken[0].headers["Location"])
    assert (away.status, away.slug) == (503, "unavailable")
    await asyncio.to_thread(part("booking").start)
    decided = [await caller.decided(answer.headers["Location"]) for answer in taken]
    assert [status["status"] for status in decided] == ["accepted", "accepted"]
    assert decided[0]["outcome"] == decided[1]["outcome"]
    again = expect(await caller.post("/v1/bookings", asked, headers=key), 201)
    assert again.body == decided[0]["outcome"]["body"]
    assert await caller.every("/v1/bookings") == [again.body]


async def test_what_was_answered_before_everything_was_started_again_is_there_afterwards(
    tenant: Tenant, part: Callable[[str], Part]
) -> None:
    artist = await tenant.artist()
    bookings = [await tenant.booking(artist, number, notes="kept") for number in range(5)]
    caller = tenant.caller()
    location = expect(
        await caller.post("/v1/bookings", wish(artist, 5), headers={"Prefer": "respond-async"}), 202
    ).headers["Location"]
    bookings.append((await caller.decided(location))["outcome"]["body"])
    engines = ("redis", "postgresql", "kafka")
    services = ("tenancy", "booking", "gateway", "notifications", "notifications-2")
    for names in (services, engines):
        await asyncio.gather(*(asyncio.to_thread(part(name).stop) for name in names))
    for names in (engines, services):
        await asyncio.gather(*(asyncio.to_thread(part(name).start) for name in names))
    assert await caller.every("/v1/bookings") == bookings
    assert (await caller.decided(location))["outcome"]["body"] == bookings[-1]
    async with tenant.watcher(after={"booking": 0}) as watcher:
        await watcher.reached("booking", len(bookings))
        assert [heard.message["data"]["id"] for heard in watcher.of("booking")] == [one["id"] for one in bookings]
