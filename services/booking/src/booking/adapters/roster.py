"""The roster as booking knows it: a projection of ``tenancy.events.v1`` in booking's own database.

It also keeps, for good, which tenants are deleted: from then on booking refuses them, whoever still holds a token.
Every instance follows all partitions, in no group: how far it got stands in ``roster_offsets``, in the transaction of
the rows, so that neither can be ahead of the other, and any instance can say whether the roster has passed an offset.
All SQL on the roster's tables stands here.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from uuid import UUID

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError
from sqlalchemy import text

from booking.adapters.bookings import Key, artist_states
from production_contracts.artists import Artist
from production_contracts.envelope import UnreadableError, read_event, tenant_key
from production_contracts.events import TENANT_DELETED
from production_contracts.topics import TENANCY_EVENTS
from servicekit import journal
from servicekit.database import Database
from servicekit.dead_letters import DeadLetters
from servicekit.ends import TopicEnds
from servicekit.halving import halve, is_outage
from servicekit.kafka import Consumers, Record, partition_of

PATIENCE_S = 5.0
MOST_REMEMBERED = 100_000

_PUT_ARTISTS = text("""
    insert into artists (tenant_id, id, status, time_zone, version)
    select * from unnest(
        cast(:tenants as uuid[]), cast(:ids as uuid[]), cast(:statuses as text[]), cast(:zones as text[]),
        cast(:versions as integer[])
    )
    order by 1, 2
    on conflict (tenant_id, id) do update
    set status = excluded.status, time_zone = excluded.time_zone, version = excluded.version
    where artists.version < excluded.version
""")
_PUT_OFFSETS = text("""
    insert into roster_offsets (partition, next_offset)
    select * from unnest(cast(:partitions as integer[]), cast(:offsets as bigint[])) order by 1
    on conflict (partition) do update set next_offset = excluded.next_offset
    where roster_offsets.next_offset < excluded.next_offset
""")
_OFFSETS = text("select partition, next_offset from roster_offsets")

NOWHERE: Mapping[int, int] = MappingProxyType({})

log = structlog.get_logger(__name__)

_Received = tuple[Record, UUID, Artist | None]
"""What a record tells of a tenant: an artist, or that it is deleted (None)."""


class Roster:
    """Follows the roster, and waits for it where a command names an artist that is not in it yet."""

    def __init__(
        self,
        database: Database,
        consumers: Consumers,
        ends: TopicEnds,
        dead_letters: DeadLetters,
        *,
        partitions: int,
    ) -> None:
        """Follow through ``consumers``, as far as ``ends`` says that there is something to follow."""
        self._database = database
        self._ends = ends
        self._dead_letters = dead_letters
        self._partitions = list(range(partitions))
        self._consumption = consumers.assigned(TENANCY_EVENTS.name, self._partitions, self.handle, start="earliest")
        self._consumption.idle = self._pass  # what a transaction leaves behind takes an offset, and is no record
        self._next: dict[int, int] | None = None
        self._moved = asyncio.Condition()
        self._known: OrderedDict[Key, None] = OrderedDict()

    async def handle(self, records: Sequence[Record]) -> None:
        """Take a batch: rows and offsets in one transaction; what was passed before is skipped."""
        passed = await self._passed()
        new = [record for record in records if record.offset >= passed.get(record.partition, 0)]
        if not new:
            self._skip(records, passed)
            return
        received: list[_Received] = []
        for record in new:
            try:
                event = read_event(record.key, record.value, record.headers)
                if event is not None and event.type is TENANT_DELETED:
                    received.append((record, event.tenant_id, None))
                elif event is not None and event.type.data is Artist:
                    received.append((record, event.tenant_id, Artist.model_validate(event.event["data"])))
            except UnreadableError as error:
                await self._dead_letters.put(record, str(error))
            except ValidationError as error:
                wrong = ", ".join(".".join(map(str, part["loc"])) for part in error.errors())
                await self._dead_letters.put(record, f"the data is no artist: {wrong}")
        offsets = {record.partition: record.offset + 1 for record in new}
        try:
            await self._store(received, offsets)
        except Exception as error:
            if is_outage(error):
                raise
            # Rows may be ahead of the offsets: by its version a row that comes again changes nothing.
            await halve(received, self._store, self._put_aside, TENANCY_EVENTS.name)
            await self._store([], offsets)
        await self._pass(offsets)

    async def _put_aside(self, one: _Received, error: Exception) -> None:
        await self._dead_letters.put(one[0], f"{type(error).__name__}: {error}")

    async def _pass(self, offsets: dict[int, int]) -> None:
        """Say that everything before these offsets is handled."""
        passed = await self._passed()
        async with self._moved:
            for partition, offset in offsets.items():
                passed[partition] = max(offset, passed.get(partition, 0))
            self._moved.notify_all()

    async def _passed(self) -> dict[int, int]:
        if self._next is None:
            async with self._database.transaction() as connection:
                self._next = {row.partition: row.next_offset for row in await connection.execute(_OFFSETS)}
        return self._next

    def _skip(self, records: Sequence[Record], passed: dict[int, int]) -> None:
        """Go on where the database stands: after a start, Kafka begins with the first record there is."""
        for partition in {record.partition for record in records}:
            self._consumption.seek(TopicPartition(TENANCY_EVENTS.name, partition), passed[partition])

    async def _store(self, received: Sequence[_Received], offsets: Mapping[int, int] = NOWHERE) -> None:
        latest: dict[Key, Artist] = {}
        deleted = {tenant for _, tenant, artist in received if artist is None}
        for _, tenant, artist in received:
            if artist is None:
                continue
            before = latest.get((tenant, artist.id))
            if before is None or before.version < artist.version:
                latest[tenant, artist.id] = artist
        async with self._database.transaction({tenant for tenant, _ in latest}) as connection:
            if latest:
                await connection.execute(
                    _PUT_ARTISTS,
                    {
                        "tenants": [tenant for tenant, _ in latest],
                        "ids": [artist for _, artist in latest],
                        "statuses": [artist.status for artist in latest.values()],
                        "zones": [artist.time_zone for artist in latest.values()],
                        "versions": [artist.version for artist in latest.values()],
                    },
                )
            if deleted:
                await journal.mark_deleted(connection, deleted)
            if offsets:
                await connection.execute(_PUT_OFFSETS, {"partitions": list(offsets), "offsets": list(offsets.values())})

    async def await_artists(self, artists: Collection[Key]) -> frozenset[Key]:
        """Wait, within a bound, until the roster holds artists or has passed everything that could name them.

        Returns:
            Those of which it can't be said: they are not in the roster, and the roster is behind.
        """
        unknown = await self._unknown({artist for artist in artists if artist not in self._known})
        if not unknown:
            return frozenset()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._catch_up({tenant for tenant, _ in unknown})
        except (TimeoutError, KafkaError) as error:
            unknown = await self._unknown(unknown)
            log.warning("roster_behind", unknown=len(unknown), error=repr(error))
            return frozenset(unknown)
        return frozenset()

    async def _unknown(self, artists: set[Key]) -> set[Key]:
        if not artists:
            return artists
        async with self._database.transaction({tenant for tenant, _ in artists}) as connection:
            found = await artist_states(connection, artists)
        self._remember(found)
        return artists - found.keys()

    def _remember(self, artists: Iterable[Key]) -> None:
        for artist in artists:
            self._known[artist] = None
            if len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)

    async def _catch_up(self, tenants: Iterable[UUID]) -> None:
        partitions = {partition_of(tenant_key(tenant), self._partitions) for tenant in tenants}
        ends = await self._ends.of(TENANCY_EVENTS.name, partitions)
        passed = await self._passed()
        async with self._moved:
            await self._moved.wait_for(lambda: all(passed.get(p, 0) >= end for p, end in ends.items()))
