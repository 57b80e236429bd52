"""No secret shows up: not in what a service logs at debug, not in what it answers, however it fails.

Which settings are secrets is asked of the services. Their engines are away, or refuse them; callers come with tokens
and signatures that are recognised again.
"""

import asyncio
import base64
import json
import os
import secrets
import sys
import time
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import aiohttp
import pytest
import socketio
from pydantic_settings import BaseSettings
from socketio.exceptions import ConnectionError as SocketConnectionError
from standardwebhooks import Webhook

from booking.settings import Settings as BookingSettings
from gateway.settings import Settings as GatewaySettings
from local_stack.checkout import ROOT
from local_stack.credentials import Credentials
from local_stack.engines import Addresses
from local_stack.environment import SERVICES, WITH_DATABASE, service_environment
from local_stack.issuer import Issuer
from local_stack.port import HOST, Ports, free_ports
from local_stack.process import Child
from local_stack.settings_example import SETTINGS
from servicekit.logs import REDACTED
from servicekit.secrets import load, secrets_in, written_secrets

DEADLINE_S = 120.0
KEY = base64.b64encode(secrets.token_bytes(32)).decode()
EXTRA = {
    "gateway": {
        "SEAL_KEYS": json.dumps({"before": KEY}),
        "TRANSIT_TOKEN": f"hvs.{secrets.token_urlsafe(24)}",
        "POSTHOG_KEY": f"phc_{secrets.token_urlsafe(24)}",
        "POSTHOG_FLAGS_KEY": f"phs_{secrets.token_urlsafe(24)}",
        "POSTHOG_HOST": "http://127.0.0.1:1",  # nobody listens there
    },
    "tenancy": {
        "CLERK_SECRET_KEY": f"sk_test_{secrets.token_urlsafe(24)}",
        "MASTER_KEYS": json.dumps({"m": KEY}),
        "TRANSIT_TOKEN": f"hvs.{secrets.token_urlsafe(24)}",
    },
}
AWKWARD = "p@ss/w#rd?" + secrets.token_urlsafe(18)
"""A password that must be written otherwise in a URL."""


def refused_everywhere(engines: Addresses) -> Addresses:
    """Give the same engines, with passwords that are not theirs: random ones, as in another stack."""
    return Addresses(
        postgres_port=engines.postgres_port,
        redis_port=engines.redis_port,
        kafka_port=engines.kafka_port,
        credentials=Credentials(),
    )


def away() -> Addresses:
    """Give engines at ports on which nobody listens."""
    ports = free_ports(3)
    return Addresses(postgres_port=ports[0], redis_port=ports[1], kafka_port=ports[2], credentials=Credentials())


def told(service: str, at: Addresses, port: int, issuer_url: str, log_format: str) -> dict[str, str]:
    """Give the environment of a service that logs whatever it can."""
    found = service_environment(at, Ports(**{service: port}), issuer_url)[service]
    dsn = f"http://{secrets.token_hex(16)}@127.0.0.1:1/1"
    more = {"LOG_LEVEL": "debug", "LOG_FORMAT": log_format, "SENTRY_DSN": dsn, **EXTRA.get(service, {})}
    if service in WITH_DATABASE:
        more["DATABASE_READ_URL"] = found[f"{service.upper()}_DATABASE_URL"]
    return found | {f"{service.upper()}_{name}": value for name, value in more.items()}


def settings_from(service: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> BaseSettings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return SETTINGS[service]()


async def until_alive(child: Child, url: str, session: aiohttp.ClientSession) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        assert child.alive, child.output()
        assert time.monotonic() < deadline, child.output()
        try:
            async with session.get(f"{url}/healthz") as response:
                if response.status == HTTPStatus.OK:
                    return
        except aiohttp.ClientError:
            await asyncio.sleep(0.1)


def signed(credentials: Credentials) -> tuple[dict[str, str], str]:
    """Give the headers of a webhook whose signature is valid, and the signature."""
    now = datetime.now(UTC)
    signature = Webhook(credentials.webhook_secret).sign("msg_1", now, "{}")
    headers = {"svix-id": "msg_1", "svix-timestamp": str(int(now.timestamp())), "svix-signature": signature}
    return headers, signature.partition(",")[2]


async def provoke(service: str, url: str, token: str, credentials: Credentials) -> tuple[str, list[str]]:
    """Ask for everything that may fail; gives all that was answered, and the secrets that were sent."""
    headers = {"Authorization": f"Bearer {token}"}
    hook, signature = signed(credentials)
    asked: list[tuple[str, str, dict[str, str], bytes | None]] = [
        ("GET", "/readyz", {}, None),
        ("GET", "/metrics", {}, None),
        ("GET", "/openapi.json", {}, None),
        ("GET", "/v1/bookings", headers, None),
        ("GET", "/v1/head", headers, None),
        ("GET", "/v1/artists", headers | {"Cookie": f"session={token}"}, None),
        ("GET", f"/v1/nowhere?token={token}", headers, None),
        ("POST", "/v1/artists", headers | {"Content-Type": "application/json"}, b'{"name": "x"}'),
        ("POST", "/v1/webhooks/clerk", hook | {"Content-Type": "application/json"}, b"{}"),
        ("GET", "/v1/bookings", {"Authorization": f"Basic {token}"}, None),
        ("GET", "/v1/bookings", {"Authorization": f"Bearer {token[:-8]}{'A' * 8}"}, None),
    ]
    answers: list[str] = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        for method, path, sent, body in asked:
            async with session.request(method, url + path, headers=sent, data=body) as response:
                answers += [str(response.headers), await response.text()]
        async with session.get(f"{url}/readyz") as response:  # once more, after what has failed meanwhile
            answers.append(await response.text())
    if service == "notifications":
        for transport in ("websocket", "polling"):
            answers.append(await refused_socket(url, token, transport))
    return "\n".join(answers), [token, token.rpartition(".")[2], signature]


async def refused_socket(url: str, token: str, transport: str) -> str:
    heard: list[object] = []
    async with aiohttp.ClientSession() as session:
        client = socketio.AsyncClient(http_session=session, reconnection=False)
        client.on("connect_error", heard.append)
        try:
            await client.connect(url, auth={"token": token}, transports=[transport])
        except SocketConnectionError as error:
            heard.append(error)
        await client.shutdown()
    return repr(heard)


@pytest.mark.parametrize("state", ["away", "refusing"])
@pytest.mark.parametrize("service", SERVICES)
async def test_no_secret_shows_up_when_engines_are(
    service: str, state: str, engines: Addresses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = away() if state == "away" else refused_everywhere(engines)
    port, issuer_port = free_ports(2)
    issuer = Issuer.new(f"http://{HOST}:{issuer_port}")  # nobody listens there
    environment = told(service, at, port, issuer.url, "json" if state == "away" else "console")
    settings = settings_from(service, environment, monkeypatch)
    hidden = [name for name, field in type(settings).model_fields.items() if not field.repr]
    assert all(list(secrets_in(name, getattr(settings, name))) for name in hidden), "each secret is set here"

    child = Child(
        service,
        [sys.executable, "-m", service],
        log=tmp_path / "log",
        folder=ROOT,
        environment=os.environ | environment,
    )
    child.start()
    try:
        async with aiohttp.ClientSession() as session:
            await until_alive(child, f"http://{HOST}:{port}", session)
        token = issuer.token(tenant="acme", role="admin", user="ana")
        answers, sent = await provoke(service, f"http://{HOST}:{port}", token, at.credentials)
    finally:
        await asyncio.to_thread(child.stop)
    said = child.output()
    assert said.count("\n") > 5
    shown = {secret for secret in written_secrets(settings) | set(sent) if secret in said + answers + repr(settings)}
    assert shown == set()
    assert REDACTED not in said, "a line had to be mended: whoever wrote it must not write a secret"


@pytest.mark.parametrize("job", [["migrate"], ["prune"], ["epoch", "--renew"]], ids=" ".join)
async def test_no_secret_shows_up_when_a_job_is_refused(
    job: list[str], engines: Addresses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = WITH_DATABASE[0]  # the other's jobs are the same code
    at = refused_everywhere(engines)
    environment = told(service, at, 0, "http://127.0.0.1:1", "json")
    child = Child(
        "job",
        [sys.executable, "-m", service, *job],
        log=tmp_path / "log",
        folder=ROOT,
        environment=os.environ | environment,
    )
    child.start()
    assert await asyncio.to_thread(child.wait, DEADLINE_S)
    said = child.output()
    assert "password authentication failed" in said
    settings = settings_from(service, environment, monkeypatch)
    assert {secret for secret in written_secrets(settings) if secret in said} == set()


@pytest.mark.parametrize("url", ["postgresql+asyncpg://u:{}@h/d", "postgresql://u:{}@h/d", "u:{}@h", "{}"])
@pytest.mark.parametrize("name", ["database_url", "database_owner_url", "database_read_url"])
def test_a_url_that_cannot_be_read_shows_nothing_of_the_password(
    name: str, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unescaped `/` or `#` ends the address where the port should stand; whoever reads it there would show it."""
    environment = told("booking", away(), 0, "http://127.0.0.1:1", "json")
    environment[f"BOOKING_{name.upper()}"] = url.format(AWKWARD)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit):
        load(BookingSettings)
    said = capsys.readouterr()
    assert f"BOOKING_{name.upper()}" in said.err
    pieces = {AWKWARD, *AWKWARD.replace("@", "/").replace("#", "/").replace("?", "/").split("/")}
    assert {piece for piece in pieces if len(piece) > 5 and piece in said.err + said.out} == set()


def test_a_setting_that_is_no_json_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    for variable, value in told("gateway", away(), 0, "http://127.0.0.1:1", "json").items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("GATEWAY_SEAL_KEYS", f'{{"local": "{key}"')
    with pytest.raises(SystemExit):
        load(GatewaySettings)
    said = capsys.readouterr()
    assert "seal_keys" in said.err
    assert key not in said.err + said.out
