"""The command line: `python -m local_stack.demo`."""

import argparse
import asyncio
import os
import sys
import time
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import socketio.exceptions
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.markup import escape

from local_stack.clerk import local_clerk
from local_stack.clients.caller import UnexpectedAnswerError, http_session
from local_stack.clients.topic import Topic
from local_stack.demo import calendar
from local_stack.demo.cast import Addresses, Agency, Person
from local_stack.demo.people import Membership
from local_stack.demo.stage import NotAsToldError, Stage
from local_stack.demo.story import Story
from local_stack.demo.tour import read_concerts
from local_stack.port import HOST, Ports
from local_stack.visitor import downstream

EVENTS_TOPIC = "booking.events.v1"


def read_arguments() -> argparse.Namespace:
    """Read the command line; the defaults are the local stack's addresses."""
    ports = Ports.from_environment()
    parser = argparse.ArgumentParser(prog="python -m local_stack.demo", description="Play a story on the system.")
    parser.add_argument("--gateway", default=f"http://{HOST}:{ports.gateway}", help="URL (default: %(default)s)")
    parser.add_argument("--notifications", default=f"http://{HOST}:{ports.notifications}", help="URL (%(default)s)")
    parser.add_argument("--issuer", default=f"http://{HOST}:{ports.issuer}", help="its URL (%(default)s)")
    parser.add_argument("--kafka", default=f"{HOST}:{ports.kafka}", help="bootstrap server (%(default)s)")
    parser.add_argument("--concerts", type=int, help="book only so many of the concerts (default: all)")
    parser.add_argument(
        "--webhook-secret",
        default=os.environ.get("CLERK_WEBHOOK_SECRET"),
        help="of the gateway (default: $CLERK_WEBHOOK_SECRET, else the local stack's)",
    )
    parser.add_argument("--at-once", type=float, default=1.0, help="seconds that are at once (default: %(default)s)")
    parser.add_argument("--in-flight", type=int, default=32, help="requests under way at once (%(default)s)")
    return parser.parse_args()


async def play(arguments: argparse.Namespace, stage: Stage) -> None:
    """Play every scene.

    Raises:
        NotAsToldError: something was not as told.
    """
    at = Addresses(
        gateway=arguments.gateway,
        notifications=arguments.notifications,
        issuer=arguments.issuer,
    )
    tenant = f"demo_{time.time_ns() // 1_000_000:x}"
    stage.tell(f"Each performance is a tenant of its own: this one is {tenant}, an organisation nobody knew before.")
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(http_session())
        topic = await stack.enter_async_context(Topic(downstream(arguments.kafka), EVENTS_TOPIC))
        await topic.from_here()
        agency = Agency(tenant, at, session)

        stage.scene("Two people watch")
        ana, ben = await agency.person("Ana", "admin"), await agency.person("Ben", "member")
        for person in (ana, ben):
            await stack.enter_async_context(person.watcher)
            stage.speak(person.name, f"is connected; the server says ready, of tenant {_tenant_id(person)}")
        artist, cleo = await _tell_the_story(stage, Story(stage, agency, ana, ben), stack)
        told = await local_clerk(session, at.gateway, arguments.webhook_secret)
        await _come_and_go(stage, Membership(stage, agency, ana, told, at_once=arguments.at_once), artist)
        cast = [ana, ben, cleo]
        await _book_thirty_years(stage, cast, topic, arguments)


async def _come_and_go(stage: Stage, membership: Membership, artist: Any) -> None:  # noqa: ANN401 - JSON
    stage.scene("An agent comes, and goes")
    dan = await membership.invite("Dan", "member")
    booking = await membership.book(dan, artist)
    await membership.remove(dan, booking)


async def _tell_the_story(stage: Stage, story: Story, stack: AsyncExitStack) -> tuple[Any, Person]:
    stage.scene("An artist joins the roster")
    artist = await story.add_artist("The Velvet Foxes", "Europe/Berlin")
    stage.scene("Two people race for the same night")
    booking = await story.race(artist)
    stage.scene("A pencil becomes a deal")
    await story.confirm(booking)
    stage.scene("What is agreed is not for everybody")
    await story.agree(booking)
    stage.scene("A third comes late")
    cleo = await story.come_late()
    stack.push_async_callback(cleo.watcher.disconnect)
    return artist, cleo


async def _book_thirty_years(stage: Stage, cast: list[Person], topic: Topic, arguments: argparse.Namespace) -> None:
    ana = cast[0]
    concerts = read_concerts()[: arguments.concerts]
    stage.scene(f"Thirty years of one band: {len(concerts)} concerts of the Grateful Dead")
    stage.tell(
        f"  From {concerts[0].venue} on {concerts[0].day} to {concerts[-1].venue} on {concerts[-1].day}: "
        "one a date, 20:00 to 23:30 where the venue stands."
    )
    words = {"name": "Grateful Dead", "time_zone": "America/Los_Angeles"}
    band = await ana.caller.make("/v1/artists", **words)
    before = (await ana.caller.events())[-1]["position"]
    with stage.progress() as progress:
        booked = await calendar.book(ana.caller, band["id"], concerts, in_flight=arguments.in_flight, progress=progress)
    for person in cast:
        await person.watcher.reached("booking", booked[-1].position)
    counts = {
        "GET /v1/bookings, paged": await calendar.in_the_list(ana.caller, band["id"]),
        "GET /v1/events, the store": await calendar.in_the_store(ana.caller, band["id"], before),
        f"Kafka, {EVENTS_TOPIC}": await calendar.on_the_topic(topic, _tenant_id(ana), band["id"]),
    }
    counts |= {f"{person.name}'s socket": calendar.on_the_socket(person, band["id"]) for person in cast}
    calendar.compare(stage, concerts, booked, counts)


def _tenant_id(person: Person) -> str:
    return str(person.watcher.ready[0]["tenant_id"])


def main() -> int:
    """Play; give 0 when everything was as told."""
    arguments = read_arguments()
    console = Console(highlight=False)
    stage = Stage(console)
    try:
        asyncio.run(play(arguments, stage))
    except (NotAsToldError, UnexpectedAnswerError, TimeoutError, PermissionError) as failure:
        console.print(f"\n[bold red]Not as told:[/] {escape(str(failure))}", soft_wrap=True)
        return 1
    except (aiohttp.ClientError, socketio.exceptions.ConnectionError, KafkaError) as failure:
        console.print(f"\n[bold red]The system does not answer:[/] {escape(repr(failure))}", soft_wrap=True)
        console.print("Is it running? Start it with `make run`.")
        return 1
    except KeyboardInterrupt:
        console.print("\nThe performance was broken off.")
        return 130
    console.print("\n[bold green]Everything was as told.[/]")
    return 0


if __name__ == "__main__":
    sys.exit(main())
