"""Commands in over Kafka, outcomes out, events on the topic."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import REGISTRY
from services.tenancy.tests.conftest import Service, ask, eventually

from production_contracts.commands import AmendArtist, ArchiveArtist, CreateArtist, CreateBooking
from production_contracts.envelope import KafkaRecord, ReceivedEvent, read_event, tenant_key
from production_contracts.roles import Role
from production_contracts.topics import PARTITIONS_LOCAL, TENANCY_COMMANDS, TENANCY_EVENTS
from servicekit.clock import now


async def _on_topic(service: Service, tenant: UUID) -> list[ReceivedEvent]:
    """Read what the topic holds of a tenant, up to its end now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=service.settings.kafka_bootstrap)
    await consumer.start()
    try:
        partitions = [TopicPartition(TENANCY_EVENTS.name, number) for number in range(PARTITIONS_LOCAL)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        found: list[ReceivedEvent] = []
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                events = [read_event(r.key, r.value, r.headers) for r in records if r.key == tenant_key(tenant)]
                found += [event for event in events if event is not None]
        return found
    finally:
        await consumer.stop()


async def test_the_first_command_of_a_new_tenant_founds_it_and_both_events_have_a_position(service: Service) -> None:
    reader = service.reader()
    reply = await service.desk.do(ask(reader.tenant_id, CreateArtist(name="Ana")))
    assert (reply.outcome.status, reply.outcome.body["position"], reply.position) == (201, 2, 2)
    _, page, _ = await reader.get("/v1/events")
    assert [(event["position"], event["type"], event["version"]) for event in page["items"]] == [
        (1, "TenantCreated", 1),
        (2, "ArtistCreated", 1),
    ]
    assert page["items"][1]["data"] == reply.outcome.body
    status, tenant, headers = await reader.get("/v1/tenant")
    assert (status, tenant, headers["Position"]) == (200, page["items"][0]["data"], "2")


async def test_a_refused_command_founds_no_tenant(service: Service) -> None:
    reader = service.reader()
    reply = await service.desk.do(ask(reader.tenant_id, ArchiveArtist()))
    assert (reply.outcome.status, reply.outcome.body["type"]) == (404, "/problems/not-found")
    assert (await reader.get("/v1/tenant"))[0] == 404
    assert (await reader.get("/v1/head"))[1]["position"] == 0


async def test_a_redelivered_command_answers_alike_and_changes_nothing(service: Service) -> None:
    reader = service.reader()
    create = ask(reader.tenant_id, CreateArtist(name="Ana"))
    amend = ask(reader.tenant_id, AmendArtist(name="Ana B"), create.aggregate_id)
    for command in (create, amend, create, amend, create):
        await service.desk.send(command)
    replies = [await service.desk.replied(create, times) for times in (1, 2, 3)]
    assert replies[0].outcome.status == 201
    assert {(reply.position, reply.outcome.model_dump_json()) for reply in replies} == {
        (2, replies[0].outcome.model_dump_json())
    }
    assert await service.desk.replied(amend, 2) == await service.desk.replied(amend, 1)
    _, page, _ = await reader.get("/v1/events")
    assert [event["type"] for event in page["items"]] == ["TenantCreated", "ArtistCreated", "ArtistAmended"]


async def test_many_commands_at_once_number_each_tenants_stream_without_a_gap(service: Service) -> None:
    readers = [service.reader() for _ in range(5)]
    asked = [ask(reader.tenant_id, CreateArtist(name=f"Artist {n}")) for n in range(20) for reader in readers]
    await asyncio.gather(*(service.desk.send(command) for command in asked))
    replies = [await service.desk.replied(command) for command in asked]
    assert {reply.outcome.status for reply in replies} == {201}
    for reader in readers:
        _, page, _ = await reader.get("/v1/events?limit=500")
        assert [event["position"] for event in page["items"]] == list(range(1, 22))
        topic = [event.event for event in await _on_topic(service, reader.tenant_id)]
        assert topic == page["items"]


async def test_what_is_so_already_is_accepted_without_an_event(service: Service) -> None:
    reader = service.reader()
    create = ask(reader.tenant_id, CreateArtist(name="Ana", time_zone="Europe/Berlin"))
    await service.desk.do(create)
    same = await service.desk.do(ask(reader.tenant_id, AmendArtist(name="Ana"), create.aggregate_id))
    first = await service.desk.do(ask(reader.tenant_id, ArchiveArtist(), create.aggregate_id))
    again = await service.desk.do(ask(reader.tenant_id, ArchiveArtist(), create.aggregate_id))
    assert [(one.outcome.status, one.outcome.body["version"]) for one in (same, first, again)] == [
        (200, 1),
        (200, 2),
        (200, 2),
    ]
    assert again.outcome.body == first.outcome.body
    renamed = await service.desk.do(ask(reader.tenant_id, AmendArtist(time_zone=None), create.aggregate_id))
    assert renamed.outcome.body | {"updated_at": ""} == first.outcome.body | {
        "time_zone": None,
        "version": 3,
        "position": 4,
        "updated_at": "",
    }


async def test_another_version_than_expected_is_refused_and_told(service: Service) -> None:
    reader = service.reader()
    create = ask(reader.tenant_id, CreateArtist(name="Ana"))
    await service.desk.do(create)
    stale = await service.desk.do(ask(reader.tenant_id, AmendArtist(name="B"), create.aggregate_id, versions=[2, 7]))
    assert (stale.outcome.status, stale.outcome.body["type"]) == (412, "/problems/version-mismatch")
    assert "version 1" in stale.outcome.body["detail"]
    fresh = await service.desk.do(ask(reader.tenant_id, AmendArtist(name="B"), create.aggregate_id, versions=[7, 1]))
    assert (fresh.outcome.status, fresh.outcome.body["name"]) == (200, "B")


async def test_another_tenants_artist_is_not_found(service: Service) -> None:
    mine, other = service.reader(), service.reader()
    create = ask(other.tenant_id, CreateArtist(name="Ana"))
    await service.desk.do(create)
    taken = await service.desk.do(ask(mine.tenant_id, ArchiveArtist(), create.aggregate_id))
    absent = await service.desk.do(ask(mine.tenant_id, ArchiveArtist()))
    assert taken.outcome == absent.outcome
    assert (await mine.get(f"/v1/artists/{create.aggregate_id}"))[:2] == (await mine.get(f"/v1/artists/{uuid4()}"))[:2]


async def test_a_role_that_may_not_is_forbidden_and_a_late_command_expired(service: Service) -> None:
    tenant = service.reader().tenant_id
    forbidden = await service.desk.do(ask(tenant, CreateArtist(name="Ana"), role=Role.MEMBER, key="k"))
    expired = await service.desk.do(ask(tenant, CreateArtist(name="Ana"), key="k", expires_in=timedelta(seconds=-1)))
    repeated = await service.desk.do(ask(tenant, CreateArtist(name="Ana"), key="k"))
    assert [one.outcome.status for one in (forbidden, expired, repeated)] == [403, 504, 504]


async def test_a_key_stands_for_one_request(service: Service) -> None:
    tenant = service.reader().tenant_id
    first = await service.desk.do(ask(tenant, CreateArtist(name="Ana"), key="k"))
    again = await service.desk.do(ask(tenant, CreateArtist(name="Ana"), key="k"))
    other = await service.desk.do(ask(tenant, CreateArtist(name="Bea"), key="k", fingerprint="g"))
    assert again.outcome == first.outcome
    assert (other.outcome.status, other.outcome.body["type"]) == (422, "/problems/idempotency-key-reused")


async def test_what_cannot_be_read_is_put_aside_and_its_neighbours_go_on(service: Service) -> None:
    reader = service.reader()
    key = tenant_key(reader.tenant_id)
    nonsense = KafkaRecord(topic=TENANCY_COMMANDS.name, key=key, value=b"{", headers=[("ce_type", b"\xff")])
    night = CreateBooking(artist_id=uuid4(), start_time=now(), end_time=now(), status="pencil", title="A night")
    await service.desk.producer.send(nonsense)
    await service.desk.send(ask(reader.tenant_id, night))
    nul = ask(reader.tenant_id, CreateArtist(name="a\x00b"))
    await service.desk.send(nul)
    assert (await service.desk.do(ask(reader.tenant_id, CreateArtist(name="Ana")))).outcome.status == 201
    consumer = AIOKafkaConsumer(
        TENANCY_COMMANDS.dead_letters,
        bootstrap_servers=service.settings.kafka_bootstrap,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    reasons: list[str] = []
    try:

        async def all_three() -> bool:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                reasons.extend(dict(r.headers)["dlq_reason"].decode() for r in records if r.key == key)
            return len(reasons) >= 3

        await eventually(all_three, "three dead letters")
    finally:
        await consumer.stop()
    assert any("UTF-8" in reason for reason in reasons)
    assert any("not for this topic" in reason for reason in reasons)
    assert any("invalid byte sequence" in reason for reason in reasons)
    assert not any("user_ana" in reason for reason in reasons)
    assert not service.desk.replies[nul.id]


async def test_nobody_learns_an_outcome_before_its_events_are_on_kafka(service: Service) -> None:
    reader = service.reader()
    service.look("update leases set holder = 'another', until = now() + interval '1 hour' returning 1")

    async def stands_by() -> bool:
        return REGISTRY.get_sample_value("relay_leading", {"stream": "tenancy"}) == 0

    await eventually(stands_by, "the relay stands by")
    create = ask(reader.tenant_id, CreateArtist(name="Ana"))
    await service.desk.send(create)

    async def decided() -> bool:
        return bool(service.look("select 1 from command_log where command_id = %s", create.id))

    await eventually(decided, "decided")
    assert (await reader.get(f"/v1/commands/{create.id}"))[0] == 404
    assert (await reader.get(f"/v1/artists/{create.aggregate_id}"))[0] == 200
    assert not service.desk.replies[create.id]
    assert await _on_topic(service, reader.tenant_id) == []
    service.look("update leases set until = now() returning 1")
    reply = await service.desk.replied(create)
    assert [event.position for event in await _on_topic(service, reader.tenant_id)] == [1, 2]
    status, told, _ = await reader.get(f"/v1/commands/{create.id}")
    assert (status, told["outcome"]) == (200, reply.outcome.model_dump())
