"""A calendar of your own, fed by Production Tool: the history over HTTP, then the topic, with no gap in between.

It needs ``production_contracts``, ``aiokafka`` and ``aiohttp``, and a token of each tenant to follow::

    TOKENS="$(make -s token TENANT=acme)" python contracts/examples/consume_bookings.py \
        --gateway http://127.0.0.1:8000 --kafka 127.0.0.1:19092 --calendar calendar.db

Stop it, kill it, start it again: it goes on where it stopped. How that holds:

1. Where to join the topic is noted *before* the history is read. An event is in the history before it is on the topic,
   so whatever stands on the topic before that place is in the history, and whatever comes later is read from the topic.
2. What is in both is dropped by its position: a tenant's events are numbered 1, 2, 3, … and one is applied only right
   after the one before it. That drops what the topic repeats, too.
3. Calendar, positions and offsets are one SQLite transaction: a crash leaves all three before or after a batch. That is
   why no consumer group is needed: the offsets stand with what they led to.

Should a position ever be missing, the history has it: it is asked again from the position that is known.
"""

import argparse
import asyncio
import logging
import os
import signal
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition

from production_contracts.artists import Tenant
from production_contracts.bookings import BookingEventData
from production_contracts.envelope import UnreadableError, read_event
from production_contracts.events import Event, EventPage, public_data
from production_contracts.times import format_timestamp
from production_contracts.topics import BOOKING_EVENTS

PAGE = 500
log = logging.getLogger("consume_bookings")


class GapError(Exception):
    """Events between what the calendar holds and this one are missing."""


class Calendar:
    """Bookings by tenant in one SQLite file, with how far each tenant and each partition was read."""

    def __init__(self, file: Path) -> None:
        """Open the file, or make it."""
        self._db = sqlite3.connect(file)
        self._db.executescript("""
            pragma journal_mode = wal;
            create table if not exists positions (tenant_id text primary key, position integer not null);
            create table if not exists offsets (partition integer primary key, next_offset integer not null);
            create table if not exists bookings (
                tenant_id text, id text, artist_id text, start_time text, end_time text, status text, title text,
                primary key (tenant_id, id)
            );
        """)

    def close(self) -> None:
        """Forget what was not kept."""
        self._db.close()

    def keep(self) -> None:
        """Make everything since the last time last, at once."""
        self._db.commit()

    def knows(self, tenant_id: UUID) -> bool:
        """Tell whether the tenant's history was read."""
        return self._db.execute("select 1 from positions where tenant_id = ?", [str(tenant_id)]).fetchone() is not None

    def begin(self, tenant_id: UUID) -> None:
        """Note that the tenant's history is read from here on."""
        self._db.execute("insert into positions values (?, 0) on conflict do nothing", [str(tenant_id)])

    def position(self, tenant_id: UUID) -> int:
        """Tell up to which position the tenant's events are in the calendar."""
        found = self._db.execute("select position from positions where tenant_id = ?", [str(tenant_id)]).fetchone()
        return int(found[0]) if found else 0

    def offsets(self) -> dict[int, int]:
        """Tell where to go on in each partition."""
        return dict(self._db.execute("select partition, next_offset from offsets"))

    def put_offsets(self, offsets: dict[int, int]) -> None:
        """Note where to go on."""
        self._db.executemany("insert or replace into offsets values (?, ?)", offsets.items())

    def apply(self, tenant_id: UUID, event: Event) -> None:
        """Take an event in; one that is in already is dropped.

        Raises:
            GapError: it is not the next one.
        """
        known = self.position(tenant_id)
        if event.position <= known:
            return
        if event.position > known + 1:
            raise GapError
        # What is sensitive is open over HTTP and sealed on the topic; a calendar has no need of it.
        booking = BookingEventData.model_validate(public_data(event.data))
        self._db.execute(
            "insert or replace into bookings values (?, ?, ?, ?, ?, ?, ?)",
            [
                *(str(tenant_id), str(booking.id), str(booking.artist_id)),
                *(format_timestamp(booking.start_time), format_timestamp(booking.end_time)),
                *(booking.status, booking.title),
            ],
        )
        self._db.execute("update positions set position = ? where tenant_id = ?", [event.position, str(tenant_id)])


@dataclass(frozen=True, kw_only=True)
class Follower:
    """Brings the tenants' events into the calendar."""

    calendar: Calendar
    session: aiohttp.ClientSession
    tokens: dict[UUID, str]

    async def read_history(self, tenant_id: UUID) -> None:
        """Take in, from where the calendar is, everything that has happened up to now."""
        headers = {"Authorization": f"Bearer {self.tokens[tenant_id]}"}
        while True:
            query = {"stream": "booking", "after": str(self.calendar.position(tenant_id)), "limit": str(PAGE)}
            async with self.session.get("/v1/events", params=query, headers=headers) as response:
                page = EventPage.model_validate_json(await response.read())
            if not page.items:
                return
            for event in page.items:
                self.calendar.apply(tenant_id, event)

    async def take(self, records: Iterable[object]) -> None:
        """Take in records of the topic; those of tenants that are not followed are passed over."""
        for record in records:
            try:
                received = read_event(record.key, record.value, record.headers)  # type: ignore[attr-defined]
            except UnreadableError as error:
                log.error("passed over what is no event: %s", error)  # noqa: TRY400 - the reason says it all
                continue
            if received is None or received.tenant_id not in self.tokens:
                continue
            event = Event.model_validate(received.event)
            try:
                self.calendar.apply(received.tenant_id, event)
            except GapError:
                log.warning("tenant %s: reading what is missing before %d", received.tenant_id, event.position)
                await self.read_history(received.tenant_id)


async def find_tenant(session: aiohttp.ClientSession, token: str) -> UUID:
    """Ask which tenant a token is for."""
    async with session.get("/v1/tenant", headers={"Authorization": f"Bearer {token}"}) as response:
        return Tenant.model_validate_json(await response.read()).id


async def follow(gateway: str, kafka: str, calendar: Calendar, tokens: list[str], stop: asyncio.Event) -> None:
    """Read the history where it is not known, then the topic, until told to stop."""
    # No group: all partitions are ours, and nothing is committed to Kafka.
    consumer = AIOKafkaConsumer(
        BOOKING_EVENTS.name,
        bootstrap_servers=kafka,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=os.environ["KAFKA_USERNAME"],
        sasl_plain_password=os.environ["KAFKA_PASSWORD"],
        group_id=None,
        enable_auto_commit=False,
    )
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(gateway, raise_for_status=True, timeout=timeout) as session:
        known = {await find_tenant(session, token): token for token in tokens}
        follower = Follower(calendar=calendar, session=session, tokens=known)
        await consumer.start()
        try:
            ends: dict[TopicPartition, int] = await consumer.end_offsets(consumer.assignment())
            offsets = {partition.partition: end for partition, end in ends.items()} | calendar.offsets()
            calendar.put_offsets(offsets)
            for tenant_id in follower.tokens:
                if not calendar.knows(tenant_id):
                    calendar.begin(tenant_id)
                    await follower.read_history(tenant_id)
                    log.info("tenant %s: history read up to %d", tenant_id, calendar.position(tenant_id))
            calendar.keep()
            for partition in consumer.assignment():
                consumer.seek(partition, offsets[partition.partition])
            log.info("following %s", BOOKING_EVENTS.name)
            while not stop.is_set():
                for partition, records in (await consumer.getmany(timeout_ms=500, max_records=PAGE)).items():
                    await follower.take(records)
                    calendar.put_offsets({partition.partition: records[-1].offset + 1})
                calendar.keep()
        finally:
            await consumer.stop()


async def main() -> None:
    """Follow until a signal says stop."""
    parser = argparse.ArgumentParser(description="Keep a calendar of bookings; TOKENS names a token of each tenant")
    parser.add_argument("--gateway", default="http://127.0.0.1:8000")
    parser.add_argument("--kafka", default="127.0.0.1:19092")
    parser.add_argument("--calendar", type=Path, default=Path("calendar.db"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    with closing(Calendar(arguments.calendar)) as calendar:
        await follow(arguments.gateway, arguments.kafka, calendar, os.environ["TOKENS"].split(), stop)


if __name__ == "__main__":
    asyncio.run(main())
