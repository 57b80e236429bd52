"""How the gateway is put together: the only place that knows every class."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import Any, Final, Protocol

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from gateway.adapters.commands import KafkaCommands
from gateway.adapters.keys import HttpShelf
from gateway.adapters.limits import RateLimits, RedisCounts
from gateway.adapters.owners import HttpOwners
from gateway.adapters.replies import KafkaReplies, partition_of
from gateway.application.desk import Desk
from gateway.application.people import People
from gateway.application.ports import CommandLine, Keyring, Limits, Owners, ReplyLine
from gateway.application.reader import OwnerProblemError, Reader
from gateway.application.refusals import Refusals
from gateway.application.sealing import Sealing
from gateway.application.tidings import Tidings
from gateway.application.usage import Usage
from gateway.domain.command_ids import CommandIds
from gateway.domain.fingerprints import Fingerprints
from gateway.domain.pseudonyms import Pseudonyms
from gateway.entrypoints import answers
from gateway.entrypoints.admission import Admission
from gateway.entrypoints.artists import Artists
from gateway.entrypoints.bookings import Bookings
from gateway.entrypoints.changes import Changes, Waits
from gateway.entrypoints.front import Front
from gateway.entrypoints.openapi.document import openapi
from gateway.entrypoints.pages import Pages
from gateway.entrypoints.records import Records
from gateway.entrypoints.routes import routes
from gateway.entrypoints.tenants import Tenants
from gateway.entrypoints.webhooks import Webhooks
from gateway.settings import Settings
from servicekit import metrics, problems, product, tracing
from servicekit.clerk import Facts
from servicekit.dead_letters import DeadLetters
from servicekit.health import Health
from servicekit.kafka import Consumers, Producer
from servicekit.keyring import Keyring as HeldKeys
from servicekit.product import Product
from servicekit.removals import Removals
from servicekit.tokens import TokenVerifier

EXPOSED: Final = (
    "ETag",
    "Link",
    "Location",
    "Position",
    "Retry-After",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
)
ALLOWED: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Min-Position",
    "Prefer",
)
METHODS: Final = ("GET", "HEAD", "POST", "PATCH", "DELETE")


class Part(Protocol):
    """Something that is started before the first request and stopped after the last; neither waits for an outage."""

    async def start(self) -> None:
        """Start."""
        ...

    async def stop(self) -> None:
        """Stop."""
        ...


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the app is made of; a test states its own."""

    verifier: TokenVerifier
    limits: Limits
    commands: CommandLine
    replies: ReplyLine
    owners: Owners
    keyring: Keyring
    product: Product
    health: Health = field(default_factory=Health)
    started: Sequence[Part] = ()


class _App(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Give the document that our table of operations makes, instead of one guessed from signatures."""
        if self.openapi_schema is None:
            self.openapi_schema = openapi(self.version)
        return self.openapi_schema


def build(settings: Settings) -> FastAPI:
    """Build the gateway that the settings describe; nothing is connected before its lifespan begins."""
    name = f"gateway-{settings.instance}"
    producer = Producer(settings.kafka, name)
    consumers = Consumers(settings.kafka, name, settings.kafka_partitions)
    replies = KafkaReplies(
        consumers,
        DeadLetters(producer, "gateway"),
        partition_of(settings.instance, settings.kafka_partitions),
        capacity=settings.waiting_commands,
    )
    owners = HttpOwners(
        settings.owner_urls,
        ca_file=settings.owner_ca_file,
        timeout_seconds=settings.owner_timeout_seconds,
        connections=settings.owner_connections,
    )
    removals = Removals(
        settings.kafka,
        name,
        settings.kafka_partitions,
        longest_token_seconds=settings.auth_longest_token_seconds,
    )
    verifier = TokenVerifier.of(settings, removals)
    shelf = HttpShelf(settings.tenancy_url, settings.keys_secret, ca_file=settings.owner_ca_file)
    masters = settings.masters()
    keyring = HeldKeys(
        shelf,
        masters,
        legacy=settings.seal_keys,
        capacity=settings.keys_held,
        fresh_seconds=settings.keys_fresh_seconds,
    )
    removals.listen(lambda tenant_id, sub: keyring.drop(tenant_id) if sub is None else None)
    counts = RedisCounts(settings.redis, timeout_seconds=settings.rate_limit_timeout_seconds)
    heard = product.of(settings)
    health = Health()
    health.add("kafka", producer.reaches_kafka)
    health.add("replies", lambda: replies.attached and not consumers.complaints())
    health.add("removals", lambda: removals.loaded)
    health.add("redis", counts.check, required=False)
    for service in ("booking", "tenancy"):
        health.add(service, partial(owners.answers, service), required=False)
    parts = Parts(
        verifier=verifier,
        limits=RateLimits(
            counts,
            user=settings.rate_limit_user,
            tenant=settings.rate_limit_tenant,
            timeout_seconds=settings.rate_limit_timeout_seconds,
        ),
        commands=KafkaCommands(producer),
        replies=replies,
        owners=owners,
        keyring=keyring,
        product=heard,
        health=health,
        started=(removals, verifier, owners, shelf, masters, keyring, counts, heard, producer, consumers, replies),
    )
    app = assemble(settings, parts)
    app.state.broker = consumers.broker  # for who documents it
    return app


def assemble(settings: Settings, parts: Parts) -> FastAPI:
    """Assemble the app from its parts."""
    refusals = Refusals(parts.commands)
    app = _App(
        title="Production Tool",
        version=version("production-gateway"),
        lifespan=lambda _app: _running((*parts.started, refusals)),
        redirect_slashes=False,
        redoc_url=None,
        telemetry=tracing.OURS_ALONE,
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=METHODS,
                allow_headers=ALLOWED,
                expose_headers=EXPOSED,
            ),
            Middleware(metrics.RequestMetrics),
            Middleware(Front, places=settings.requests_in_hand),
        ],
    )
    problems.install(app)
    tracing.trace_requests(app)
    app.add_exception_handler(OwnerProblemError, answers.owner_problem)
    ids = CommandIds(settings.command_id_key)
    sealing = Sealing(parts.keyring)
    admission = Admission(parts.verifier, parts.limits, refusals)
    namespaces = {issuer.issuer: issuer.namespace for issuer in settings.auth_issuers}
    reader = Reader(parts.owners, sealing, People(parts.keyring, namespaces), ids)
    desk = Desk(parts.commands, parts.replies, ids)
    facts = Facts(settings.webhook_namespace, names=True)
    tidings = Tidings(facts, parts.keyring, desk, wait_seconds=settings.wait_seconds)
    changes = Changes(
        desk,
        sealing,
        Fingerprints(settings.command_id_key),
        Waits(default=settings.wait_seconds, longest=settings.wait_seconds_longest),
        Usage(parts.product, Pseudonyms(settings.command_id_key)),
    )
    pages = Pages(parts.product)
    app.router.routes.extend(
        routes(
            Bookings(admission, changes, reader, sealing, pages),
            Artists(admission, changes, reader, pages),
            Tenants(admission, changes, reader),
            Records(admission, reader, pages),
            Webhooks(settings.clerk_webhook_secrets, tidings),
        )
    )
    app.router.routes.extend([*parts.health.routes, metrics.route(parts.health)])
    return app


@asynccontextmanager
async def _running(parts: Sequence[Part]) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for part in parts:
            stack.push_async_callback(part.stop)
            await part.start()
        yield
