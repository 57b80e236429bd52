"""The monolith's application: book, read a booking, list bookings."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson
from fastapi import FastAPI, Request
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from starlette.responses import Response
from starlette.routing import Route
from uuid_utils.compat import uuid7

from bench.baselines.monolith import store
from bench.baselines.monolith.settings import Settings
from booking.adapters import bookings
from booking.adapters.bookings import Filters
from booking.application.representation import booking_json, conflict_json, slot_json
from booking.domain.booking import Booking, Slot, Status
from booking.domain.calendar import HORIZON, next_free
from gateway.adapters.limits import RateLimits, RedisCounts
from gateway.domain.fingerprints import Fingerprints
from gateway.domain.preconditions import is_unchanged, version_tag
from gateway.entrypoints import bodies, conditions, queries
from production_contracts import problems as kinds
from production_contracts.bookings import BookingRequest
from production_contracts.commands import BY_DATA, CreateBooking
from production_contracts.problems import problem_body
from production_contracts.roles import Permission, may
from servicekit import clock, problems, tracing
from servicekit.audit.chain import Asked, Decided, Entered, enter
from servicekit.problems import NOT_THERE, ProblemError
from servicekit.tokens import Principal, TokenVerifier

JSON: Final = "application/json"
MOST: Final = 100
CACHED: Final = {"Cache-Control": "private, no-cache"}


@dataclass(frozen=True)
class _Call:
    """A request to book: whose, what was stated, what its outcome begins with, and the position that it holds."""

    principal: Principal
    stated: dict[str, Any]
    outcome: dict[str, Any]
    taken: store.Taken

    def enter(self, booking: Booking, status: int, outcome: str, events: list[dict[str, Any]]) -> Entered:
        """Chain what became of it onto the audit trail."""
        asked = Asked(
            role=self.principal.role.value,
            origin=None,
            operation=BY_DATA[CreateBooking].name,
            aggregate_id=booking.id,
            data=self.stated,
        )
        decided = Decided(
            tenant_id=self.principal.tenant_id,
            command_id=self.outcome["command"],
            at=booking.created_at,
            actor=self.principal.sub,
            status=status,
            outcome=outcome,
            position=self.taken.position if events else self.taken.position - 1,
            events=events,
        )
        entered, _ = enter("booking", self.taken.trail, asked, decided)
        return entered


class Monolith:
    """All of it."""

    def __init__(self, settings: Settings) -> None:
        """Make the parts; nothing is connected yet."""
        options: dict[str, Any] = {
            "timeout": 5.0,
            "command_timeout": settings.database_timeout_seconds,
            "server_settings": {"application_name": "monolith", "timezone": "UTC", "jit": "off"},
        }
        self._engine = create_async_engine(
            settings.database_url,
            pool_size=settings.database_pool_size,
            max_overflow=0,
            connect_args=options,
            json_deserializer=orjson.loads,
        )
        self._verifier = TokenVerifier.of(settings)
        self._counts = RedisCounts(settings.redis_url, timeout_seconds=0.1)
        self._limits = (
            RateLimits(
                self._counts, user=settings.rate_limit_user, tenant=settings.rate_limit_tenant, timeout_seconds=0.1
            )
            if settings.rate_limits
            else None
        )
        self._fingerprints = Fingerprints(b"a key of thirty-two bytes, no less")

    def app(self) -> FastAPI:
        """Make the application."""
        app = FastAPI(lifespan=self._lifespan, openapi_url=None, telemetry=tracing.OURS_ALONE)
        problems.install(app)
        app.router.routes.extend(
            [
                Route("/v1/bookings", self.create, methods=["POST"]),
                Route("/v1/bookings", self.find, methods=["GET"]),
                Route("/v1/bookings/{id}", self.show, methods=["GET"]),
                Route("/readyz", self.ready, methods=["GET"]),
            ]
        )
        return app

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        await self._verifier.start()
        yield
        await self._verifier.stop()
        await self._counts.stop()
        await self._engine.dispose()

    async def ready(self, _request: Request) -> Response:
        """``GET /readyz``."""
        async with self._engine.connect():
            return Response(status_code=200)

    async def _admit(self, request: Request, permission: Permission) -> Principal:
        principal = await self._verifier.authenticate(request)
        if self._limits is not None:
            for quota in await self._limits.count(principal.tenant_id, principal.sub):
                if quota.exceeded:
                    raise ProblemError(kinds.RATE_LIMITED, "Too often.", headers={"Retry-After": "1"})
        if not may(principal.role, permission):
            raise ProblemError(kinds.FORBIDDEN, "The role does not hold the permission.")
        return principal

    async def create(self, request: Request) -> Response:
        """``POST /v1/bookings``."""
        principal = await self._admit(request, Permission.BOOKINGS_WRITE)
        asked = await bodies.read(request, BookingRequest)
        key = conditions.idempotency_key(request)
        stated = asked.model_dump(mode="json", exclude_unset=True)
        fingerprint = None if key is None else self._fingerprints.take("POST", request.scope["path"], stated, None)
        outcome = {
            "tenant": principal.tenant_id,
            "command": uuid7(),
            "actor": principal.sub,
            "key": key,
            "fingerprint": fingerprint,
        }
        async with self._engine.begin() as connection:
            taken = await store.take_position(connection, principal.tenant_id)
            if key is not None:
                known = await store.known_key(connection, principal.tenant_id, principal.sub, key)
                if known is not None:
                    await store.give_position_back(connection, principal.tenant_id)
                    return self._repeat(known, fingerprint)
            return await self._book(connection, asked, _Call(principal, stated, outcome, taken))

    async def _book(self, connection: AsyncConnection, asked: BookingRequest, call: "_Call") -> Response:
        now, outcome, position = clock.now(), call.outcome, call.taken.position
        booking = Booking(
            id=uuid7(),
            artist_id=UUID(str(asked.artist_id)),
            slot=Slot(asked.start_time, asked.end_time),
            status=Status(asked.status),
            title=asked.title,
            venue=asked.venue,
            notes=None,
            version=1,
            position=position,
            created_by=outcome["actor"],
            created_at=now,
            updated_at=now,
        )
        row = {
            "tenant": outcome["tenant"],
            "id": booking.id,
            "artist": booking.artist_id,
            "starts": booking.slot.start,
            "ends": booking.slot.end,
            "status": booking.status.value,
            "title": booking.title,
            "venue": booking.venue,
            "notes": None,
            "position": position,
            "actor": booking.created_by,
            "now": now,
        }
        if not await store.book(connection, row):
            return await self._refuse(connection, booking, call)
        made = booking_json(booking)
        body = orjson.dumps(made)
        told = outcome | {"event": uuid7(), "body": body.decode()}
        await store.tell(connection, told, call.enter(booking, 201, "accepted", [_event(booking, told["event"], made)]))
        headers = {"Location": f"/v1/bookings/{booking.id}", "ETag": version_tag(1), "Position": str(position)}
        return Response(body, status_code=201, headers=CACHED | headers, media_type=JSON)

    async def _refuse(self, connection: AsyncConnection, booking: Booking, call: "_Call") -> Response:
        tenant = call.principal.tenant_id
        members: dict[str, Any] = {}
        status = await store.artist_status(connection, tenant, booking.artist_id)
        if status is None:
            kind = kinds.NOT_FOUND
        elif status != "active":
            kind = kinds.ARTIST_ARCHIVED
        else:
            kind = kinds.BOOKING_CONFLICT
            length = booking.slot.end - booking.slot.start
            window = Slot(booking.slot.start, booking.slot.start + HORIZON + length)
            found = await bookings.neighbours(connection, [(tenant, booking.artist_id, window)], 1_000)
            taken = sorted((other for _, other in found), key=lambda other: other.slot)
            conflicts = [conflict_json(other) for other in taken if other.slot.overlaps(booking.slot)][:MOST]
            free = [slot_json(slot) for slot in next_free(booking.slot, [other.slot for other in taken])]
            members = {"conflicts": conflicts, "next_free": free}
        body = problem_body(kind, "It can't be booked.", **members)
        await store.log_refusal(connection, call.outcome, body, call.enter(booking, kind.status, kind.slug, []))
        return Response(
            orjson.dumps(body), status_code=kind.status, headers=CACHED, media_type="application/problem+json"
        )

    def _repeat(self, known: Any, fingerprint: str | None) -> Response:  # noqa: ANN401 - a row
        if known.fingerprint != fingerprint:
            raise ProblemError(kinds.IDEMPOTENCY_KEY_REUSED, "This key was used for another request.")
        return Response(orjson.dumps(known.body), status_code=known.status, headers=CACHED, media_type=JSON)

    async def show(self, request: Request) -> Response:
        """``GET /v1/bookings/{id}``."""
        principal = await self._admit(request, Permission.BOOKINGS_READ)
        booking_id = conditions.path_id(request)
        async with self._engine.begin() as connection:
            position = await store.open_reading(connection, principal.tenant_id)
            booking = await store.booking(connection, principal.tenant_id, booking_id)
        if booking is None:
            raise ProblemError(kinds.NOT_FOUND, NOT_THERE)
        return _answer(request, orjson.dumps(booking_json(booking)), version_tag(booking.version), position)

    async def find(self, request: Request) -> Response:
        """``GET /v1/bookings``, its first page."""
        principal = await self._admit(request, Permission.BOOKINGS_READ)
        asked = queries.read(request, queries.BookingQuery)
        filters = Filters(
            artist_id=None if asked.artist_id is None else UUID(str(asked.artist_id)),
            since=asked.start_time,
            until=asked.end_time,
            status=asked.status,
        )
        async with self._engine.begin() as connection:
            position = await store.open_reading(connection, principal.tenant_id)
            found = await store.listed(connection, principal.tenant_id, filters, asked.limit + 1)
        page = {"items": [booking_json(booking) for booking in found[: asked.limit]], "next_cursor": None}
        body = orjson.dumps(page)
        tag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
        return _answer(request, body, tag, position)


def _event(booking: Booking, event_id: UUID, made: dict[str, Any]) -> dict[str, Any]:
    return {
        "stream": "booking",
        "position": booking.position,
        "id": str(event_id),
        "type": "BookingCreated",
        "aggregate_id": str(booking.id),
        "version": 1,
        "occurred_at": made["created_at"],
        "actor": booking.created_by,
        "data": made,
    }


def _answer(request: Request, body: bytes, tag: str, position: int) -> Response:
    headers = CACHED | {"ETag": tag, "Position": str(position)}
    if_none_match = request.headers.getlist("if-none-match")
    if if_none_match and is_unchanged(", ".join(if_none_match), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=JSON)
