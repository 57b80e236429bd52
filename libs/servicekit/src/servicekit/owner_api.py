"""The read API of a service that owns a stream: what is the same in each of them.

The gateway and notifications ask it with the caller's own token, which is verified here again. Every answer is read
from one snapshot and says in ``Position`` up to where.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
import structlog
from fastapi import APIRouter, FastAPI, Header, Query, Request
from prometheus_client import Counter
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from production_contracts import problems
from production_contracts.events import Stream
from production_contracts.roles import Permission, may
from servicekit import journal
from servicekit.audit import store
from servicekit.database import Database, is_transient
from servicekit.looks import HEAD, Look, Row, Seen
from servicekit.problems import NOT_THERE, ProblemError
from servicekit.removals import TENANT_DELETED
from servicekit.tokens import Principal, TokenVerifier

LARGEST_POSITION = 2**63 - 1
LARGEST_EVENT_PAGE = 500
POSITION_WAIT_S = 2.0
REPLICA_WAIT_S = 0.25
"""For so long a replica may be behind before the database itself is read."""
_POSITION_POLL_S = 0.02

REPLICA_READS = Counter(
    "http_replica_reads_total", "Reads for which a replica would do, by where they were made", ["where"]
)

_log = structlog.get_logger(__name__)

MinPosition = Annotated[int, Header(ge=0, le=LARGEST_POSITION)]
After = Annotated[int, Query(ge=0, le=LARGEST_POSITION)]
EventLimit = Annotated[int, Query(ge=1, le=LARGEST_EVENT_PAGE)]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A read-only transaction on one tenant, and the head of its stream in it, with the time of its last event."""

    connection: AsyncConnection
    principal: Principal
    tenant_id: UUID
    position: int
    last_at: datetime | None

    def answer(self, body: Any, *, position: int | None = None) -> Response:  # noqa: ANN401 - whatever JSON there is
        """Write a body with the snapshot's position; of the past, with the one that it was read at."""
        return answer(body, self.position if position is None else position)


def answer(body: Any, position: int) -> Response:  # noqa: ANN401 - whatever JSON there is
    """Write a body with the position that it was read at."""
    return Response(orjson.dumps(body), headers={"Position": str(position)}, media_type="application/json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """What a look saw for whoever asked."""

    principal: Principal
    seen: Seen

    @property
    def position(self) -> int:
        """The head of the tenant's stream."""
        return self.seen.position

    @property
    def rows(self) -> Sequence[Row]:
        """The rows, as of that head."""
        return self.seen.rows

    def answer(self, body: Any) -> Response:  # noqa: ANN401 - whatever JSON there is
        """Write a body with the position that it was read at."""
        return answer(body, self.position)


class Owner:
    """Who may read what of a stream, and from which state."""

    def __init__(self, stream: Stream, database: Database, verifier: TokenVerifier, permission: Permission) -> None:
        """Serve ``stream`` from ``database`` to holders of ``permission``."""
        self.stream = stream
        self._database = database
        self._verifier = verifier
        self._permission = permission

    async def principal(self, request: Request, needs: Permission | None = None) -> Principal:
        """Tell who asks; ``needs`` is what the read asks for, if another permission than the others.

        Raises:
            ProblemError: nobody whom we know, or who may not.
        """
        principal = await self._verifier.authenticate(request)
        permission = needs or self._permission
        if not may(principal.role, permission):
            raise ProblemError(problems.FORBIDDEN, f"this needs the permission {permission}")
        return principal

    async def look(
        self, request: Request, asked: Look, values: Mapping[str, Any], at_least: int = 0, *, replica: bool = True
    ) -> Sight:
        """Look for whoever asks, at a state that holds at least the events up to a position.

        A ``replica`` will do where all that is read follows from the events. It is asked no earlier than it holds
        what the database itself does: whoever was answered reads what they wrote, wherever they read it. Where it is
        too far behind, or away, the database itself is read.

        Raises:
            ProblemError: not authenticated, not allowed, the tenant deleted, or the position not reached in time.
        """
        principal = await self.principal(request)
        if replica and self._database.has_replica:
            seen = await self._look_at_replica(principal.tenant_id, asked, values, at_least)
            if seen is not None:
                return Sight(principal=principal, seen=seen)
        waiting = _Waiting(POSITION_WAIT_S)
        while True:
            seen = await self._database.look(principal.tenant_id, asked, values)
            if seen.deleted:
                raise ProblemError(problems.FORBIDDEN, TENANT_DELETED)
            if seen.position >= at_least:
                return Sight(principal=principal, seen=seen)
            if not await waiting.goes_on():
                raise _not_reached(seen.position, at_least)

    async def _look_at_replica(
        self, tenant_id: UUID, asked: Look, values: Mapping[str, Any], at_least: int
    ) -> Seen | None:
        """Look at the replica as of now, or later; None where it does not get there soon.

        That a tenant is deleted is asked of the database itself: a replica may not have heard.
        """
        now = await self._database.look(tenant_id, HEAD, {})
        if now.deleted:
            raise ProblemError(problems.FORBIDDEN, TENANT_DELETED)
        wanted = max(at_least, now.position)
        waiting = _Waiting(REPLICA_WAIT_S)
        try:
            while True:
                seen = await self._database.look(tenant_id, asked, values, replica=True)
                if seen.position >= wanted:
                    REPLICA_READS.labels(where="replica").inc()
                    return seen
                if not await waiting.goes_on():
                    break
        except Exception as error:
            if not is_transient(error):
                raise
            _log.warning("replica_unavailable", error=repr(error))
        REPLICA_READS.labels(where="primary").inc()
        return None

    @asynccontextmanager
    async def snapshot(
        self, request: Request, at_least: int = 0, *, needs: Permission | None = None
    ) -> AsyncIterator[Snapshot]:
        """Open a snapshot of the database itself, for what a look is too short for; ``needs`` as in `principal`.

        Raises:
            ProblemError: as `look`.
        """
        principal = await self.principal(request, needs)
        waiting = _Waiting(POSITION_WAIT_S)
        while True:
            async with self._database.reading(principal.tenant_id) as connection:
                head = await journal.standing(connection, principal.tenant_id)
                if head.deleted:
                    raise ProblemError(problems.FORBIDDEN, TENANT_DELETED)
                if head.position >= at_least:
                    yield Snapshot(
                        connection=connection,
                        principal=principal,
                        tenant_id=principal.tenant_id,
                        position=head.position,
                        last_at=head.last_at,
                    )
                    return
            if not await waiting.goes_on():
                raise _not_reached(head.position, at_least)


class _Waiting:
    """Patience, of so many seconds, with a position that has not been reached."""

    def __init__(self, seconds: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self._deadline = self._clock() + seconds

    async def goes_on(self) -> bool:
        """Wait a little; False where it has been waited for long enough."""
        if self._clock() > self._deadline:
            return False
        await asyncio.sleep(_POSITION_POLL_S)
        return True


def _not_reached(position: int, at_least: int) -> ProblemError:
    detail = f"this stream stands at {position} and has not reached {at_least} yet"
    return ProblemError(problems.UNAVAILABLE, detail, headers={"Retry-After": "1"})


def journal_routes(owner: Owner, *, answers_after_publication: bool) -> APIRouter:
    """Serve ``/v1/events``, ``/v1/audit``, ``/v1/commands/{id}`` and ``/v1/head``.

    With ``answers_after_publication`` a command has no outcome yet while its events are not on Kafka.
    """
    router = APIRouter(prefix="/v1")

    @router.get("/events")
    async def events(
        request: Request, after: After = 0, limit: EventLimit = 100, min_position: MinPosition = 0
    ) -> Response:
        sight = await owner.look(request, journal.EVENTS_AFTER, {"after": after, "limit": limit}, min_position)
        found = [journal.event_json(row, owner.stream) for row in sight.rows]
        position = found[-1]["position"] if found else min(after, sight.position)
        return sight.answer({"items": found, "position": position})

    @router.get("/audit")
    async def audit(
        request: Request, after: After = 0, limit: EventLimit = 100, min_position: MinPosition = 0
    ) -> Response:
        """Answer the entries of the audit trail past a sequence, as they are chained."""
        async with owner.snapshot(request, min_position, needs=Permission.AUDIT_READ) as snapshot:
            tenant, connection = snapshot.tenant_id, snapshot.connection
            found = await store.entries_after(connection, owner.stream, tenant, after, limit)
            stands = await store.standing(connection, owner.stream, tenant)
            sequence = found[-1]["sequence"] if found else min(after, stands.end.sequence)
            return snapshot.answer({"items": found, "sequence": sequence, "begins_at": stands.begins.position})

    @router.get("/commands/{command_id}")
    async def command(request: Request, command_id: UUID) -> Response:
        async with owner.snapshot(request) as snapshot:
            found = await journal.outcome(
                snapshot.connection, snapshot.tenant_id, command_id, published_only=answers_after_publication
            )
            if found is None:
                raise ProblemError(problems.NOT_FOUND, NOT_THERE)
            outcome = {"status": found.status, "body": found.body}
            return snapshot.answer({"command_id": command_id, "outcome": outcome, "position": found.position})

    @router.get("/head")
    async def head(request: Request) -> Response:
        sight = await owner.look(request, journal.EPOCH, {}, replica=False)
        return sight.answer({"stream": owner.stream, "position": sight.position, "epoch": sight.rows[0].epoch})

    return router


def install(app: FastAPI) -> None:
    """Let an outage of PostgreSQL answer as `unavailable`."""
    for kind in (DBAPIError, PoolTimeoutError, OSError):
        app.add_exception_handler(kind, _answer_outage)


async def _answer_outage(_request: Request, error: Exception) -> Response:
    if not is_transient(error):
        raise error
    outage = ProblemError(problems.UNAVAILABLE, "The database is away for the moment.", headers={"Retry-After": "1"})
    return outage.response()
