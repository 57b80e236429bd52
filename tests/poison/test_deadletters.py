"""Operators decide on dead letters: each is sent again or given up, once, in order, on the record."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from tests.poison.mail import Tool, book, command, hire, location, publish, recorded, status

from local_stack.clients.tenant import Tenant
from local_stack.clients.topic import Topic
from production_contracts.dead_letters import DeadLetterDecision
from production_contracts.envelope import KafkaRecord
from production_contracts.topics import BOOKING_COMMANDS, BOOKING_EVENTS, DEAD_LETTER_AUDIT, TENANCY_EVENTS


@pytest.fixture
def tool(tenant: Tenant) -> Tool:
    return Tool(tenant, "booking")


async def audit(tenant: Tenant) -> list[DeadLetterDecision]:
    """Read what stands on the record under a tenant's key."""
    async with Topic(tenant.at.engines.kafka_bootstrap, DEAD_LETTER_AUDIT.name) as topic:
        lines = [record for record in await topic.raw() if record.key == str(tenant.id).encode()]
    return [DeadLetterDecision.model_validate_json(line.value) for line in lines]


async def copies(tenant: Tenant, topic_name: str) -> list[bytes]:
    """Read all values that stand on a topic under a tenant's key."""
    async with Topic(tenant.at.engines.kafka_bootstrap, topic_name) as topic:
        return [record.value for record in await topic.raw() if record.key == str(tenant.id).encode()]


async def test_a_dead_command_is_pending_until_it_is_mended_and_sent_again_once(
    tenant: Tenant, tool: Tool, tmp_path: Path
) -> None:
    artist = await tenant.artist()
    asked = command(tenant, book(artist))
    good = recorded(asked)
    await publish(tenant, recorded(asked, value=good.value.replace(b'"pencil"', b'"crayon"')))
    (letter,) = await tool.when_there(1)
    listed = json.loads((await tool("list", "--json", "--tenant", str(tenant.id))).out)
    assert "the value does not fit its type" in listed["reason"]
    assert (listed["origin"], listed["id"], listed["type"]) == (str(letter.origin), str(asked.id), asked.type.name)
    assert (listed["by"], listed["times"]) == (["booking"], 1)
    shown = json.loads((await tool("show", str(letter.origin))).out)
    assert shown["value"]["data"]["status"] == "crayon"
    assert [name for name, _ in shown["headers"]] == [name for name, _ in good.headers]
    assert await status(tenant, asked) == "pending"

    mended = tmp_path / "mended.json"
    mended.write_bytes(good.value)
    done = await tool.decide("redrive", str(letter.origin), "--value", str(mended))
    assert done.code == 0, done.err
    outcome = await tenant.caller().decided(location(tenant, asked))
    assert (outcome["status"], outcome["outcome"]["body"]["id"]) == ("accepted", str(asked.aggregate_id))
    assert await tool.letters() == []

    again = await tool.decide("redrive", str(letter.origin))
    assert again.code == 1
    assert f"{letter.origin} was redriven by olga" in again.err
    (line,) = await audit(tenant)
    assert (line.action, line.operator, line.service, str(line.origin)) == (
        "redriven",
        "olga",
        "booking",
        str(letter.origin),
    )
    assert (line.command_id, line.mended) == (str(asked.id), hashlib.sha256(good.value).hexdigest())
    assert len(await tenant.caller().every("/v1/bookings")) == 1


async def test_a_discarded_command_is_rejected_and_its_key_remembered(tenant: Tenant, tool: Tool) -> None:
    artist = await tenant.artist()
    asked = command(tenant, book(artist, title="a\0b"), key="key-1")
    await publish(tenant, recorded(asked))
    (letter,) = await tool.when_there(1)
    assert await status(tenant, asked) == "pending"
    done = await tool.decide("discard", str(letter.origin))
    assert done.out.splitlines() == [
        f"{letter.origin} discarded: command {asked.id} is rejected",
        "1 discarded",
    ]
    outcome = await tenant.caller().decided(location(tenant, asked))
    assert (outcome["status"], outcome["outcome"]["status"]) == ("rejected", 504)
    assert outcome["outcome"]["body"]["type"] == "/problems/expired"
    assert "an operator discarded it" in outcome["outcome"]["body"]["detail"]

    same_key = command(tenant, book(artist), key="key-1")
    await publish(tenant, recorded(asked), recorded(same_key))
    remembered = await tenant.caller().decided(location(tenant, same_key))
    assert remembered["outcome"] == outcome["outcome"]
    assert await tenant.caller().every("/v1/bookings") == []
    assert await tool.letters() == [], "a command that has its outcome is poison no more"
    (line,) = await audit(tenant)
    assert (line.action, line.command_id) == ("discarded", str(asked.id))


async def test_a_command_whose_value_says_nothing_is_rejected_by_its_headers(tenant: Tenant, tool: Tool) -> None:
    asked = command(tenant, book(await tenant.artist()))
    await publish(tenant, recorded(asked, value=b"\xff{"))
    (letter,) = await tool.when_there(1)
    assert (await tool.decide("discard", str(letter.origin))).code == 0
    assert await status(tenant, asked) == "rejected"


async def test_no_letter_overtakes_an_earlier_one_of_its_key(tenant: Tenant, tool: Tool) -> None:
    artist = await tenant.artist()
    asked = [command(tenant, book(artist, number), expires_in_s=-1) for number in range(3)]
    first, second, third = (recorded(one, value=b"{" + str(n).encode()) for n, one in enumerate(asked))
    await publish(tenant, first, second, third)
    letters = await tool.when_there(3)
    assert [letter.header("ce_id") for letter in letters] == [str(one.id) for one in asked]
    refused = await tool.decide("redrive", str(letters[1].origin))
    assert refused.code == 1
    assert f"{letters[1].origin} would overtake {letters[0].origin} of the same key" in refused.err
    assert len(await tool.letters()) == 3

    assert (await tool.decide("discard", str(letters[0].origin))).code == 0
    both = await tool.decide("redrive", "--all", "--tenant", str(tenant.id))
    assert both.code == 0, both.err
    assert (await copies(tenant, BOOKING_COMMANDS.name))[-2:] == [second.value, third.value]
    again = await tool.when_there(2)
    assert [letter.header("ce_id") for letter in again] == [str(one.id) for one in asked[1:]], (
        "still poison, and new letters"
    )
    assert [(line.action, line.command_id) for line in await audit(tenant)] == [
        ("discarded", str(asked[0].id)),
        ("redriven", str(asked[1].id)),
        ("redriven", str(asked[2].id)),
    ]


async def test_of_operators_at_the_same_time_one_sends_a_letter(tenant: Tenant, tool: Tool) -> None:
    asked = command(tenant, book(await tenant.artist()))
    await publish(tenant, recorded(asked, value=b"{ twice"))
    (letter,) = await tool.when_there(1)
    done = await asyncio.gather(*(tool.decide("redrive", str(letter.origin)) for _ in range(4)))
    assert sorted(one.code for one in done) == [0, 1, 1, 1], [one.err for one in done]
    assert await copies(tenant, BOOKING_COMMANDS.name) == [b"{ twice"] * 2
    assert len(await audit(tenant)) == 1


async def test_a_command_sent_again_past_its_time_is_expired(tenant: Tenant, tool: Tool, tmp_path: Path) -> None:
    asked = command(tenant, book(await tenant.artist()), expires_in_s=-1)
    await publish(tenant, recorded(asked, value=b"{"))
    (letter,) = await tool.when_there(1)
    mended = tmp_path / "mended.json"
    mended.write_bytes(recorded(asked).value)
    assert (await tool.decide("redrive", str(letter.origin), "--value", str(mended))).code == 0
    outcome = await tenant.caller().decided(location(tenant, asked))
    assert outcome["outcome"]["body"]["type"] == "/problems/expired"
    assert await tenant.caller().every("/v1/bookings") == []


async def test_what_a_tool_did_not_finish_is_never_seen(tenant: Tenant, tool: Tool) -> None:
    artist = await tenant.artist()
    torn, after = command(tenant, book(artist)), command(tenant, book(artist, 1))
    producer = AIOKafkaProducer(
        bootstrap_servers=tenant.at.engines.kafka_bootstrap, transactional_id=f"test-{tenant.id}", acks="all"
    )
    async with producer:
        await producer.begin_transaction()
        record = recorded(torn)
        await producer.send_and_wait(record.topic, record.value, key=record.key, headers=record.headers)
        await producer.abort_transaction()
    await publish(tenant, recorded(after))
    assert (await tenant.caller().decided(location(tenant, after)))["status"] == "accepted"
    assert await status(tenant, torn) == "pending"
    assert len(await tenant.caller().every("/v1/bookings")) == 1


async def test_tenancy_has_the_same_tool(tenant: Tenant) -> None:
    tool, asked = Tool(tenant, "tenancy"), command(tenant, hire("a\0b"))
    await publish(tenant, recorded(asked))
    (letter,) = await tool.when_there(1)
    assert await status(tenant, asked) == "pending"
    assert (await tool.decide("discard", str(letter.origin))).code == 0
    assert (await tenant.caller().decided(location(tenant, asked)))["status"] == "rejected"
    assert await tenant.caller().every("/v1/artists") == []


async def test_an_event_is_sent_again_as_it_is_or_given_up_and_the_roster_is_not_behind(
    tenant: Tenant, tmp_path: Path
) -> None:
    tool = Tool(tenant, "notifications")
    key = str(tenant.id).encode()
    for topic in (TENANCY_EVENTS.name, BOOKING_EVENTS.name):
        await publish(tenant, KafkaRecord(topic=topic, key=key, value=b"{", headers=[("ce_type", b"\xff")]))
    of_booking, of_tenancy = await tool.when_there(2)
    file = tmp_path / "mended.json"
    file.write_bytes(b"{}")
    refused = await tool.decide("redrive", str(of_tenancy.origin), "--value", str(file))
    assert (refused.code, "an event says what its service has stored" in refused.err) == (1, True)
    assert (await tool.decide("discard", str(of_booking.origin))).code == 0
    assert (await tool.decide("redrive", str(of_tenancy.origin))).code == 0
    # The marker behind what was sent again takes an offset that no record of the roster will ever have.
    booking = await tenant.booking(await tenant.artist())
    assert booking["status"] == "pencil"
    (again,) = await tool.when_there(1)
    assert again.origin != of_tenancy.origin
    (line, other) = sorted(await audit(tenant), key=lambda line: line.action)
    assert (line.action, other.action, line.command_id) == ("discarded", "redriven", None)


async def test_the_tool_says_what_it_does_not_do(tool: Tool) -> None:
    nowhere = f"{BOOKING_COMMANDS.name}/0/123456789"
    for words, said in (
        (("redrive", nowhere), "is no dead letter of this service"),
        (("redrive",), "name the letters, or all of them"),
        (("discard", nowhere, "--all"), "name the letters, or all of them"),
        (("redrive", "--all", "--value", "/dev/null"), "--value mends one letter"),
    ):
        done = await tool.decide(*words)
        assert (done.code, said in done.err) == (1, True), done.err
    anonymous = await tool("redrive", nowhere)
    assert (anonymous.code, "--operator" in anonymous.err) == (2, True)
