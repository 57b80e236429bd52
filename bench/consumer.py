"""The booking consumer with a backlog: how long it takes to decide what waits on Kafka.

The backlog is written in one Kafka transaction while the consumer runs and waits: it sees all of it at once, when the
transaction is committed, and that is where the clock starts. It stops when the offset behind the last command is
committed: everything is decided and stored by then, and events are published as usual while it goes on.
"""

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from bench.processes import used
from bench.stage import Changes, Stage, add_artists, analyze, new_tenants, tenant_id
from bench.workload import Workload
from local_stack.databases import Database
from local_stack.port import free_ports
from local_stack.services import Instance
from production_contracts.commands import Command
from production_contracts.envelope import command_record
from production_contracts.topics import BOOKING_COMMANDS

GROUP: Final = "booking"
WARM_UP: Final = 300
_LOOK_SECONDS: Final = 0.02
_PATIENCE_SECONDS: Final = 600.0


@dataclass(frozen=True, kw_only=True)
class Drained:
    """A backlog that was drained: how much, how long it took, and the CPU seconds that each part spent on it."""

    commands: int
    seconds: float
    cpu_seconds: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Commands a second."""
        return self.commands / self.seconds

    def cpu_microseconds(self, part: str) -> float:
        """CPU time of a part for each command."""
        return self.cpu_seconds[part] / self.commands * 1e6


async def drain(
    stage: Stage, database: Database, workload: Workload, *, changes: Changes | None = None, consumers: int = 1
) -> Drained:
    """Start booking on a database, let it warm up, hand it a backlog, and wait until it is decided.

    ``consumers`` instances share the partitions.
    """
    await add_artists(database, workload.artists)
    with stage.no_services(databases={"booking": database}, changes=changes) as services:
        instances = [
            services.start("booking", number=number, port=port)
            for number, port in enumerate(free_ports(consumers), start=1)
        ]
        await _shared(stage, consumers)
        await warm_up(stage, database)
        await analyze(database)
        return await drain_at(stage, instances, workload)


async def _shared(stage: Stage, consumers: int) -> None:
    """Wait until so many consumers have shared the partitions."""
    admin = AIOKafkaAdminClient(**stage.kafka.options())
    await admin.start()
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while await _members(admin) != consumers:  # noqa: ASYNC110 - Kafka tells nobody
                await asyncio.sleep(_LOOK_SECONDS)
    finally:
        await admin.close()


async def _members(admin: AIOKafkaAdminClient) -> int:
    """Count the members of a group that is settled; 0 while it is not."""
    (answer,) = await admin.describe_consumer_groups([GROUP])
    _, _, state, _, _, members, *_ = answer.groups[0]
    return len(members) if state == "Stable" else 0


async def warm_up(stage: Stage, database: Database) -> None:
    """Let the booking service that runs decide some commands of others: its caches and connections are warm then."""
    workload = Workload([tenant_id(name) for name in new_tenants(20)], WARM_UP)
    await add_artists(database, workload.artists)
    await _hand_over(stage, workload.commands)


async def drain_at(stage: Stage, instances: Sequence[Instance], workload: Workload) -> Drained:
    """Hand a backlog to the instances of booking that run, and wait until it is decided."""
    processes = stage.processes().also(booking=[instance.child.pid for instance in instances])
    before = processes.cpu_seconds()
    seconds = await _hand_over(stage, workload.commands)
    return Drained(commands=len(workload.decided), seconds=seconds, cpu_seconds=used(before, processes.cpu_seconds()))


async def _hand_over(stage: Stage, commands: Sequence[Command]) -> float:
    """Write commands, all to be seen at once, and wait until they are decided; gives the seconds from then on."""
    admin = AIOKafkaAdminClient(**stage.kafka.options())
    await admin.start()
    try:
        ends, began = await _write(stage, commands)
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not await _has_reached(admin, ends):  # noqa: ASYNC110 - Kafka tells nobody
                await asyncio.sleep(_LOOK_SECONDS)
        return time.perf_counter() - began
    finally:
        await admin.close()


async def _write(stage: Stage, commands: Sequence[Command]) -> tuple[dict[TopicPartition, int], float]:
    """Write commands in one transaction; gives the offset behind each partition's last, and when all were visible."""
    producer = AIOKafkaProducer(
        **stage.kafka.options(), transactional_id=f"bench-{secrets.token_hex(4)}", max_batch_size=256 * 1024
    )
    await producer.start()
    try:
        now = datetime.now(UTC)
        await producer.begin_transaction()
        sent = []
        for command in commands:
            record = command_record(command, BOOKING_COMMANDS.name, now)
            sent.append(await producer.send(record.topic, key=record.key, value=record.value, headers=record.headers))
        written = await asyncio.gather(*sent)
        await producer.commit_transaction()
        began = time.perf_counter()
    finally:
        await producer.stop()
    ends: dict[TopicPartition, int] = {}
    for one in written:
        partition = TopicPartition(one.topic, one.partition)
        ends[partition] = max(ends.get(partition, 0), one.offset + 1)
    return ends, began


async def _has_reached(admin: AIOKafkaAdminClient, ends: Mapping[TopicPartition, int]) -> bool:
    committed = await admin.list_consumer_group_offsets(GROUP, partitions=list(ends))
    return all(committed[partition].offset >= end for partition, end in ends.items())
