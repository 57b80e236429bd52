"""What a socket can do: come in, renew its token, go; and what the clock does to it."""

import asyncio
import time
from collections import Counter as Counts
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge

from notifications.application.admission import Admission, Door
from notifications.application.hub import Hub, Seat
from notifications.application.hubs import Hubs
from notifications.application.ports import Emitter
from production_contracts import problems
from servicekit.logs import bound
from servicekit.problems import ProblemError
from servicekit.tokens import Principal

SOCKETS = Gauge("notifications_sockets", "Sockets that are connected and authenticated")
CONNECTIONS = Counter("notifications_connections", "Clients that asked to connect", ["outcome"])
RESUMES = Counter("notifications_resumes", "Where sockets began, counted per stream", ["stream", "start"])
EXPELLED = Counter("notifications_expelled", "Sockets that were closed because their user was removed")
RENEWALS = Counter("notifications_renewals", "Tokens that clients sent to follow their last", ["outcome"])

H = TypeVar("H", bound=Hashable)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What an instance bears, in all and of one tenant and user; the verifier's tolerance in seconds for clocks."""

    sockets: int
    sockets_of_tenant: int
    sockets_of_user: int
    leeway_s: float


@dataclass(kw_only=True, slots=True, eq=False)
class _Presence:
    seat: Seat
    joining: asyncio.Task[None]
    expiry: asyncio.TimerHandle


class Live:
    """The sockets of this instance."""

    def __init__(
        self,
        door: Door,
        hubs: Hubs,
        emitter: Emitter,
        limits: Limits,
        *,
        refusal: Callable[[Principal], str | None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin without sockets; ``clock`` gives seconds since 1970.

        ``refusal`` says why somebody who was let in is not any more, None where there is nothing to say.
        """
        self._refusal = refusal
        self._door = door
        self._hubs = hubs
        self._emitter = emitter
        self._limits = limits
        self._clock = clock
        self._present: dict[str, _Presence] = {}
        self._of_tenant: Counts[UUID] = Counts()
        self._of_user: Counts[tuple[UUID, str]] = Counts()
        self._at_the_door = 0
        self._closed = False

    async def admit(self, auth: Any) -> Admission:  # noqa: ANN401 - whatever the client sent
        """Decide whether a client may connect.

        Raises:
            ProblemError: why not.
        """
        self._at_the_door += 1
        try:
            self._check_room()
            return await self._door.admit(auth, self._check_share)
        except ProblemError as error:
            CONNECTIONS.labels(error.kind.slug).inc()
            raise
        finally:
            self._at_the_door -= 1

    def _check_room(self) -> None:
        if self._closed or len(self._present) + self._at_the_door > self._limits.sockets:
            detail = "This instance takes no more connections for the moment."
            raise ProblemError(problems.UNAVAILABLE, detail)

    def _check_share(self, principal: Principal) -> None:
        """Hold that a user and a tenant have not taken what they may; what others have taken shows in nothing here."""
        user = principal.tenant_id, principal.sub
        if self._of_user[user] >= self._limits.sockets_of_user:
            detail = f"There are {self._limits.sockets_of_user} connections of this user here already."
            raise ProblemError(problems.RATE_LIMITED, detail)
        if self._of_tenant[principal.tenant_id] >= self._limits.sockets_of_tenant:
            detail = f"There are {self._limits.sockets_of_tenant} connections of this organisation here already."
            raise ProblemError(problems.RATE_LIMITED, detail)

    def enter(self, sid: str, admission: Admission) -> None:
        """Give an admitted socket its place; what it is sent begins once the caller has let the loop go on.

        Raises:
            ProblemError: `forbidden`: whoever it is was removed while being admitted; `rate-limited`: others of the
                same user or tenant were quicker.
        """
        principal = admission.principal
        if (refusal := self._refusal(principal)) is not None:
            CONNECTIONS.labels(problems.FORBIDDEN.slug).inc()
            raise ProblemError(problems.FORBIDDEN, refusal)
        try:
            self._check_share(principal)
        except ProblemError as error:
            CONNECTIONS.labels(error.kind.slug).inc()
            raise
        positions = {stream: start.position for stream, start in admission.starts.items()}
        seat = Seat(sid=sid, principal=principal, positions=positions)
        with bound(tenant_id=principal.tenant_id):
            hub = self._hubs.enter(seat, admission.heads)
            joining = asyncio.create_task(self._join(hub, seat, admission), name="join")
        joining.add_done_callback(lambda task: self._report(sid, task))
        self._present[sid] = _Presence(seat=seat, joining=joining, expiry=self._expire_at(sid, principal.exp))
        self._of_tenant[principal.tenant_id] += 1
        self._of_user[principal.tenant_id, principal.sub] += 1
        CONNECTIONS.labels("accepted").inc()
        SOCKETS.set(len(self._present))

    def expel(self, tenant_id: UUID, sub: str | None) -> None:
        """Close the sockets of a user who was removed from a tenant; without ``sub`` those of all its users."""
        for sid, presence in list(self._present.items()):
            principal = presence.seat.principal
            is_meant = principal.tenant_id == tenant_id and sub in {None, principal.sub}
            if is_meant and self._refusal(principal) is not None:
                EXPELLED.inc()
                self._dismiss(sid)

    def leave(self, sid: str) -> None:
        """Forget a socket that is gone."""
        self._hubs.leave(sid)
        presence = self._present.pop(sid, None)
        if presence is not None:
            principal = presence.seat.principal
            _give_back(self._of_tenant, principal.tenant_id)
            _give_back(self._of_user, (principal.tenant_id, principal.sub))
            presence.joining.cancel()
            presence.expiry.cancel()
        SOCKETS.set(len(self._present))

    async def renew(self, sid: str, data: Any) -> datetime:  # noqa: ANN401 - whatever the client sent
        """Let a socket go on with another token, and tell until when.

        Raises:
            ProblemError: why not; the token before stays in force.
        """
        presence = self._present.get(sid)
        if presence is None:
            detail = "This connection is closed."
            raise ProblemError(problems.UNAUTHENTICATED, detail)
        try:
            principal = await self._door.renew(presence.seat.principal, data)
        except ProblemError as error:
            RENEWALS.labels(error.kind.slug).inc()
            raise
        RENEWALS.labels("accepted").inc()
        if self._present.get(sid) is presence:
            presence.expiry.cancel()
            presence.expiry = self._expire_at(sid, principal.exp)
            presence.seat.principal = principal
        return datetime.fromtimestamp(principal.exp, UTC)

    def close(self) -> None:
        """Let nobody in any more and close all sockets, so that their clients go on at another instance."""
        self._closed = True
        for sid in list(self._present):
            self._dismiss(sid)

    async def _join(self, hub: Hub, seat: Seat, admission: Admission) -> None:
        self._emitter.tell(seat.sid, "ready", admission.ready)
        for message in admission.resyncs:
            self._emitter.tell(seat.sid, "resync", message)
        for stream, start in admission.starts.items():
            behind = start.position < admission.heads[stream].position
            RESUMES.labels(stream, "resync" if start.resync else "behind" if behind else "head").inc()
        await hub.join(seat)

    def _expire_at(self, sid: str, exp: float) -> asyncio.TimerHandle:
        delay = max(0.0, exp + self._limits.leeway_s - self._clock())
        return asyncio.get_running_loop().call_later(delay, self._dismiss, sid)

    def _dismiss(self, sid: str) -> None:
        self._hubs.lose(sid)
        self.leave(sid)

    def _report(self, sid: str, task: asyncio.Task[None]) -> None:
        """Send a socket away that could not be brought up to date: it comes back with where it was."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("join_failed", exc_info=error)
            self._dismiss(sid)


def _give_back(counts: Counts[H], key: H) -> None:
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]
