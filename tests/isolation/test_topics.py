"""Every topic and every dead letter: whose each record is, and that nothing of another tenant is in it.

Who may read and write which topic is tried in ``tests/broker``.
"""

import asyncio
import json
from typing import Any
from uuid import UUID

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from tests.isolation.estates import Estate, NewEstate
from tests.isolation.rows import TOPICS
from tests.poison.mail import Tool, book, command, publish, recorded

from local_stack.clients.topic import Topic
from local_stack.environment import NAMESPACE
from local_stack.system import SystemAddresses
from production_contracts.dead_letters import PREFIX
from production_contracts.members import Member, person_id
from production_contracts.sealed import sensitive_fields
from production_contracts.topics import ALL_TOPICS, BOOKING_COMMANDS, DEAD_LETTER_TOPICS

DEAD = {topic.name for topic in DEAD_LETTER_TOPICS}
SENSITIVE = sensitive_fields(Member)


async def test_every_topic_has_a_row_and_every_row_a_topic(system: SystemAddresses) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=system.engines.kafka_bootstrap)
    await admin.start()
    try:
        found = await admin.list_topics()
    finally:
        await admin.close()
    assert {name for name in found if not name.startswith("__")} == TOPICS.keys()
    assert TOPICS.keys() == {topic.name for topic in ALL_TOPICS}


async def records(system: SystemAddresses, topic: str) -> list[Any]:
    async with Topic(system.engines.kafka_bootstrap, topic) as reading:
        return await reading.raw()


def said(record: Any) -> str:  # noqa: ANN401 - aiokafka ships no types
    headers = [f"{name}: {(value or b'').decode(errors='replace')}" for name, value in record.headers]
    return "\n".join([*headers, (record.value or b"").decode(errors="replace")])


def is_of_a_person(record: Any) -> bool:  # noqa: ANN401 - aiokafka ships no types
    """Whether it is of a person, who belongs to no tenant and stands under a key of their own; names are sealed."""
    if not dict(record.headers)["ce_type"].startswith(b"production.person."):
        return False
    data = json.loads(record.value)["data"]
    is_own = record.key == str(person_id(UUID(NAMESPACE), data["sub"])).encode()
    return is_own and all(set(data[field]) == {"kid", "ct"} for field in SENSITIVE if data.get(field) is not None)


@pytest.mark.parametrize("topic", [name for name, keyed in TOPICS.items() if keyed == "tenant"])
async def test_each_record_is_of_the_tenant_that_its_key_names_and_speaks_of_no_other(
    topic: str, system: SystemAddresses, new_estate: NewEstate
) -> None:
    mine, theirs = await new_estate(), await new_estate()  # of whose ids nobody else has asked
    for estate in (mine, theirs):
        await estate.more()
    counts = dict.fromkeys((mine.word, theirs.word), 0)
    for record in await records(system, topic):
        for estate, other in ((mine, theirs), (theirs, mine)):
            if record.key == estate.ids.tenant.encode():
                counts[estate.word] += 1
                assert dict(record.headers)["ce_tenantid"] == record.key
                assert other.left_in(said(record)) == set()
            elif record.key != other.ids.tenant.encode() and not is_of_a_person(record):
                assert estate.left_in(said(record)) == set()
    assert min(counts.values()) > 0, "a topic on which nothing is said proves nothing"


@pytest.fixture(scope="module")
async def letters(mine: Estate, theirs: Estate) -> dict[str, Any]:
    """A dead letter of each of two tenants: a command of its own that can't be read."""
    found = {}
    for estate in (mine, theirs):
        asked = command(estate.tenant, book({"id": estate.ids.artist}, 20, title=f"Broken {estate.word}"))
        good = recorded(asked)
        await publish(estate.tenant, recorded(asked, value=good.value.replace(b'"pencil"', b'"crayon"')))
        (found[estate.word],) = await Tool(estate.tenant, "booking").when_there(1)
    return found


async def test_a_dead_letter_is_under_its_tenants_key_with_no_header_but_its_own_and_why(
    letters: dict[str, Any], system: SystemAddresses, mine: Estate, theirs: Estate
) -> None:
    dead = await records(system, BOOKING_COMMANDS.dead_letters)
    for estate, other in ((mine, theirs), (theirs, mine)):
        (record,) = [one for one in dead if one.key == estate.ids.tenant.encode()]
        headers = dict(record.headers)
        assert headers["ce_tenantid"] == estate.ids.tenant.encode()
        assert {name for name in headers if name.startswith(PREFIX)} == {
            f"{PREFIX}{name}" for name in ("reason", "topic", "partition", "offset", "time", "service")
        }
        assert other.left_in(said(record)) == set()
        assert estate.word not in headers[f"{PREFIX}reason"].decode(), "why, and not what was written"
        assert estate.word in (record.value or b"").decode()


async def test_the_tool_shows_one_tenants_letters_to_who_asks_for_one(
    letters: dict[str, Any], mine: Estate, theirs: Estate
) -> None:
    tool = Tool(mine.tenant, "booking")
    listed, shown = await asyncio.gather(
        tool("list", "--json", "--tenant", mine.ids.tenant), tool("show", str(letters[theirs.word].origin))
    )
    assert [json.loads(line)["tenant"] for line in listed.out.splitlines()] == [mine.ids.tenant]
    assert mine.word not in listed.out, "a list says why and where, and nothing that was written"
    assert theirs.left_in(listed.out + listed.err) == set()
    assert theirs.word in shown.out
    assert mine.left_in(shown.out + shown.err) == set()


@pytest.mark.parametrize("topic", sorted(DEAD | {name for name in TOPICS if TOPICS[name] == "letter"}))
async def test_no_letter_under_a_tenants_key_holds_anything_of_another(
    topic: str, letters: dict[str, Any], system: SystemAddresses, mine: Estate, theirs: Estate
) -> None:
    for record in await records(system, topic):
        for estate in (mine, theirs):
            if record.key != estate.ids.tenant.encode():
                assert estate.left_in(said(record)) == set()
