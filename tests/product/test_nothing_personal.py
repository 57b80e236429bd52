"""What a gateway tells Sentry and PostHog, over their protocols: personal data is planted wherever it can stand.

The gateway stands on fakes of its engines, which fail with what they were given in their messages; what it tells goes
by the real clients to servers that keep every byte.
"""

import secrets
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4, uuid5

import aiohttp
import pytest
from libs.servicekit.tests.posthog_server import FLAGS_KEY, KEY, PostHogServer
from libs.servicekit.tests.sentry_server import SentryServer, reporting

from gateway.testing import NAMESPACE, FakeGateway, fake_gateway
from local_stack.issuer import Issuer
from production_contracts import problems
from production_contracts.commands import Command
from production_contracts.envelope import KafkaRecord
from production_contracts.outcomes import Outcome
from production_contracts.problems import problem_body
from servicekit.settings import IssuerSettings

USER, AGENT, ADDRESS = "anastasia", "Curious/1.0", "192.0.2.1"
TITLE, VENUE, NOTES = "Hush Hush Gala", "The Quiet Room", "by the back gate"
CONTACT = {"name": "Fiona Fernsprecher", "email": "fiona@example.org", "phone": "+49 30 12345678"}
AMOUNT, REASON, ARTIST = 918_273_645, "the drummer is ill", "Rosa Secreta"
IDEMPOTENCY_KEY = f"key-{secrets.token_hex(8)}"
BOOKING = {
    "artist_id": str(uuid4()),
    "start_time": "2027-05-08T20:00:00Z",
    "end_time": "2027-05-08T23:00:00Z",
    "title": TITLE,
    "venue": VENUE,
    "notes": NOTES,
    "contact": CONTACT,
    "fee": {"amount": AMOUNT, "currency": "SEK"},
}
TENANT = str(uuid5(NAMESPACE, "org_planted"))


class Failing:
    """What the gateway stands on: it decides, refuses or breaks as a test says, and quotes whatever it was given."""

    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway
        self._send = gateway.kafka.send

    async def send(self, record: KafkaRecord) -> Any:  # noqa: ANN401 - a future
        """Break while a booking is sent."""
        message = f"can't send {record.value!r} {BOOKING}"
        raise RuntimeError(message)

    def accept(self) -> None:
        self._gateway.kafka.send = self._send  # type: ignore[method-assign]

    def refuse(self) -> None:
        def decide(command: Command) -> Outcome:
            return Outcome(status=409, body=problem_body(problems.BOOKING_CONFLICT, f"No: {command.body.data}"))

        self._gateway.kafka.decide = decide

    def break_writes(self) -> None:
        self._gateway.kafka.send = self.send  # type: ignore[method-assign]

    def break_reads(self) -> None:
        async def get(service: str, path: str, query: Any, headers: Any) -> Any:  # noqa: ANN401 - as `ports.Owners`
            message = f"{service} {path} {query} {headers} {BOOKING}"
            raise OSError(message)

        self._gateway.owners.get = get  # type: ignore[method-assign]


@pytest.fixture
async def servers() -> AsyncIterator[tuple[SentryServer, str, PostHogServer, str]]:
    sentry, posthog = SentryServer(), PostHogServer()
    async with sentry.serving() as dsn, posthog.serving() as host:
        yield sentry, dsn, posthog, host


async def ask(session: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> int:  # noqa: ANN401 - JSON
    headers = {"Idempotency-Key": IDEMPOTENCY_KEY} if method == "POST" else {}
    async with session.request(method, path, json=body, headers=headers) as response:
        await response.read()
        return response.status


async def test_context_is_told_and_no_person(
    servers: tuple[SentryServer, str, PostHogServer, str], issuer: Issuer
) -> None:
    sentry, dsn, posthog, host = servers
    accepted = IssuerSettings(issuer=issuer.url, jwks_url=issuer.jwks_url, namespace=NAMESPACE)
    token = issuer.token(tenant="planted", user=USER, role="admin")
    told = {"sentry_dsn": dsn, "posthog_key": KEY, "posthog_host": host, "posthog_flags_key": FLAGS_KEY}
    headers = {
        "Authorization": f"Bearer {token}",
        "User-Agent": AGENT,
        "X-Forwarded-For": ADDRESS,
        "Cookie": f"name={ARTIST}",
    }
    async with fake_gateway(accepted, real_product=True, instance="gateway-1", **told) as gateway:
        failing = Failing(gateway)
        async with (
            reporting(gateway.settings, "gateway"),
            aiohttp.ClientSession(gateway.url, headers=headers) as session,
        ):
            statuses = [await ask(session, "POST", "/v1/bookings", BOOKING)]
            statuses.append(await ask(session, "POST", "/v1/artists", {"name": ARTIST}))
            failing.refuse()
            statuses.append(await ask(session, "POST", f"/v1/bookings/{uuid4()}/cancel", {"reason": REASON}))
            failing.break_writes()
            statuses.append(await ask(session, "POST", "/v1/bookings", BOOKING))
            failing.break_reads()
            statuses.append(await ask(session, "GET", f"/v1/bookings?artist_id={BOOKING['artist_id']}"))
            assert statuses == [201, 201, 409, 500, 500]
            errors = await sentry.heard(2)
        failing.accept()
    events = await posthog.heard(3)

    assert {error["tags"]["tenant_id"] for error in errors} == {TENANT}
    assert {error["exception"]["values"][-1]["type"] for error in errors} == {"RuntimeError", "OSError"}
    assert "command_id" in errors[0]["tags"]
    assert {event["properties"]["$groups"]["tenant"] for event in events} == {TENANT}
    assert len({event["distinct_id"] for event in events}) == 1

    arrived = "\n".join([*sentry.sent, *posthog.sent])
    assert arrived.count(TENANT) >= 5, "the control: what is looked for is looked for where it would stand"
    planted = [
        *(USER, AGENT, ADDRESS, TITLE, VENUE, NOTES, *CONTACT.values(), str(AMOUNT), "SEK", REASON, ARTIST),
        *(IDEMPOTENCY_KEY, token, token.rpartition(".")[2], BOOKING["artist_id"], BOOKING["start_time"]),
    ]
    assert [secret for secret in planted if str(secret) in arrived] == []
