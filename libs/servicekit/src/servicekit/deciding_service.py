"""A service that decides, put together: from its commands on Kafka to its read API.

How to use it, in a service's ``bootstrap.py``::

    def make_app(settings: Settings) -> FastAPI:
        service = DecidingService(
            settings, "tenancy", reads=Permission.ROSTER_READ, answers_after_publication=True
        )
        service.decide(TenancyDecider())
        return service.app(http.routes(service.owner))

What a service has besides goes in before `DecidingService.app`: consumers of its own are registered on
``service.consumers``; what must be started and stopped is appended to ``service.parts`` (started before the consumers,
stopped after them); what readiness depends on is added to ``service.health``.

Nothing here waits for anything outside at its start: HTTP comes up, ``/healthz`` is 200, ``/readyz`` names what is
missing, and PostgreSQL and Kafka are tried again in the background until they are there.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol
from uuid import UUID

from fastapi import APIRouter, FastAPI
from pydantic import Field

from production_contracts.events import Stream
from production_contracts.roles import Permission
from production_contracts.topics import COMMANDS_OF
from servicekit import journal, metrics, owner_api, problems, tracing
from servicekit.database import Database
from servicekit.dead_letters import DeadLetters, Limit
from servicekit.deciding import Decider
from servicekit.health import Health
from servicekit.kafka import Consumers, Producer
from servicekit.owner_api import Owner, journal_routes
from servicekit.relay import Relay
from servicekit.removals import Removals
from servicekit.replies import Replies
from servicekit.settings import AuthSettings, DatabaseSettings, DeadLetterSettings, KafkaSettings, ServiceSettings
from servicekit.tokens import TokenVerifier
from servicekit.worker import CommandWorker

GATHER_MS = 3
"""How long a batch may wait for what came while the one before was decided."""
_NOBODY = UUID(int=0)


class DecidingSettings(ServiceSettings, KafkaSettings, DeadLetterSettings, DatabaseSettings, AuthSettings):
    """What a service that decides can be told; the service adds its prefix and port."""

    commands_at_once: int = Field(
        default=500, ge=1, le=5_000, description="Commands that are decided in one transaction at most"
    )


class Part(Protocol):
    """Something that lives as long as the service does; neither call may wait for an outage to end."""

    async def start(self) -> None:
        """Begin."""
        ...

    async def stop(self) -> None:
        """Finish what is in hand, within a deadline."""
        ...


class DecidingService:
    """The parts of a service that owns a stream; nothing is connected before the app's lifespan begins."""

    def __init__(
        self, settings: DecidingSettings, stream: Stream, *, reads: Permission, answers_after_publication: bool
    ) -> None:
        """Make the parts; ``reads`` is the permission that the read API asks for.

        With ``answers_after_publication`` nobody learns an outcome before its events are on Kafka.
        """
        client_id = f"{stream}-{settings.instance}"
        self.stream = stream
        self.database = Database(
            settings.database,
            replica=settings.database_replica,
            pool_size=settings.database_pool_size,
            command_timeout=settings.database_timeout_seconds,
        )
        self.removals = Removals(
            settings.kafka,
            client_id,
            settings.kafka_partitions,
            longest_token_seconds=settings.auth_longest_token_seconds,
        )
        self.verifier = TokenVerifier.of(settings, self.removals)
        self.producer = Producer(settings.kafka, client_id)
        self.dead_letters = DeadLetters(self.producer, stream, Limit.of(settings))
        self.relay = Relay(
            self.database,
            self.producer,
            stream,
            holder=settings.instance,
            marks_at_once=answers_after_publication,
        )
        self.replies = Replies(self.producer, self.relay, stream, after_publication=answers_after_publication)
        self.consumers = Consumers(settings.kafka, client_id, settings.kafka_partitions)
        self.owner = Owner(stream, self.database, self.verifier, reads)
        self.parts: list[Part] = []
        self.health = Health()
        self.health.add("postgresql", self._answers_from_database)
        self.health.add("kafka", self.producer.reaches_kafka)
        self.health.add("consumers", lambda: not self.consumers.complaints())
        self.health.add("dead-letters", lambda: not self.consumers.stopped)
        self.health.add("relay", lambda: self.relay.running)
        self.health.add("removals", lambda: self.removals.loaded)
        self._answers_after_publication = answers_after_publication
        self._commands_at_once = settings.commands_at_once

    def decide(self, decider: Decider) -> None:
        """Consume the stream's commands and have them decided."""
        worker = CommandWorker(
            self.database, decider, self.relay, self.replies, self.dead_letters, removals=self.removals
        )
        topics = [COMMANDS_OF[self.stream].name]
        self.consumers.batches(
            topics, self.stream, worker.handle, max_records=self._commands_at_once, gather_ms=GATHER_MS
        )

    def app(self, *routers: APIRouter) -> FastAPI:
        """Make the HTTP app: the service's own routes, the journal's, health and metrics, and errors as problems."""
        app = FastAPI(title=self.stream, lifespan=self._lifespan, openapi_url=None, telemetry=tracing.OURS_ALONE)
        app.state.broker = self.consumers.broker  # for who documents it
        app.router.routes.extend([*self.health.routes, metrics.route(self.health)])
        for router in (journal_routes(self.owner, answers_after_publication=self._answers_after_publication), *routers):
            app.include_router(router)
        app.add_middleware(metrics.RequestMetrics)
        problems.install(app)
        tracing.trace_requests(app)
        owner_api.install(app)
        return app

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        """Start the parts; stop them the other way round: a batch in hand is decided, published and answered."""
        before: list[Part] = [self.removals, self.verifier, self.producer, self.relay]
        after: list[Part] = [*self.parts, self.consumers]
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.database.stop)
            for part in before:
                stack.push_async_callback(part.stop)
                await part.start()
            stack.push_async_callback(self.replies.stop)
            for part in after:
                stack.push_async_callback(part.stop)
                await part.start()
            yield

    async def _answers_from_database(self) -> bool:
        async with self.database.transaction() as connection:
            await journal.head(connection, _NOBODY)
        return True
