"""Instances of the service in this process, on real engines; only the owners of the streams are stand-ins."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4, uuid5

from notifications.bootstrap import Notifications
from notifications.settings import Settings
from notifications.testing.owners import StubOwners
from notifications.testing.waiting import until_ready
from notifications.testing.watcher import Watcher
from production_contracts.envelope import event_record
from production_contracts.events import Stream
from production_contracts.topics import EVENTS_OF
from servicekit.kafka import Producer
from servicekit.settings import IssuerSettings
from servicekit.testing import running


@dataclass(kw_only=True)
class House:
    """What tests of the service share.

    ``sign`` mints a token for ``tenant=...``; ``urls`` are those of the instances that run all the time.
    """

    kafka_bootstrap: str
    redis_url: str
    issuer: IssuerSettings
    sign: Callable[..., str]
    owners: StubOwners
    owners_url: str
    producer: Producer
    urls: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def instance(self, **changes: Any) -> AsyncIterator[str]:  # noqa: ANN401 - any setting
        """Run an instance with settings of its own while inside; gives its URL once it is ready."""
        service = Notifications(Settings.model_validate(self._given | changes))
        async with running(service.app, websockets=True, farewell=service.send_away) as url:
            await until_ready(url)
            yield url

    def environment(self, port: int) -> dict[str, str]:
        """Give the environment variables of an instance in a process of its own."""
        given = self._given | {"http_port": port, "auth_issuers": [self.issuer.model_dump(mode="json")]}
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
        return {f"NOTIFICATIONS_{name.upper()}": text for name, text in texts.items()}

    @property
    def _given(self) -> dict[str, Any]:
        return {
            "http_port": 0,
            "kafka_bootstrap": self.kafka_bootstrap,
            "redis_url": self.redis_url,
            "auth_issuers": [self.issuer],
            "auth_leeway_seconds": 0,
            "booking_url": f"{self.owners_url}/booking",
            "tenancy_url": f"{self.owners_url}/tenancy",
            "head_check_seconds": 0.2,
            "owner_check_seconds": 0.5,
            "resume_limit": 2_000,
        }

    async def tell(self, tenant_id: UUID, stream: Stream, count: int = 1) -> None:
        """Let events happen, and let Kafka know."""
        sent = [
            await self.producer.send(event_record(event, tenant_id, EVENTS_OF[stream].name))
            for event in self.owners.happen(tenant_id, stream, count)
        ]
        await asyncio.gather(*sent)


class Guest:
    """A tenant of a test's own, and its clients."""

    def __init__(self, house: House) -> None:
        """Begin without clients."""
        self.house = house
        self.name = uuid4().hex
        self.tenant_id = uuid5(house.issuer.namespace, f"org_{self.name}")
        self.watchers: list[Watcher] = []

    def token(self, **words: Any) -> str:  # noqa: ANN401 - as the issuer takes them
        """Mint a token of this tenant."""
        return self.house.sign(**({"tenant": self.name} | words))

    def watcher(self, url: str | None = None, **auth: Any) -> Watcher:  # noqa: ANN401 - what a client may send
        """Make a client, for the first instance unless told otherwise."""
        watcher = Watcher(url or self.house.urls[0], {"token": self.token()} | auth)
        self.watchers.append(watcher)
        return watcher

    async def happens(self, count: int = 1, stream: Stream = "booking") -> None:
        """Let events happen to this tenant, and let Kafka know."""
        await self.house.tell(self.tenant_id, stream, count)
