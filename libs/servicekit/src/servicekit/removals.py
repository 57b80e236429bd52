"""Removals: who was removed from a tenant, and which tenants are deleted, though tokens of theirs still live.

Every instance follows ``tenancy.events.v1`` by itself, in no group, and keeps in memory what is younger than the
longest life of a token: it begins there (by the time of the records), and is loaded when it has reached where the topic
ended when it began. Until then nobody can be let in. Times are the identity provider's own, as are those in its tokens.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge

from production_contracts import events, problems
from production_contracts.envelope import ReceivedEvent, UnreadableError, read_event
from production_contracts.times import parse_timestamp
from production_contracts.topics import TENANCY_EVENTS
from servicekit.access import KafkaAccess
from servicekit.kafka import PATIENCE_MS, REQUEST_TIMEOUT_MS, KafkaUnavailableError, Record
from servicekit.problems import ProblemError

MARGIN_SECONDS: Final = 3600.0
"""Removals are kept this much longer than a token lives: for clocks that differ, and the way from Clerk to Kafka."""
PRUNE_SECONDS: Final = 600.0
LOAD_PATIENCE_S: Final = 5.0
_FIRST_WAIT_S: Final = 0.1
_LONGEST_WAIT_S: Final = 5.0
_TOLD: Final = {event.kafka.encode() for event in (events.MEMBER_ADDED, events.MEMBER_REMOVED, events.TENANT_DELETED)}

TENANT_DELETED: Final = "This organisation is deleted."

HELD: Final = Gauge("removals_held", "Removals of members and deleted tenants that are kept in mind")
UNREADABLE: Final = Counter("removals_unreadable_total", "Events of removals that this instance could not read")

log = structlog.get_logger(__name__)

Told = Callable[[UUID, str | None], None]
"""Hears of a removal: the tenant and the user, or None where the tenant itself is deleted."""


class RemovalsUnknownError(KafkaUnavailableError):
    """Who was removed is not known yet, as Kafka has not answered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Removal:
    """A member's removal, and since when the member is back; both in whole seconds, rounded down as in tokens."""

    position: int
    removed_at: int
    back_at: int | None = None

    def refuses(self, issued_at: int) -> bool:
        """Tell whether a token of this second is refused; one of the very second of the removal is."""
        return issued_at <= self.removed_at if self.back_at is None else issued_at < self.back_at


class RemovalBook:
    """What is known of removals, in memory; takes events in any number of repeats."""

    def __init__(self, *, kept_seconds: float, clock: Callable[[], float] = time.time) -> None:
        """Keep removals for so long; ``clock`` gives seconds since 1970."""
        self._kept = kept_seconds
        self._clock = clock
        self._members: dict[tuple[UUID, str], _Removal] = {}
        self._tenants: dict[UUID, float] = {}
        self._prune_at = clock() + PRUNE_SECONDS

    def take(self, received: ReceivedEvent) -> tuple[UUID, str | None] | None:
        """Take an event of tenancy; gives whom it removes, if it does."""
        tenant, data = received.tenant_id, received.event["data"]
        if received.type is events.TENANT_DELETED:
            self._tenants[tenant] = self._clock()
            return tenant, None
        if received.type is events.MEMBER_REMOVED:
            return self._remove(tenant, data, received.position)
        if received.type is events.MEMBER_ADDED:
            known = self._members.get((tenant, data["id"]))
            if known is not None and known.position < received.position:
                back_at = _seconds(data["as_of"])
                self._members[tenant, data["id"]] = replace(known, position=received.position, back_at=back_at)
        return None

    def _remove(self, tenant: UUID, data: dict[str, Any], position: int) -> tuple[UUID, str] | None:
        known = self._members.get((tenant, data["id"]))
        if known is not None and known.position >= position:
            return None
        removal = _Removal(position=position, removed_at=_seconds(data["removed_at"]))
        self._members[tenant, data["id"]] = removal
        return tenant, data["id"]

    def is_deleted(self, tenant_id: UUID) -> bool:
        """Tell whether a tenant is deleted."""
        return tenant_id in self._tenants

    def is_removed(self, tenant_id: UUID, sub: str, issued_at: int) -> bool:
        """Tell whether a user's token, issued in this second, is of before the user's removal."""
        known = self._members.get((tenant_id, sub))
        return known is not None and known.refuses(issued_at)

    def prune(self) -> None:
        """Forget, every so often, what no living token can be older than."""
        now = self._clock()
        if now < self._prune_at:
            return
        self._prune_at = now + PRUNE_SECONDS
        oldest = now - self._kept
        self._members = {
            key: known for key, known in self._members.items() if max(known.removed_at, known.back_at or 0) > oldest
        }
        self._tenants = {tenant: since for tenant, since in self._tenants.items() if since > oldest}

    def __len__(self) -> int:
        return len(self._members) + len(self._tenants)


def _seconds(text: str) -> int:
    return math.floor(parse_timestamp(text).timestamp())


class Removals:
    """Follows removals, in the background, from start to stop; refuses while it does not know."""

    def __init__(
        self,
        kafka: KafkaAccess | str,
        client_id: str,
        partitions: int,
        *,
        longest_token_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Follow at ``kafka``; ``partitions`` is how many every topic has."""
        self._options: dict[str, Any] = {
            **KafkaAccess.of(kafka).options(),
            "client_id": f"{client_id}-removals",
            "group_id": None,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
        }
        self._partitions = [TopicPartition(TENANCY_EVENTS.name, partition) for partition in range(partitions)]
        self._span = longest_token_seconds + MARGIN_SECONDS
        self._clock = clock
        self._book = RemovalBook(kept_seconds=self._span, clock=clock)
        self._loaded = asyncio.Event()
        self._listeners: list[Told] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def loaded(self) -> bool:
        """Whether all removals of before the start are known, and those since are followed."""
        return self._loaded.is_set() and self._task is not None and not self._task.done()

    def listen(self, told: Told) -> None:
        """Tell somebody of each removal, once it is in force."""
        self._listeners.append(told)

    async def wait(self) -> None:
        """Wait, within a bound, until removals are known.

        Raises:
            RemovalsUnknownError: they are not yet.
        """
        try:
            await asyncio.wait_for(self._loaded.wait(), LOAD_PATIENCE_S)
        except TimeoutError:
            message = "removals are not loaded yet"
            raise RemovalsUnknownError(message) from None

    def refusal(self, tenant_id: UUID, sub: str, issued_at: int) -> str | None:
        """Say why a token is refused that was issued to a user in this second; None: it is not, for all we know."""
        if self._book.is_deleted(tenant_id):
            return TENANT_DELETED
        if self._book.is_removed(tenant_id, sub, issued_at):
            return "The token is of before its holder's removal from this organisation."
        return None

    def check(self, tenant_id: UUID, sub: str, issued_at: int) -> None:
        """Hold that a token is not refused.

        Raises:
            ProblemError: `forbidden`: its holder is removed, or the tenant deleted; `unavailable`: that is not known.
        """
        if not self._loaded.is_set():
            detail = "Who was removed is not known for the moment; try again."
            raise ProblemError(problems.UNAVAILABLE, detail, headers={"Retry-After": "1"})
        refusal = self.refusal(tenant_id, sub, issued_at)
        if refusal is not None:
            raise ProblemError(problems.FORBIDDEN, refusal)

    async def start(self) -> None:
        """Begin to follow, and return at once."""
        self._task = asyncio.create_task(self._run(), name="removals")

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        wait = _FIRST_WAIT_S
        while True:
            try:
                await self._follow()
            except Exception as error:  # noqa: BLE001 - an end of this task that nobody sees would let people in
                log.warning("removals_interrupted", error=repr(error), retry_in_s=wait)
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT_S)

    async def _follow(self) -> None:
        consumer = AIOKafkaConsumer(**self._options)
        try:
            await consumer.start()
            consumer.assign(self._partitions)
            ends = await self._seek(consumer)
            while True:
                if not self._loaded.is_set() and await _has_reached(consumer.position, ends):
                    self._loaded.set()
                    log.info("removals_loaded", held=len(self._book))
                for records in (await consumer.getmany(timeout_ms=PATIENCE_MS)).values():
                    self._take(records)
                self._book.prune()
        finally:
            with suppress(KafkaError, OSError):
                await consumer.stop()

    async def _seek(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
        """Go to where the oldest removal that matters can stand; gives where the partitions end now."""
        since = int((self._clock() - self._span) * 1000)
        begin = await consumer.offsets_for_times(dict.fromkeys(self._partitions, since))
        ends: dict[TopicPartition, int] = await consumer.end_offsets(self._partitions)
        for partition in self._partitions:
            found = begin.get(partition)
            consumer.seek(partition, ends[partition] if found is None else found.offset)
        return ends

    def _take(self, records: Sequence[Record]) -> None:
        for record in records:
            if not any(name == "ce_type" and value in _TOLD for name, value in record.headers):
                continue
            try:
                received = read_event(record.key, record.value, record.headers)
                removed = None if received is None else self._book.take(received)
            except (UnreadableError, ValueError, KeyError, TypeError) as error:
                UNREADABLE.inc()
                log.error("removal_unreadable", partition=record.partition, offset=record.offset, error=repr(error))  # noqa: TRY400
                continue
            if removed is not None:
                for told in self._listeners:
                    told(*removed)
        HELD.set(len(self._book))


async def _has_reached(position: Callable[[TopicPartition], Awaitable[int]], ends: dict[TopicPartition, int]) -> bool:
    for partition, end in ends.items():
        if await position(partition) < end:
            return False
    return True
