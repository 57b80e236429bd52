"""Many times the load that a gateway bears: it sheds, keeps what it took, stays small, and recovers by itself."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from local_stack.clients.caller import Answer, Caller, expect
from local_stack.clients.tenant import Tenant, wish
from local_stack.clients.waiting import until
from local_stack.part import Part
from local_stack.port import free_ports
from local_stack.services import Instance
from local_stack.system import System

PLACES = 24
WAITING = 16
CALLERS = 240
"""Ten times as many as the gateway has places."""
ASKED_BY_EACH = 4
MEGABYTES = 64
"""What each service may grow by: many times what `docs/reference/queues.md` comes to with these bounds."""


@pytest.fixture
def small(whole: System) -> Instance:
    """A gateway that bears little."""
    port = free_ports(1)[0]
    changes = {
        "REQUESTS_IN_HAND": str(PLACES),
        "WAITING_COMMANDS": str(WAITING),
        "WAIT_SECONDS": "5",
        "RATE_LIMIT_USER": "100000/second",
        "RATE_LIMIT_TENANT": "100000/second",
    }
    return whole.services.start("gateway", number=8, port=port, **changes)


async def gauge(session: aiohttp.ClientSession, instance: Instance, name: str) -> float:
    """Read a metric without labels."""
    async with session.get(f"{instance.url}/metrics") as response:
        families = list(text_string_to_metric_families(await response.text()))
    return next(sample.value for family in families for sample in family.samples if sample.name == name)


def resident(instance: Instance) -> float:
    """Tell the megabytes of memory that a process holds now."""
    status = Path(f"/proc/{instance.child.pid}/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]) / 1024


async def ask_much(caller: Caller, artists: list[dict[str, str]]) -> dict[int, Answer]:
    """Ask for many nights at once, each once; gives what was answered."""
    answers: dict[int, Answer] = {}

    async def keep_asking(first: int) -> None:
        for number in range(first, first + ASKED_BY_EACH):
            asked = wish(artists[number % len(artists)], number // len(artists))
            answers[number] = await caller.post("/v1/bookings", asked)

    await asyncio.gather(*(keep_asking(one * ASKED_BY_EACH) for one in range(CALLERS)))
    return answers


async def hold_outcomes(caller: Caller, answers: dict[int, Answer]) -> int:
    """Hold that each answer is one that is documented and that what was taken is booked, once; gives how many."""
    ids = set()
    for answer in answers.values():
        assert answer.status in {201, 202, 503}, str(answer)
        if answer.status == 503:
            assert answer.slug == "unavailable"
            assert int(answer.headers["Retry-After"]) > 0
        if answer.status == 201:
            ids.add(answer.body["id"])
        elif answer.status == 202 or "command_id" in answer.body:
            location = answer.headers.get("Location") or f"/v1/commands/{answer.body['command_id']}"
            decided = await caller.decided(location)
            assert (decided["status"], decided["outcome"]["status"]) == ("accepted", 201)
            ids.add(decided["outcome"]["body"]["id"])
    assert {booking["id"] for booking in await caller.every("/v1/bookings")} == ids
    assert [event["position"] for event in await caller.events()] == list(range(1, len(ids) + 1))
    return len(ids)


async def test_many_times_the_load_is_shed_and_what_was_taken_is_done_and_afterwards_all_is_as_before(
    tenant: Tenant, whole: System, small: Instance, session: aiohttp.ClientSession
) -> None:
    caller = tenant.caller(url=small.url)
    artists = [await tenant.artist(f"Artist {number}") for number in range(8)]
    before = {instance.name: resident(instance) for instance in whole.services.instances}
    async with tenant.watcher() as watcher:
        answers = await ask_much(caller, artists)
        statuses = Counter(answer.status for answer in answers.values())
        assert statuses[503] > 0, "it was no overload"
        assert statuses[201] > 0
        assert await gauge(session, small, "gateway_requests_shed_total") > 0
        answers[-1] = expect(await caller.post("/v1/bookings", wish(artists[0], 9_999)), 201)
        taken = await hold_outcomes(caller, answers)
        await watcher.reached("booking", taken)
        assert [heard.position for heard in watcher.of("booking")] == list(range(1, taken + 1))
    await idle_again(session, small)
    grown = {one.name: resident(one) - before[one.name] for one in whole.services.instances}
    assert {name: size for name, size in grown.items() if size > MEGABYTES} == {}


async def test_while_nothing_is_decided_reads_and_health_go_on_and_what_was_taken_is_decided_afterwards(
    tenant: Tenant, small: Instance, session: aiohttp.ClientSession, part: Callable[[str], Part]
) -> None:
    caller = tenant.caller(url=small.url)
    artists = [await tenant.artist(f"Artist {number}") for number in range(8)]
    part("booking").pause()
    asking = asyncio.create_task(ask_much(caller, artists))

    async def full() -> bool:
        return await gauge(session, small, "gateway_waiting_commands") == WAITING

    await until(full, "as many writes wait as may")

    async def read() -> Answer | None:
        answer = await caller.get("/v1/artists")
        return answer if answer.status == 200 else None

    assert len((await until(read, "a read of tenancy's while no write is decided")).body["items"]) == 8
    for path in ("/healthz", "/readyz"):
        async with session.get(small.url + path) as response:
            assert response.status == 200
    answers = await asking
    part("booking").resume()
    assert {answer.status for answer in answers.values()} == {202, 503}
    assert await hold_outcomes(caller, answers) > 0
    expect(await caller.post("/v1/bookings", wish(artists[0], 10_000)), 201)
    await idle_again(session, small)


async def idle_again(session: aiohttp.ClientSession, instance: Instance) -> None:
    """Wait until a gateway has nothing in hand and is ready."""
    for name in ("gateway_requests_in_hand", "gateway_waiting_commands"):

        async def nothing(name: str = name) -> bool:
            return await gauge(session, instance, name) == 0

        await until(nothing, f"{name} is 0 again")
    async with session.get(f"{instance.url}/readyz") as response:
        assert response.status == 200
