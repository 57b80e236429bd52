"""Replies: who waits is told, whatever else is on the partition."""

from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from gateway.adapters.replies import KafkaReplies, partition_of
from gateway.application.ports import CrowdedError
from production_contracts.envelope import reply_record
from production_contracts.outcomes import Outcome, Reply
from servicekit.clock import now
from servicekit.dead_letters import DeadLetters
from servicekit.kafka import Consumers, Record

TENANT, COMMAND = uuid4(), uuid4()


class FakeDeadLetters:
    def __init__(self) -> None:
        self.reasons: list[str] = []

    async def put(self, _record: Record, reason: str) -> None:
        self.reasons.append(reason)


class Rig:
    def __init__(self, capacity: int = 10) -> None:
        self.dead_letters = FakeDeadLetters()
        consumers = SimpleNamespace(assigned=lambda *_, **__: SimpleNamespace(consumer=None))
        self.replies = KafkaReplies(
            cast("Consumers", consumers), cast("DeadLetters", self.dead_letters), 3, capacity=capacity
        )


def received(command_id: UUID = COMMAND, tenant_id: UUID = TENANT, **changes: Any) -> Record:  # noqa: ANN401
    reply = Reply(command_id=command_id, outcome=Outcome(status=200, body={}), position=7)
    record = reply_record(
        reply, tenant_id=tenant_id, partition=3, source="booking", topic="gateway.replies.v1", now=now()
    )
    stated = {"key": record.key, "value": record.value, "headers": record.headers} | changes
    return cast("Record", SimpleNamespace(**stated))


async def test_who_waits_is_told() -> None:
    rig = Rig()
    with rig.replies.expecting(TENANT, COMMAND) as outcome:
        await rig.replies.handle([received(uuid4()), received(), received()])
        assert (await outcome).position == 7
    assert rig.replies.waiting == 0


async def test_a_reply_to_another_tenant_tells_nothing() -> None:
    rig = Rig()
    with rig.replies.expecting(TENANT, COMMAND) as outcome:
        await rig.replies.handle([received(tenant_id=uuid4())])
        assert not outcome.done()


async def test_one_that_can_not_be_read_is_put_aside_and_its_neighbours_go_on() -> None:
    rig = Rig()
    other = uuid4()
    with rig.replies.expecting(TENANT, COMMAND) as first, rig.replies.expecting(TENANT, other) as second:
        await rig.replies.handle([received(value=b"{"), received(headers=[]), received(key=None), received(other)])
        assert not first.done()
        assert second.done()
    assert rig.dead_letters.reasons == ["not a reply"]


async def test_a_reply_nobody_waits_for_any_more_is_ignored() -> None:
    rig = Rig()
    with rig.replies.expecting(TENANT, COMMAND):
        pass
    await rig.replies.handle([received(), received(value=b"{")])
    assert rig.dead_letters.reasons == []


async def test_there_is_room_for_so_many_and_it_is_given_back() -> None:
    rig = Rig(capacity=1)
    with rig.replies.expecting(TENANT, COMMAND), pytest.raises(CrowdedError), rig.replies.expecting(TENANT, uuid4()):
        pass
    with rig.replies.expecting(TENANT, uuid4()):
        pass


def test_a_replica_has_the_same_partition_after_a_restart() -> None:
    chosen = {partition_of(f"gateway-{number}", 12) for number in range(200)}
    assert chosen == set(range(12))
    assert partition_of("gateway-1", 12) == partition_of("gateway-1", 12)
