"""Each socket is sent each event past its position once, in order, whatever is lost or repeated on the way."""

import asyncio
import random
from datetime import datetime
from uuid import uuid4

import pytest

from notifications.application.hub import DELIVERY_SECONDS
from notifications.domain.positions import LiveEvent
from notifications.testing.memory import OCCURRED, live_event
from notifications.testing.stage import Stage
from notifications.testing.waiting import until
from servicekit import clock


async def test_a_socket_that_begins_now_is_sent_what_happens_from_now_on(stage: Stage) -> None:
    await stage.recent.publish(stage.happen(3))
    await (await stage.sit(await stage.instance(), "ana"))
    await stage.recent.publish(stage.happen(2))
    await stage.until_sent("ana", "booking", [4, 5])


async def test_a_socket_goes_on_from_where_it_was(stage: Stage) -> None:
    await stage.recent.publish(stage.happen(30))
    await stage.sit(await stage.instance(), "ana", after={"booking": 11})
    await stage.until_sent("ana", "booking", range(12, 31))


async def test_what_is_no_longer_recent_comes_from_the_owner(stage: Stage) -> None:
    stage.happen(1_200)
    await stage.recent.publish(stage.happen(300))
    await stage.sit(await stage.instance(), "ana", after={"booking": 100})
    await stage.until_sent("ana", "booking", range(101, 1_501))


async def test_joining_while_events_flow_misses_and_repeats_nothing(stage: Stage) -> None:
    hubs = await stage.instance()
    batches = [stage.happen(random.randint(1, 7), random.choice(["booking", "tenancy"])) for _ in range(150)]

    async def flow() -> None:
        for batch in batches:
            await stage.recent.publish(batch)
            await asyncio.sleep(0)

    flowing = asyncio.create_task(flow())
    for index in range(20):
        await stage.sit(hubs, f"socket-{index}", after={"booking": index, "tenancy": 0})
        await asyncio.sleep(0.002)
    await flowing
    for index in range(20):
        for stream, after in (("booking", index), ("tenancy", 0)):
            expected = range(after + 1, stage.owners.positions[stage.tenant_id, stream] + 1)
            await stage.until_sent(f"socket-{index}", stream, expected)


async def test_repeats_are_sent_once(stage: Stage) -> None:
    hubs = await stage.instance()
    await (await stage.sit(hubs, "ana"))
    batch = stage.happen(5)
    for _ in range(3):
        await stage.recent.publish(batch)
    hubs.receive(stage.tenant_id, batch[stage.tenant_id, "booking"])
    await stage.recent.publish(stage.happen())
    await stage.until_sent("ana", "booking", [1, 2, 3, 4, 5, 6])


async def test_how_long_delivery_took_is_measured_of_what_is_passed_on_and_not_of_what_is_caught_up_on(
    stage: Stage,
) -> None:
    def measured() -> tuple[float, float]:
        told = [
            one for family in DELIVERY_SECONDS.collect() for one in family.samples if one.labels["stream"] == "booking"
        ]
        count, total = (sum(one.value for one in told if one.name.endswith(end)) for end in ("_count", "_sum"))
        return count, total

    hubs = await stage.instance()
    await stage.recent.publish(stage.happen(5))
    await (await stage.sit(hubs, "ana", after={"booking": 0}))
    before, waited = measured()
    await (await stage.sit(hubs, "ben", after={"booking": 2}))
    assert measured() == (before, waited)
    await stage.recent.publish(stage.happen(2))
    await stage.until_sent("ben", "booking", [3, 4, 5, 6, 7])
    count, total = measured()
    assert count == before + 2, "once per event, however many sockets"
    assert (total - waited) / 2 == pytest.approx(
        (clock.now() - datetime.fromisoformat(OCCURRED)).total_seconds(), abs=300
    )


async def test_what_comes_in_any_order_is_sent_in_order(stage: Stage) -> None:
    hubs = await stage.instance()
    await (await stage.sit(hubs, "ana"))
    events = list(stage.happen(40)[stage.tenant_id, "booking"])
    random.shuffle(events)
    for event in events:
        hubs.receive(stage.tenant_id, [event])
        await asyncio.sleep(0)
    await stage.until_sent("ana", "booking", range(1, 41))


async def test_what_was_not_told_is_found_by_the_watch(stage: Stage) -> None:
    await (await stage.sit(await stage.instance(), "ana"))
    await stage.recent.publish(stage.happen(2))
    await stage.publish_untold(stage.happen(3))
    await stage.until_sent("ana", "booking", [1, 2, 3, 4, 5])


async def test_what_was_not_told_and_then_flushed_is_found_by_the_watch(stage: Stage) -> None:
    await (await stage.sit(await stage.instance(), "ana"))
    await stage.recent.publish(stage.happen(2))
    await stage.until_sent("ana", "booking", [1, 2])
    await stage.publish_untold(stage.happen(3))
    await stage.flush(stage.tenant_id)
    await stage.until_sent("ana", "booking", [1, 2, 3, 4, 5])


async def test_a_flush_in_the_middle_hides_nothing(stage: Stage) -> None:
    hubs = await stage.instance()
    await (await stage.sit(hubs, "ana"))
    for _ in range(5):
        await stage.recent.publish(stage.happen(4))
        await stage.flush(stage.tenant_id)
        stage.happen(2)
        await stage.recent.publish(stage.happen(1))
    await stage.sit(hubs, "ben", after={"booking": 0})
    for sid in ("ana", "ben"):
        await stage.until_sent(sid, "booking", range(1, 36))


async def test_a_socket_that_begins_ahead_of_its_hub_is_not_sent_what_it_has(stage: Stage) -> None:
    hubs = await stage.instance()
    await (await stage.sit(hubs, "ana"))
    untold = stage.happen(5)
    await (await stage.sit(hubs, "ben"))
    await stage.until_sent("ana", "booking", range(1, 6))
    await stage.recent.publish(untold)
    await stage.recent.publish(stage.happen(1))
    await stage.until_sent("ana", "booking", range(1, 7))
    await stage.until_sent("ben", "booking", [6])


async def test_every_instance_hands_on_every_event(stage: Stage) -> None:
    first, second = await stage.instance(), await stage.instance()
    await (await stage.sit(first, "ana"))
    await (await stage.sit(second, "ben"))
    await stage.recent.publish(stage.happen(10))
    for sid in ("ana", "ben"):
        await stage.until_sent(sid, "booking", range(1, 11))


async def test_tenants_are_never_mixed(stage: Stage) -> None:
    hubs = await stage.instance()
    tenants = [uuid4() for _ in range(4)]
    for tenant_id in tenants:
        await stage.sit(hubs, str(tenant_id), tenant_id, after={"booking": 0})
    for count in range(1, 20):
        batches = [stage.happen(count + index, tenant_id=tenant_id) for index, tenant_id in enumerate(tenants)]
        await stage.recent.publish({key: events for batch in batches for key, events in batch.items()})
    for tenant_id in tenants:
        expected = range(1, stage.owners.positions[tenant_id, "booking"] + 1)
        await stage.until_sent(str(tenant_id), "booking", expected)


async def test_an_instance_hears_a_tenant_only_while_it_has_sockets_of_it(stage: Stage) -> None:
    hubs = await stage.instance()
    await (await stage.sit(hubs, "ana"))
    hubs.leave("ana")
    assert len(hubs) == 0
    await stage.recent.publish(stage.happen(2))
    await (await stage.sit(hubs, "ben", after={"booking": 1}))
    await stage.recent.publish(stage.happen(1))
    await stage.until_sent("ben", "booking", [2, 3])
    assert stage.emitter.positions("ana", "booking") == []


async def test_a_socket_that_takes_nothing_any_more_is_closed_and_leaves(stage: Stage) -> None:
    hubs = await stage.instance()
    await (await stage.sit(hubs, "ana"))
    await (await stage.sit(hubs, "ben"))
    stage.emitter.gone.add("ana")
    await stage.recent.publish(stage.happen(2))
    await stage.until_sent("ben", "booking", [1, 2])
    assert stage.emitter.closed == ["ana"]
    assert len(hubs) == 1


async def test_a_socket_that_does_not_read_while_it_catches_up_is_closed(stage: Stage) -> None:
    hubs = await stage.instance()
    stage.happen(10)
    stage.emitter.stuck.add("ana")
    await (await stage.sit(hubs, "ana", after={"booking": 0}))
    assert stage.emitter.closed == ["ana"]
    assert len(hubs) == 0


async def test_an_owner_that_is_down_delays_and_loses_nothing(stage: Stage) -> None:
    hubs = await stage.instance()
    joining = await stage.sit(hubs, "ana")
    await joining
    stage.owners.down = True
    stage.happen(3)
    await stage.recent.publish(stage.happen(2))
    await until(lambda: len(stage.owners.asked) > 1, "the owner is asked again")
    assert stage.emitter.positions("ana", "booking") == []
    stage.owners.down = False
    await stage.until_sent("ana", "booking", [1, 2, 3, 4, 5])


async def test_an_event_that_tells_nothing_takes_its_position(stage: Stage) -> None:
    hubs = await stage.instance()
    await (await stage.sit(hubs, "ana"))
    stage.happen(3)
    events = [live_event("booking", 1), LiveEvent(stream="booking", position=2, payload=None), live_event("booking", 3)]
    await stage.recent.publish({(stage.tenant_id, "booking"): events})
    await stage.until_sent("ana", "booking", [1, 3])


async def test_a_position_that_the_owner_does_not_have_stops_nothing(stage: Stage) -> None:
    hubs = await stage.instance()
    await (await stage.sit(hubs, "ana"))
    hubs.receive(stage.tenant_id, [live_event("booking", 1_000)])
    await until(lambda: bool(stage.owners.asked), "the owner is asked")
    await stage.recent.publish(stage.happen(3))
    await stage.until_sent("ana", "booking", [1, 2, 3])
    assert len(stage.owners.asked) < 10


async def test_sockets_of_an_epoch_that_has_passed_are_sent_away(stage: Stage) -> None:
    hubs = await stage.instance()
    stage.happen(5)
    await (await stage.sit(hubs, "ana"))
    stage.owners.epochs["booking"] = "b2"
    stage.owners.positions[stage.tenant_id, "booking"] = 3
    await (await stage.sit(hubs, "ben"))
    assert stage.emitter.closed == ["ana"]
    await stage.recent.publish(stage.happen(1))
    await stage.until_sent("ben", "booking", [4])


async def test_nothing_is_fetched_any_more_once_the_hubs_have_stopped(stage: Stage) -> None:
    hubs = await stage.instance()
    await (await stage.sit(hubs, "ana"))
    await stage.publish_untold(stage.happen(3_000))
    beyond = [live_event("booking", 3_001)]
    hubs.receive(stage.tenant_id, beyond)
    fetching = [task for task in asyncio.all_tasks() if task.get_name().startswith("fill-")]
    await hubs.stop()
    assert fetching
    assert all(task.done() for task in fetching)
    assert len(hubs) == 0
