"""A downstream team: its own calendar, by the example that stands beside the contracts, is that of the gateway."""

import ast
import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event

from local_stack.checkout import ROOT
from local_stack.clients.caller import expect
from local_stack.clients.nights import night
from local_stack.clients.tenant import Tenant
from local_stack.clients.topic import Topic
from local_stack.clients.waiting import until

EXAMPLE = ROOT / "contracts" / "examples" / "consume_bookings.py"
TOPIC = "booking.events.v1"
Rows = dict[str, tuple[Any, ...]]


@asynccontextmanager
async def following(calendar: Path, *tenants: Tenant, gently: bool = True) -> AsyncIterator[None]:
    """Run the example as its own process; it is told to stop, or killed."""
    at = tenants[0].at
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLE), "--calendar", str(calendar)),
        *("--gateway", at.gateway_url, "--kafka", at.downstream.bootstrap),
        env=os.environ
        | {"TOKENS": " ".join(tenant.token(role="viewer") for tenant in tenants)}
        | {"KAFKA_USERNAME": at.downstream.username or "", "KAFKA_PASSWORD": at.downstream.password or ""},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield
        assert running.returncode is None, "it has stopped by itself"
    finally:
        if running.returncode is None:
            running.send_signal(signal.SIGTERM if gently else signal.SIGKILL)
        _, said = await running.communicate()
        sys.stderr.write(said.decode())
    assert running.returncode == (0 if gently else -signal.SIGKILL)


def kept(calendar: Path, tenant: Tenant) -> tuple[int, Rows]:
    """Read how far the calendar is, and what it holds."""
    try:
        with closing(sqlite3.connect(f"file:{calendar}?mode=ro", uri=True)) as db:
            position = db.execute("select position from positions where tenant_id = ?", [str(tenant.id)]).fetchone()
            rows = db.execute("select * from bookings where tenant_id = ?", [str(tenant.id)]).fetchall()
    except sqlite3.OperationalError:  # no file or no table yet
        return 0, {}
    return position[0] if position else 0, {row[1]: row[2:] for row in rows}


async def truth(tenant: Tenant) -> tuple[int, Rows]:
    """Read the same from the gateway."""
    answer = expect(await tenant.caller().get("/v1/bookings", {"limit": 200}), 200)
    fields = ("artist_id", "start_time", "end_time", "status", "title")
    rows = {booking["id"]: tuple(booking[name] for name in fields) for booking in answer.body["items"]}
    return int(answer.headers["Position"]), rows


async def caught_up(calendar: Path, *tenants: Tenant) -> None:
    """Wait until the calendar is that of the gateway."""
    for tenant in tenants:
        position, rows = await truth(tenant)

        async def same(tenant: Tenant = tenant, expected: tuple[int, Rows] = (position, rows)) -> bool:
            return kept(calendar, tenant) == expected

        await until(same, f"the calendar of {tenant.name} is at {position}")


SAID: dict[str, Any] = {
    "notes": "for the crew",
    "contact": {"name": "Ana"},
    "fee": {"amount": 150_000, "currency": "EUR"},
}


async def live(tenant: Tenant, artist: dict[str, Any], first: int) -> None:
    """Let something of everything happen to three nights."""
    caller = tenant.caller()
    made = [await tenant.booking(artist, number, **SAID) for number in range(first, first + 3)]
    expect(await caller.post(f"/v1/bookings/{made[0]['id']}/confirm"), 200)
    expect(await caller.patch(f"/v1/bookings/{made[0]['id']}", {"title": "Renamed"}), 200)
    expect(await caller.post(f"/v1/bookings/{made[1]['id']}/cancel", {"reason": "rain"}), 200)
    expect(await caller.post(f"/v1/bookings/{made[2]['id']}/reschedule", night(first + 1)), 200)


async def test_a_calendar_is_begun_kept_and_gone_on_with_after_a_stop_and_a_kill(
    new_tenant: Callable[[], Tenant], tmp_path: Path
) -> None:
    followed, stranger = [new_tenant(), new_tenant()], new_tenant()
    artists = {tenant.name: await tenant.artist() for tenant in (*followed, stranger)}
    for tenant in (*followed, stranger):
        await live(tenant, artists[tenant.name], 0)
    calendar = tmp_path / "calendar.db"

    async with following(calendar, *followed):
        await asyncio.gather(*(live(tenant, artists[tenant.name], 10) for tenant in followed))
        await caught_up(calendar, *followed)
    await live(followed[0], artists[followed[0].name], 20)
    async with following(calendar, *followed, gently=False):
        await live(followed[1], artists[followed[1].name], 30)
    async with following(calendar, *followed):
        await live(followed[1], artists[followed[1].name], 40)
        await caught_up(calendar, *followed)

    position, rows = kept(calendar, followed[0])
    assert (position, len(rows)) == (21, 9)
    assert kept(calendar, stranger) == (0, {})


async def test_what_the_topic_repeats_and_what_is_new_to_the_calendar_change_nothing(
    tenant: Tenant, tmp_path: Path
) -> None:
    await live(tenant, await tenant.artist(), 0)
    calendar = tmp_path / "calendar.db"
    async with Topic(tenant.at.downstream, TOPIC) as topic:
        events = await topic.of_tenant(tenant.id)
    producer = AIOKafkaProducer(bootstrap_servers=tenant.at.engines.kafka_bootstrap)
    await producer.start()
    try:
        async with following(calendar, tenant):
            await caught_up(calendar, tenant)
            for published in events[:3]:
                for kind in (published.headers["ce_type"], "production.booking.praised.v1"):
                    told = {**published.headers, "ce_type": kind}
                    headers = [(name, value.encode()) for name, value in told.items()]
                    await producer.send_and_wait(TOPIC, published.value, key=published.key.encode(), headers=headers)
            await tenant.booking(await tenant.artist("Another"), 50)
            await caught_up(calendar, tenant)
    finally:
        await producer.stop()


async def test_a_record_on_the_topic_is_a_cloudevent(tenant: Tenant) -> None:
    booking = await tenant.booking(await tenant.artist())
    async with Topic(tenant.at.downstream, TOPIC) as topic:
        [published] = await topic.of_tenant(tenant.id)
    headers = {name: value.encode() for name, value in published.headers.items()}
    event = from_binary_event(KafkaMessage(headers=headers, key=published.key, value=published.value))
    assert (event.get_type(), event.get_subject()) == ("production.booking.created.v1", booking["id"])
    assert event.get_data() == published.event


def test_the_example_needs_the_contracts_a_kafka_client_and_an_http_client_alone() -> None:
    tree = ast.parse(EXAMPLE.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    others = {name.split(".")[0] for name in imported} - sys.stdlib_module_names
    assert others == {"production_contracts", "aiokafka", "aiohttp"}
