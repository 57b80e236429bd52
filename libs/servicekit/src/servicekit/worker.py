"""The command worker: decides Kafka batches, one transaction a batch, each command exactly once.

A batch is decoded record by record (what can't be read is put aside, its neighbours go on). Then, in one READ COMMITTED
transaction opened to exactly the tenants in hand: lock their streams, find what is decided already, let the service
decide the rest in memory, write events, outcomes and net state. Offsets are committed after it; replies follow.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import structlog
from opentelemetry.trace import SpanKind
from prometheus_client import Counter, Histogram
from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from production_contracts.commands import Command, RefusedCall
from production_contracts.envelope import UnreadableError, read_command
from production_contracts.events import Stream
from production_contracts.problems import EXPIRED, FORBIDDEN, IDEMPOTENCY_KEY_REUSED
from production_contracts.roles import Permission, may
from servicekit import journal, tracing
from servicekit.audit.chain import Asked
from servicekit.clock import now
from servicekit.database import Database
from servicekit.dead_letters import DeadLetters
from servicekit.deciding import Decider, Decision, ForeignWriteError, refuse
from servicekit.halving import halve
from servicekit.journal import Head, KnownOutcome, LoggedOutcome, StoredEvent
from servicekit.kafka import Record
from servicekit.relay import Relay
from servicekit.removals import TENANT_DELETED, Removals
from servicekit.replies import Replies, Settled

DECIDED = Counter("commands_decided_total", "Commands by their outcome: `accepted`, or the slug", ["type", "outcome"])
KNOWN = Counter("commands_known_total", "Commands that had an outcome already", ["type"])
DECISION_SECONDS = Histogram(
    "commands_decision_seconds",
    "From the command's record to its committed outcome",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
FOREIGN_WRITERS = Counter(
    "commands_foreign_writers_total", "Batches that met a writer outside the stream's lock", ["stream"]
)

log = structlog.get_logger(__name__)

_Taken = tuple[Record, Command]
_Key = tuple[UUID, str, str]


class CommandWorker:
    """Handles batches of one service's commands."""

    def __init__(
        self,
        database: Database,
        decider: Decider,
        relay: Relay,
        replies: Replies,
        dead_letters: DeadLetters,
        *,
        removals: Removals | None = None,
    ) -> None:
        """Put the parts together; a service states its ``removals``, without them nobody is removed."""
        self._decider = decider
        self._judge = Judge(database, decider, removals)
        self._relay = relay
        self._replies = replies
        self._dead_letters = dead_letters

    async def handle(self, records: Sequence[Record]) -> None:
        """Handle a batch; when it returns, each command has its outcome or was put aside with its reason.

        Raises:
            Exception: an outage of PostgreSQL or Kafka; hand the same batch over again, later.
        """
        taken: list[_Taken] = []
        for record in records:
            try:
                command = read_command(record.key, record.value, record.headers)
            except UnreadableError as error:
                await self._dead_letters.put(record, str(error))
                continue
            if command.type.service == self._decider.stream:
                taken.append((record, command))
            else:
                await self._dead_letters.put(record, f"{command.type.name} is not for this topic")
        if taken:
            await halve(taken, self._settle, self._put_aside, self._decider.stream)

    async def _put_aside(self, taken: _Taken, error: Exception) -> None:
        record, command = taken
        log.error("command_failed", command_id=str(command.id), tenant_id=str(command.tenant_id), exc_info=error)
        await self._dead_letters.put(record, f"{type(error).__name__}: {error}")

    async def _settle(self, taken: Sequence[_Taken]) -> None:
        settled = await self._judge.decide([command for _, command in taken])
        await self._replies.send(settled)
        self._relay.wake()
        done_ms = now().timestamp() * 1000
        for record, _ in taken:
            DECISION_SECONDS.observe(max(0.0, (done_ms - record.timestamp) / 1000))


class Judge:
    """Decides commands together, in one transaction: the worker's, and that of jobs which decide without Kafka."""

    def __init__(self, database: Database, decider: Decider, removals: Removals | None = None) -> None:
        """Decide in ``database``; commands of those whom ``removals`` refuse are refused."""
        self._database = database
        self._decider = decider
        self._removals = removals

    async def decide(self, commands: Sequence[Command]) -> list[Settled]:
        """Decide commands in order, each exactly once.

        Raises:
            Exception: nothing was decided: an outage, or a command that can't be handled.
        """
        named = [(f"decide {command.type.name}", command.traceparent) for command in commands]
        with tracing.each(SpanKind.CONSUMER, named) as traceparents:
            return await self._decide(
                [
                    command if command.traceparent == traceparent else replace(command, traceparent=traceparent)
                    for command, traceparent in zip(commands, traceparents, strict=True)
                ]
            )

    async def _decide(self, commands: Sequence[Command]) -> list[Settled]:
        if self._removals is not None:
            await self._removals.wait()
        await self._decider.prepare(commands)
        try:
            batches = await self._decide_in_one_transaction(commands, together=True)
        except ForeignWriteError as error:
            FOREIGN_WRITERS.labels(stream=self._decider.stream).inc()
            log.error("foreign_writer", stream=self._decider.stream, error=str(error))  # noqa: TRY400
            batches = await self._decide_in_one_transaction(commands, together=False)
        return [settled for batch in batches for settled in batch.settled()]

    async def _decide_in_one_transaction(self, commands: Sequence[Command], *, together: bool) -> list["_Batch"]:
        """Decide commands as one batch, or one after the other, each seeing what the one before wrote."""
        batches, tenants = [], {command.tenant_id for command in commands}
        async with self._database.transaction(tenants) as connection:
            if not together:  # all of them first: one after the other would be in another order than everybody else's
                await journal.lock_streams(connection, self._decider.stream, tenants)
            for some in [commands] if together else [[command] for command in commands]:
                batch = await _Batch.open(connection, self._decider.stream, some, self._removals)
                await batch.decide(self._decider)
                batches.append(batch)
        return batches


class _Batch:
    """The commands of one transaction, under the locks of their tenants' streams.

    All of a tenant's happen at one time: now, or when its last event was if that is later, as clocks of two instances
    differ.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        commands: Sequence[Command],
        *,
        stream: Stream,
        heads: dict[UUID, Head],
        known: dict[tuple[UUID, UUID], KnownOutcome],
        keys: dict[_Key, KnownOutcome],
        removals: Removals | None,
    ) -> None:
        self._connection = connection
        self._commands = commands
        self._removals = removals
        self._stream = stream
        self._heads = heads
        self._known = known
        self._keys = keys
        self._events: list[StoredEvent] = []
        self._made: list[tuple[Command, Decision, int]] = []
        self._now = now()
        self._times = {tenant: max(self._now, head.last_at or self._now) for tenant, head in heads.items()}

    @classmethod
    async def open(
        cls, connection: AsyncConnection, stream: Stream, commands: Sequence[Command], removals: Removals | None
    ) -> "_Batch":
        """Lock first, look up then: looked up first, a paused worker and its successor both applied one command."""
        heads = await journal.lock_streams(connection, stream, {command.tenant_id for command in commands})
        known = await journal.known_commands(connection, [(command.tenant_id, command.id) for command in commands])
        keys = await journal.known_keys(connection, [key for command in commands if (key := _key(command))])
        return cls(connection, commands, stream=stream, heads=heads, known=known, keys=keys, removals=removals)

    async def decide(self, decider: Decider) -> None:
        """Decide what is not decided yet, and write it."""
        new = [command for command in self._commands if (command.tenant_id, command.id) not in self._known]
        ledger = await decider.load(self._connection, [command for command in new if not command.type.is_refusal])
        for command in new:
            if (command.tenant_id, command.id) in self._known:
                continue  # twice in this batch
            decision = self._refuse(command) or self._remembered(command)
            if decision is None:
                tenant = command.tenant_id
                position = self._heads[tenant].position + 1
                decision = ledger.decide(command, position=position, now=self._times[tenant])
            self._enter(command, decision)
        await ledger.complete(self._connection)
        await ledger.save(self._connection)
        outcomes = [_logged(command, decision, position, self._now) for command, decision, position in self._made]
        await journal.append(self._connection, self._stream, self._events, outcomes, self._heads)

    def _refuse(self, command: Command) -> Decision | None:
        if command.type.is_refusal:
            return refuse(FORBIDDEN, "the gateway refused it before it was a command", remember=False)
        if not may(command.body.author.role, command.type.permission):
            return refuse(FORBIDDEN, f"this needs the permission {command.type.permission}", remember=False)
        if command.type.permission is Permission.TENANT_WRITE:
            return None  # what the identity provider tells is nobody's to be refused
        if self._heads[command.tenant_id].deleted:
            return refuse(FORBIDDEN, TENANT_DELETED, remember=False)
        if self._removals is not None:
            author = command.body.author
            refusal = self._removals.refusal(command.tenant_id, author.sub, author.iat)
            if refusal is not None:
                return refuse(FORBIDDEN, refusal, remember=False)
        return None

    def _remembered(self, command: Command) -> Decision | None:
        key, asked = _key(command), command.body.idempotency
        found = self._keys.get(key) if key else None
        if found is not None and asked is not None:
            if found.fingerprint != asked.fingerprint:
                detail = "this Idempotency-Key was used for another request; use a new key"
                return refuse(IDEMPOTENCY_KEY_REUSED, detail, remember=False)
            return Decision(status=found.status, body=found.body, remember=False)
        if self._now > command.body.expires_at:
            detail = "it was not decided in time and nothing happened; try again, with a new Idempotency-Key"
            return refuse(EXPIRED, detail)
        return None

    def _enter(self, command: Command, decision: Decision) -> None:
        tenant, head = command.tenant_id, self._heads[command.tenant_id]
        for event in decision.events:
            head.position += 1
            self._events.append(
                StoredEvent(
                    id=uuid7(),
                    tenant_id=tenant,
                    aggregate_id=event.aggregate_id,
                    type=event.type,
                    version=event.version,
                    position=head.position,
                    occurred_at=self._times[tenant],
                    actor=command.body.author.sub,
                    command_id=command.id,
                    data=event.data,
                    traceparent=command.traceparent,
                )
            )
        position = head.position
        self._made.append((command, decision, position))
        asked = command.body.idempotency
        outcome = KnownOutcome(
            status=decision.status,
            body=decision.body,
            position=position,
            fingerprint=asked.fingerprint if asked else None,
        )
        self._known[tenant, command.id] = outcome
        if decision.remember and (key := _key(command)):
            self._keys[key] = outcome

    def settled(self) -> list[Settled]:
        """Tell the outcome of each command, in order, and count them; once they are committed."""
        made = {(command.tenant_id, command.id) for command, _, _ in self._made}
        for command, decision, _ in self._made:
            outcome = "accepted" if decision.accepted else str(decision.body["type"]).rpartition("/")[2]
            DECIDED.labels(type=command.type.name, outcome=outcome).inc()
        settled = []
        for command in self._commands:
            key = command.tenant_id, command.id
            if key not in made:
                KNOWN.labels(type=command.type.name).inc()
            found = self._known[key]
            settled.append(Settled(command=command, status=found.status, body=found.body, position=found.position))
        return settled


def _key(command: Command) -> _Key | None:
    asked = command.body.idempotency
    return None if asked is None else (command.tenant_id, command.body.author.sub, asked.key)


def _logged(command: Command, decision: Decision, position: int, decided_at: datetime) -> LoggedOutcome:
    asked = command.body.idempotency if decision.remember else None
    return LoggedOutcome(
        tenant_id=command.tenant_id,
        command_id=command.id,
        actor=command.body.author.sub,
        asked=_asked(command),
        key=asked.key if asked else None,
        fingerprint=asked.fingerprint if asked else None,
        status=decision.status,
        body=decision.body,
        position=position,
        decided_at=decided_at,
    )


def _asked(command: Command) -> Asked:
    author, data = command.body.author, command.body.data
    refused = data.operation if isinstance(data, RefusedCall) else None
    return Asked(
        role=author.role.value,
        origin=None if author.origin is None else author.origin.model_dump(mode="json"),
        operation=refused or command.type.name,
        aggregate_id=command.aggregate_id,
        data=None if refused else data.model_dump(mode="json", exclude_unset=True),
    )
