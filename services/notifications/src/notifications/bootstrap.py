"""How the service is put together: the only place that knows every class."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import socketio
from fastapi import FastAPI
from starlette.types import ASGIApp

from notifications import background
from notifications.adapters.channel import RedisChannel
from notifications.adapters.connections import Allowance, Doorstep
from notifications.adapters.owners import HttpOwners
from notifications.adapters.recent import RedisRecent, connect
from notifications.adapters.sockets import SocketEmitter, make_server
from notifications.application.admission import Door
from notifications.application.hubs import Hubs, Watchfulness
from notifications.application.live import Limits, Live
from notifications.domain.positions import LiveEvent
from notifications.entrypoints import sockets
from notifications.entrypoints.records import GROUP, TOPICS, EventRecords
from notifications.settings import Settings
from servicekit import metrics, problems
from servicekit.dead_letters import DeadLetters, Limit
from servicekit.health import Health
from servicekit.kafka import Consumers, Producer
from servicekit.removals import Removals
from servicekit.tokens import TokenVerifier


class Notifications:
    """The service: an ASGI app, whose lifespan starts and stops what it needs, and a way to send all sockets away."""

    def __init__(self, settings: Settings) -> None:
        """Put the service together; nothing is connected yet."""
        self._redis = connect(settings.redis)
        self._recent = RedisRecent(self._redis, kept=settings.recent_events, expire_s=settings.recent_seconds)
        self._channel = RedisChannel(settings.redis, receive=self._receive, heard=self._heard)
        self._owners = HttpOwners(settings.owner_urls, ca_file=settings.owner_ca_file)
        self._removals = Removals(
            settings.kafka,
            f"notifications-{settings.instance}",
            settings.kafka_partitions,
            longest_token_seconds=settings.auth_longest_token_seconds,
        )
        self._verifier = TokenVerifier.of(settings, self._removals)
        self._server = make_server(
            cors_origins=settings.cors_origins,
            largest_message=settings.max_message_bytes,
            pending=settings.max_pending,
            allowance=Allowance(burst=settings.max_packets, per_second=settings.packets_per_second),
        )
        self._emitter = SocketEmitter(self._server, pending=settings.max_pending, patience_s=settings.drain_seconds)
        self._hubs = Hubs(
            recent=self._recent,
            owners=self._owners,
            channel=self._channel,
            emitter=self._emitter,
            watchfulness=Watchfulness(
                period_s=settings.head_check_seconds,
                doubt_s=settings.owner_check_seconds,
                readers=settings.history_readers,
            ),
        )
        self._live = Live(
            Door(self._verifier, self._owners, furthest=settings.resume_limit),
            self._hubs,
            self._emitter,
            Limits(
                sockets=settings.max_sockets,
                sockets_of_tenant=settings.max_sockets_tenant,
                sockets_of_user=settings.max_sockets_user,
                leeway_s=settings.auth_leeway_seconds,
            ),
            refusal=lambda principal: self._removals.refusal(principal.tenant_id, principal.sub, principal.iat),
        )
        self._removals.listen(self._live.expel)
        sockets.install(self._server, self._live, self._emitter)
        client_id = f"notifications-{settings.instance}"
        self._producer = Producer(settings.kafka, client_id)
        self._consumers = Consumers(settings.kafka, client_id, settings.kafka_partitions)
        records = EventRecords(self._recent, DeadLetters(self._producer, GROUP, Limit.of(settings)))
        self._consumers.batches(TOPICS, GROUP, records.handle)
        self.broker = self._consumers.broker  # for who documents it
        self._tasks: list[asyncio.Task[None]] = []
        served = socketio.ASGIApp(self._server, other_asgi_app=self._make_http())
        self.app: ASGIApp = Doorstep(served, self._server, sessions=settings.max_sockets)

    def _make_http(self) -> FastAPI:
        health = Health()
        health.add("kafka-producer", self._producer.reaches_kafka)
        health.add("kafka-consumers", lambda: not self._consumers.complaints())
        health.add("dead-letters", lambda: not self._consumers.stopped)
        health.add("removals", lambda: self._removals.loaded)
        health.add("redis", self._recent.ping)
        health.add("redis-channel", lambda: self._channel.connected)
        health.add("background", lambda: not any(task.done() for task in self._tasks))
        http = FastAPI(
            title="Notifications",
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            lifespan=self._lifespan,
            routes=[*health.routes, metrics.route(health)],
        )
        problems.install(http)
        return http

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as running:
            running.push_async_callback(self._redis.aclose)
            await self._owners.start()
            running.push_async_callback(self._owners.stop)
            await self._removals.start()
            running.push_async_callback(self._removals.stop)
            await self._verifier.start()
            running.push_async_callback(self._verifier.stop)
            running.push_async_callback(self._hubs.stop)
            for name, forever in (("channel", self._channel.run()), ("watch", self._hubs.watch())):
                self._tasks.append(background.begin(name, forever))
                running.push_async_callback(background.end, self._tasks[-1])
            await self._producer.start()
            running.push_async_callback(self._producer.stop)
            await self._consumers.start()
            running.push_async_callback(self._consumers.stop)
            yield

    async def send_away(self) -> None:
        """Let nobody in any more and close all sockets: their clients connect again, to another instance."""
        self._live.close()
        await self._emitter.closed()

    def _receive(self, tenant_id: UUID, events: Sequence[LiveEvent]) -> None:
        self._hubs.receive(tenant_id, events)

    def _heard(self, tenant_id: UUID) -> None:
        self._hubs.heard(tenant_id)
