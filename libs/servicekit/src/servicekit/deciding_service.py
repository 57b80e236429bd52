"""A service that decides, put together: what is the same in each, so that a bootstrap names only its own classes.

::

    def build(settings: Settings) -> FastAPI:
        service = DecidingService(settings, "booking", read=Permission.BOOKINGS_READ, answers_after_publication=False)
        roster = Roster(service.database, service.consumers, ...)
        return service.app(BookingDecider(roster), booking_routes(service.owner, roster))
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import APIRouter, FastAPI
from production_contracts.events import Stream
from production_contracts.roles import Permission
from production_contracts.topics import COMMANDS_OF
from sqlalchemy import text

from servicekit import owner_api, problems
from servicekit.database import Database
from servicekit.deciding import Decider
from servicekit.health import Health
from servicekit.kafka import Consumers, DeadLetters, Producer
from servicekit.metrics import metrics_route
from servicekit.owner_api import Owner, journal_routes
from servicekit.relay import Relay
from servicekit.replies import Replies
from servicekit.settings import AuthSettings, DatabaseSettings, KafkaSettings, ServiceSettings
from servicekit.tokens import TokenVerifier
from servicekit.worker import CommandWorker


class DecidingSettings(ServiceSettings, KafkaSettings, DatabaseSettings, AuthSettings):
    """What a service that decides can be told; it adds its prefix and its port."""


class DecidingService:
    """The parts of a service that decides; each connects in the background, so an outage elsewhere stops no start."""

    def __init__(
        self, settings: DecidingSettings, stream: Stream, *, read: Permission, answers_after_publication: bool
    ) -> None:
        """Make the parts.

        ``read`` is the permission to read the stream. With ``answers_after_publication`` a command is answered once
        Kafka has acknowledged its events (cause before effect).
        """
        client = f"{stream}-{settings.instance}"
        self._stream = stream
        self._after_publication = answers_after_publication
        self.database = Database(
            settings.database_url,
            pool_size=settings.database_pool_size,
            command_timeout=settings.database_timeout_seconds,
        )
        self.producer = Producer(settings.kafka_bootstrap, client)
        self.consumers = Consumers(settings.kafka_bootstrap, client, settings.kafka_partitions)
        self.dead_letters = DeadLetters(self.producer)
        self.relay = Relay(self.database, self.producer, stream, settings.instance)
        self.replies = Replies(self.producer, self.relay, stream, after_publication=answers_after_publication)
        self.verifier = TokenVerifier.of(settings)
        self.owner = Owner(stream, self.database, self.verifier, read)
        self.health = Health()
        self.health.add("database", self._database_answers)
        self.health.add("kafka producer", lambda: self.producer.ready)
        self.health.add("kafka consumers", lambda: not self.consumers.complaints())
        self.health.add("relay", lambda: self.relay.running)

    def app(self, decider: Decider, *routers: APIRouter) -> FastAPI:
        """Make the application: it decides commands while it serves the read API."""
        worker = CommandWorker(self.database, decider, self.relay, self.replies, self.dead_letters)
        self.consumers.batches([COMMANDS_OF[self._stream].name], self._stream, worker.handle)
        app = FastAPI(title=f"Production Tool: {self._stream}", lifespan=self._lifespan, openapi_url=None)
        problems.install(app)
        owner_api.install(app)
        app.include_router(journal_routes(self.owner, answers_after_publication=self._after_publication))
        for router in routers:
            app.include_router(router)
        app.router.routes.extend([*self.health.routes, metrics_route()])
        return app

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        """Start in the order of need; stop in reverse: consumers finish their batch while all else still works."""
        async with AsyncExitStack() as parts:
            parts.push_async_callback(self.database.stop)
            for part in (self.verifier, self.producer, self.relay):
                await part.start()
                parts.push_async_callback(part.stop)
            parts.push_async_callback(self.replies.stop)
            await self.consumers.start()
            parts.push_async_callback(self.consumers.stop)
            yield

    async def _database_answers(self) -> bool:
        async with self.database.transaction() as connection:
            await connection.execute(text("select 1 from streams limit 1"))
        return True
