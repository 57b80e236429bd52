"""For tests: the gateway on fakes of what it needs from outside, composed by the same `bootstrap.assemble`."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import aiohttp
import orjson

from gateway.adapters.limits import RateLimits, Window
from gateway.application.ports import CrowdedError, NotSentError, OwnerAnswer, OwnerAwayError
from gateway.bootstrap import Parts, assemble
from gateway.settings import Settings
from production_contracts.commands import Command
from production_contracts.envelope import KafkaRecord, read_command
from production_contracts.outcomes import Outcome, Reply
from production_contracts.problems import MEDIA_TYPE, ProblemType, problem_body
from servicekit import product
from servicekit.keyring import KeyDestroyedError, KeysAwayError
from servicekit.product import Flag, Product
from servicekit.settings import IssuerSettings
from servicekit.testing import running
from servicekit.tokens import TokenVerifier
from servicekit.vault import AesVault

NAMESPACE: Final = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
KEY: Final = bytes(range(32))
Decide = Callable[[Command], Outcome | None]


def stated_settings(**changes: Any) -> Settings:  # noqa: ANN401 - whatever a field takes
    """State settings for a gateway on fakes."""
    stated: dict[str, Any] = {
        "kafka_bootstrap": "unused:1",
        "redis_url": "redis://unused:1",
        "booking_url": "http://unused:1",
        "tenancy_url": "http://unused:1",
        "auth_issuers": [IssuerSettings(issuer="http://unused", jwks_url="http://unused", namespace=NAMESPACE)],
        "command_id_key": KEY,
        "master_keys": {"m1": KEY},
        "keys_secret": "s" * 32,
    }
    return Settings(**(stated | changes))


def echo(command: Command) -> Outcome:
    """Decide as an owning service would on an empty calendar: what was asked for is done."""
    data = command.body.data.model_dump(mode="json", exclude_unset=True)
    creates = command.type.name.endswith(".create.v1")
    version = 1 if creates else 2
    return Outcome(status=201 if creates else 200, body={"id": str(command.aggregate_id), "version": version, **data})


class FakeKafka:
    """Both lines of Kafka at once: a command that leaves is decided by ``decide`` and its reply comes back.

    ``decide`` answers None for "nobody decides"; ``away`` loses the connection before, ``fate`` after the hand-over,
    ``fails_as_the_wait_ends`` between the end of a wait and the waking of who waited.
    """

    partition = 3

    def __init__(self, decide: Decide = echo, *, capacity: int = 1000) -> None:
        """Decide with ``decide``."""
        self.decide = decide
        self.sent: list[Command] = []
        self.records: list[KafkaRecord] = []
        self.arrivals: asyncio.Queue[Command] = asyncio.Queue()
        self.attached = True
        self.away = False
        self.fate: BaseException | None = None
        self.fails_as_the_wait_ends: BaseException | None = None
        self.acknowledges = True
        self._capacity = capacity
        self._waiting: dict[tuple[UUID, UUID], asyncio.Future[Reply]] = {}

    @property
    def waiting(self) -> int:
        """How many replies are looked out for."""
        return len(self._waiting)

    async def send(self, record: KafkaRecord) -> "asyncio.Future[Any]":
        """Take a record."""
        if self.away:
            message = "Kafka is away"
            raise NotSentError(message)
        sent: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.fate is not None:
            sent.set_exception(self.fate)
            return sent
        command = read_command(record.key, record.value, record.headers)
        self.sent.append(command)
        self.records.append(record)
        self.arrivals.put_nowait(command)
        if (failure := self.fails_as_the_wait_ends) is not None:
            waiting = self._waiting[command.tenant_id, command.id]
            waiting.add_done_callback(lambda _: sent.set_exception(failure))  # before the waiter's own: it runs first
        elif self.acknowledges:
            sent.set_result(None)
        outcome = self.decide(command)
        if outcome is not None:
            self.reply(command, outcome)
        return sent

    def reply(self, command: Command, outcome: Outcome) -> None:
        """Let a reply come back."""
        waiting = self._waiting.get((command.tenant_id, command.id))
        if waiting is not None and not waiting.done():
            waiting.set_result(Reply(command_id=command.id, outcome=outcome, position=41))

    @contextmanager
    def expecting(self, tenant_id: UUID, command_id: UUID) -> Iterator["asyncio.Future[Reply]"]:
        """Look out for a reply."""
        if len(self._waiting) >= self._capacity:
            raise CrowdedError
        self._waiting[tenant_id, command_id] = asyncio.get_running_loop().create_future()
        try:
            yield self._waiting[tenant_id, command_id]
        finally:
            del self._waiting[tenant_id, command_id]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A read that came to an owning service."""

    service: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass
class FakeOwners:
    """The owning services: they answer what a test put there, and remember what they were asked."""

    answers: dict[tuple[str, str], OwnerAnswer] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    away: bool = False

    def put(self, service: str, path: str, body: Any, *, position: int = 41) -> None:  # noqa: ANN401 - any JSON
        """Let a service answer a read with JSON."""
        headers = {"content-type": "application/json", "position": str(position)}
        self.answers[service, path] = OwnerAnswer(status=200, headers=headers, body=orjson.dumps(body))

    def refuse(self, service: str, path: str, kind: ProblemType, detail: str) -> None:
        """Let a service answer a read with a problem."""
        body = json.dumps(problem_body(kind, detail)).encode()
        self.answers[service, path] = OwnerAnswer(status=kind.status, headers={"content-type": MEDIA_TYPE}, body=body)

    async def get(self, service: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> OwnerAnswer:
        """Answer a read."""
        self.asked.append(Asked(service=service, path=path, query=dict(query), headers=dict(headers)))
        answer = self.answers.get((service, path))
        if self.away or answer is None:
            message = f"no answer to {service} {path}"
            raise OwnerAwayError(message)
        return answer


class FakeCounts:
    """Counts in memory, for ever in one window."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.counted: dict[str, int] = {}
        self.fault: Exception | None = None
        self.hangs = False

    async def count(self, user: Window, tenant: Window) -> tuple[int, int]:
        """Count one more; see `limits.Counts`."""
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        if self.fault is not None:
            raise self.fault
        of_user = self._incr(user.key)
        return of_user, self._incr(tenant.key) if of_user <= user.most else 0

    def _incr(self, key: str) -> int:
        self.counted[key] = self.counted.get(key, 0) + 1
        return self.counted[key]


class FakeKeyring:
    """One vault for everybody; nobody has any while ``away``, and those in ``destroyed`` have none any more."""

    def __init__(self, vault: AesVault) -> None:
        """Give this vault."""
        self.vault = vault
        self.away = False
        self.destroyed: set[UUID] = set()
        self.asked: list[UUID] = []

    async def sealing(self, tenant_id: UUID) -> AesVault:
        """Give the vault."""
        self._ask(tenant_id)
        if tenant_id in self.destroyed:
            raise KeyDestroyedError
        return self.vault

    async def opening(self, wanted: Mapping[UUID, Collection[str]]) -> dict[UUID, AesVault | None]:
        """Give the vault."""
        self._ask(*wanted)
        return {tenant: None if tenant in self.destroyed else self.vault for tenant in wanted}

    def _ask(self, *tenants: UUID) -> None:
        self.asked += tenants
        if self.away:
            raise KeysAwayError


class FakeProduct:
    """Hears what is told, and says of flags what a test says: ``on`` holds the tenants of each."""

    def __init__(self) -> None:
        """Have heard nothing."""
        self.told: list[tuple[str, UUID, str, dict[str, str]]] = []
        self.on: set[tuple[str, UUID]] = set()

    def tell(self, event: str, *, tenant_id: UUID, person: str, properties: Mapping[str, str]) -> None:
        """Hear."""
        self.told.append((event, tenant_id, person, dict(properties)))

    def enabled(self, flag: Flag, tenant_id: UUID) -> bool:
        """Tell."""
        return (flag.name, tenant_id) in self.on

    async def start(self) -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""


class FakeGateway:
    """The gateway on fakes, and an HTTP client of it."""

    def __init__(self, settings: Settings, verifier: TokenVerifier, heard: Product | None = None) -> None:
        """Put it together; ``heard`` is told, and says of flags, in the place of `product`."""
        self.settings = settings
        self.kafka = FakeKafka(capacity=settings.waiting_commands)
        self.owners = FakeOwners()
        self.counts = FakeCounts()
        self.vault = AesVault({"k1": KEY})
        self.keyring = FakeKeyring(self.vault)
        self.product = FakeProduct()
        self.app = assemble(
            settings,
            Parts(
                verifier=verifier,
                limits=RateLimits(
                    self.counts,
                    user=settings.rate_limit_user,
                    tenant=settings.rate_limit_tenant,
                    timeout_seconds=settings.rate_limit_timeout_seconds,
                    local=FakeCounts(),
                ),
                commands=self.kafka,
                replies=self.kafka,
                owners=self.owners,
                keyring=self.keyring,
                product=heard or self.product,
                started=(verifier, heard or self.product),
            ),
        )
        self.url = ""


@asynccontextmanager
async def fake_gateway(
    issuer: IssuerSettings,
    *,
    real_product: bool = False,
    **changes: Any,  # noqa: ANN401 - whatever a field takes
) -> AsyncIterator[FakeGateway]:
    """Run a gateway on fakes that accepts the tokens of one issuer; its product may be as the settings say."""
    settings = stated_settings(**({"auth_issuers": [issuer]} | changes))
    heard = product.of(settings) if real_product else None
    gateway = FakeGateway(settings, TokenVerifier.of(settings), heard)
    async with running(gateway.app) as gateway.url:
        yield gateway


def problem_of(response: aiohttp.ClientResponse, body: bytes) -> dict[str, Any]:
    """Read a problem, and hold that it is one."""
    if response.content_type != MEDIA_TYPE:
        message = f"{response.status} {response.content_type}: {body!r}"
        raise AssertionError(message)
    problem: dict[str, Any] = orjson.loads(body)
    if problem["status"] != response.status:
        message = f"status {response.status}, but {problem}"
        raise AssertionError(message)
    return problem
