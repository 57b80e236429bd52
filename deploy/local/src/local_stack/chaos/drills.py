"""Drills: short, directed pieces of work and faults, each of which brings out what a mutation does wrong.

On a system that is right none of them leaves a breach. Every run does the `Stage.ordinary` work first, so that each
check has something to look at.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import psycopg

from local_stack.chaos.checks.streams import TOPIC_IS_STORE
from local_stack.chaos.mutations import MUTATIONS
from local_stack.chaos.stage import HURRY_SECONDS, Stage
from local_stack.clients.waiting import PATIENCE_SECONDS, until
from local_stack.part import wait_until_ready
from local_stack.services import Instance
from local_stack.system import System


async def _no_fault(_stage: Stage, _artist: str) -> None:
    """Leave it at the ordinary work."""


async def _killed_in_hand(stage: Stage, artist: str) -> None:
    """Kill booking while it has a command in hand."""
    with stage.held(), stage.fault("kill", "booking") as booking:
        call = await stage.book(artist, asynchronous=True)
        await stage.in_hand()
        booking.kill()
    booking.begin()
    wait_until_ready([booking])
    await stage.all_taken()
    await stage.settle(call)


async def _redelivered(stage: Stage, artist: str) -> None:
    """Hand booking a command again that it has decided."""
    await stage.book(artist)
    await stage.all_taken()
    with stage.fault("redelivery", "booking") as booking:
        booking.stop()
        async with stage.offsets() as offsets:
            await offsets.move(await offsets.end() - 1)
    booking.begin()
    wait_until_ready([booking])
    await stage.all_taken()


async def _decided_together(stage: Stage, artist: str) -> None:
    """Let booking decide several commands of one tenant in one batch."""
    with stage.held():
        calls = [await stage.book(artist, asynchronous=True) for _ in range(5)]
        await stage.in_hand()
    for call in calls:
        await stage.settle(call)


async def _kafka_killed(stage: Stage, artist: str) -> None:
    """Kill Kafka between booking's decision and its publication, and booking before Kafka is back."""
    before = stage.heads(stage.tenant)["booking"]

    async def is_decided() -> bool:
        return stage.heads(stage.tenant)["booking"] > before

    async def is_marked() -> bool:
        return stage.published() > before

    booking = stage.part("booking")
    patience = PATIENCE_SECONDS if TOPIC_IS_STORE in stage.expected else HURRY_SECONDS
    with stage.fault("kill", "kafka") as kafka:
        with stage.held():
            call = await stage.book(artist, asynchronous=True)
            await stage.in_hand()
            kafka.kill()
        try:
            await until(is_decided, "booking has decided the command")
            with contextlib.suppress(TimeoutError):  # only a mutation marks what Kafka has not acknowledged
                await until(is_marked, "the event is marked", seconds=patience)
            booking.kill()
        finally:
            await asyncio.to_thread(kafka.start)
    booking.begin()
    wait_until_ready([booking])
    await stage.all_taken()
    await until(_all_published(stage), "everything is marked as published")
    await stage.settle(call)


async def _roster_behind(stage: Stage, _artist: str) -> None:
    """Book an artist who has just been signed while booking's roster can't go on."""
    with psycopg.connect(stage.system.at.engines.postgres_dsn("booking")) as connection:
        connection.execute("lock table roster_offsets in share row exclusive mode")
        signed = await stage.ask("create-artist", "/v1/artists", {"name": "Late Arrival"})
        booked = asyncio.create_task(stage.book(signed.answered["id"]))
        await asyncio.wait({booked}, timeout=1)  # whoever waits for the roster has not answered by then
    await booked


def _all_published(stage: Stage) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return stage.published() == stage.heads(stage.tenant)["booking"]

    return look


DRILLS: Final[Mapping[str, Callable[[Stage, str], Awaitable[None]]]] = {
    "ordinary": _no_fault,
    "killed-in-hand": _killed_in_hand,
    "redelivered": _redelivered,
    "decided-together": _decided_together,
    "kafka-killed": _kafka_killed,
    "roster-behind": _roster_behind,
}


async def perform(stage: Stage, *drills: str) -> None:
    """Do the ordinary work, then these drills, and let everybody hear of it."""
    artist = await stage.ordinary()
    after = stage.heads(stage.tenant)
    for name in drills:
        await DRILLS[name](stage, artist)
    if after != stage.heads(stage.tenant):
        await stage.finish(after)
    await until(_all_published(stage), "everything is published")


def mutate(system: System, name: str | None) -> None:
    """Start the instances anew that are not as they should be: mutated, or as they are written."""
    anew: list[Instance] = []
    for place, old in enumerate(system.services.instances):
        service = old.module[-1]
        mutated = name is not None and MUTATIONS[name].service == service
        module = ["local_stack.chaos.mutant", str(name), service] if mutated else [service]
        if module != old.module:
            old.stop()
            instance = Instance(old.name, module, port=old.port, environment=old.environment, log=old.log)
            system.services.instances[place] = instance
            instance.begin()
            anew.append(instance)
    wait_until_ready(anew)
