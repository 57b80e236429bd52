"""The services that own the streams, as notifications sees them: their heads and events over HTTP."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

from fastapi import FastAPI, Request

from production_contracts import problems
from production_contracts.events import ARTIST_CREATED, BOOKING_CREATED, EventType, Stream
from servicekit.problems import ProblemError, install
from servicekit.tokens import TokenVerifier

KINDS = {"booking": BOOKING_CREATED, "tenancy": ARTIST_CREATED}
PREFIX = {"booking": "/booking", "tenancy": "/tenancy"}
CIPHERTEXT = "sealed-by-the-gateway"
_SEALED = {"kid": "k1", "ct": CIPHERTEXT}
SENSITIVE = {
    "notes": _SEALED,
    "contact": {"name": _SEALED, "email": None, "phone": _SEALED},
    "fee": {"amount": _SEALED, "currency": _SEALED},
}
"""What an event of a booking holds that no socket is told."""


class StubOwners:
    """Both owners in one app, at ``/booking`` and ``/tenancy``; what happened is made by `happen`."""

    def __init__(self, verifier: TokenVerifier) -> None:
        """Verify tokens as the owners do."""
        self.events: defaultdict[tuple[UUID, str], list[dict[str, Any]]] = defaultdict(list)
        self.epochs: dict[str, str] = {"booking": "b1", "tenancy": "t1"}
        self.down = False
        self._verifier = verifier
        self.app = FastAPI()
        install(self.app)
        for stream in KINDS:
            self.app.add_api_route(f"{PREFIX[stream]}/v1/head", self._head(stream))
            self.app.add_api_route(f"{PREFIX[stream]}/v1/events", self._events(stream))

    def happen(self, tenant_id: UUID, stream: Stream, count: int = 1) -> list[dict[str, Any]]:
        """Let events happen; nobody has been told of them."""
        history = self.events[tenant_id, stream]
        made = [make_event(KINDS[stream], len(history) + number) for number in range(1, count + 1)]
        history.extend(made)
        return made

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Answer `unavailable` while inside."""
        self.down = True
        try:
            yield
        finally:
            self.down = False

    async def _tenant(self, request: Request) -> UUID:
        if self.down:
            raise ProblemError(problems.UNAVAILABLE, "switched off")
        return (await self._verifier.authenticate(request)).tenant_id

    def _head(self, stream: str) -> Any:  # noqa: ANN401 - a route
        async def head(request: Request) -> dict[str, Any]:
            history = self.events[await self._tenant(request), stream]
            return {"stream": stream, "position": len(history), "epoch": self.epochs[stream]}

        return head

    def _events(self, stream: str) -> Any:  # noqa: ANN401 - a route
        async def events(request: Request, after: int, limit: int) -> dict[str, Any]:
            history = self.events[await self._tenant(request), stream]
            items = history[after : after + limit]
            return {"items": items, "position": after + len(items)}

        return events


def make_event(kind: EventType, position: int) -> dict[str, Any]:
    """Make an event as its owner stores it, with what is sensitive sealed."""
    moment = "2027-05-08T20:00:00.000Z"
    data = {
        "id": str(uuid4()),
        "name": "Ella",
        "title": f"night {position}",
        "status": "active" if kind is ARTIST_CREATED else "pencil",
        "artist_id": str(uuid4()),
        "start_time": moment,
        "end_time": "2027-05-08T22:00:00.000Z",
        "version": 1,
        "position": position,
        "created_by": "user_ana",
        "created_at": moment,
        "updated_at": moment,
    }
    return {
        "stream": kind.stream,
        "position": position,
        "id": str(uuid4()),
        "type": kind.name,
        "aggregate_id": data["id"],
        "version": 1,
        "occurred_at": moment,
        "actor": "user_ana",
        "data": data | SENSITIVE,
    }
