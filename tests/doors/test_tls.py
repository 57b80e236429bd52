"""Everything by TLS 1.3: a booking is made, a watcher hears of it, and whoever is not who they claim is refused."""

import asyncio
import contextlib
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
import redis.asyncio
import socketio
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from local_stack.certificates import Authority, Certificate
from local_stack.checkout import ROOT
from local_stack.environment import SERVICES, dead_letter_environment
from local_stack.port import HOST
from local_stack.postgres import PostgreSQL
from local_stack.provision import finish, start_job
from local_stack.redis_server import Redis
from local_stack.services import Instance
from local_stack.system import System
from local_stack.testing import temporary_folder
from production_contracts.principals import BOOKING
from servicekit.access import KafkaAccess

ALL_PORTS = (*SERVICES, "issuer", "postgres", "redis", "kafka")
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def whole(authority: Authority) -> Iterator[System]:
    """Everything, by TLS alone."""
    system = System(temporary_folder(), certificate=authority.certify())
    try:
        system.start()
        yield system
    finally:
        system.discard()


@pytest.fixture
async def session(whole: System, authority: Authority) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(ssl=authority.context())
    async with aiohttp.ClientSession(whole.at.gateway_url, connector=connector) as session:
        yield session


@pytest.fixture(scope="module")
def someone_elses() -> Authority:
    """A CA that nobody trusts."""
    return Authority("Someone else's")


def admin(whole: System) -> dict[str, str]:
    return whole.at.authorization(tenant="sealed", role="admin", user="ana")


async def test_a_booking_is_made_and_a_watcher_hears_of_it(
    whole: System, session: aiohttp.ClientSession, authority: Authority
) -> None:
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    connector = aiohttp.TCPConnector(ssl=authority.context())
    async with aiohttp.ClientSession(connector=connector) as http:
        client = socketio.AsyncClient(http_session=http)
        client.on("booking:created", heard.put)
        ready: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        client.on("ready", ready.put)
        token = whole.at.token(tenant="sealed", role="admin", user="ana")
        await client.connect(whole.at.notifications_urls[0], auth={"token": token})
        async with asyncio.timeout(DEADLINE_S):
            await ready.get()
            async with session.post("/v1/artists", json={"name": "Ada"}, headers=admin(whole)) as response:
                assert response.status == HTTPStatus.CREATED, await response.text()
                artist = await response.json()
            asked = {
                "artist_id": artist["id"],
                "start_time": "2030-05-01T18:00:00Z",
                "end_time": "2030-05-01T20:00:00Z",
                "title": "By TLS",
                "notes": "quietly",
            }
            async with session.post("/v1/bookings", json=asked, headers=admin(whole)) as response:
                assert response.status == HTTPStatus.CREATED, await response.text()
                made = await response.json()
            message = await heard.get()
        assert message["data"]["id"] == made["id"]
        await client.shutdown()
    async with session.get(f"/v1/bookings/{made['id']}", headers=admin(whole)) as response:
        assert (await response.json())["notes"] == "quietly"


@pytest.mark.parametrize("part", ALL_PORTS)
async def test_each_port_speaks_tls_1_3_and_nothing_older(whole: System, authority: Authority, part: str) -> None:
    port = getattr(whole.ports, part)
    assert await asyncio.to_thread(handshake, part, port, authority.context()) == "TLSv1.3"
    if part == "issuer":
        return  # a stand-in for Clerk: what it speaks is not ours to say
    older = authority.context()
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.to_thread(handshake, part, port, older)


@pytest.mark.parametrize("service", SERVICES)
async def test_whoever_speaks_http_to_a_port_of_https_gets_no_answer(whole: System, service: str) -> None:
    reader, writer = await asyncio.open_connection(HOST, getattr(whole.ports, service))
    writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
    with_answer = b""
    async with asyncio.timeout(DEADLINE_S):
        with contextlib.suppress(ConnectionError):
            with_answer = await reader.read()
    assert b"HTTP" not in with_answer
    writer.close()


async def test_the_engines_take_nobody_in_the_clear(whole: System) -> None:
    at = whole.engines.addresses
    dsn = at.postgres_dsn("booking", "booking_service").partition("?")[0]
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        await psycopg.AsyncConnection.connect(dsn, sslmode="disable")
    clear = redis.asyncio.Redis.from_url(at.redis_url.replace("rediss", "redis"), socket_timeout=10)
    with pytest.raises(redis.exceptions.ConnectionError):
        await clear.ping()
    await clear.aclose()
    login = at.kafka_access(BOOKING.name)
    in_the_clear = KafkaAccess(
        bootstrap=login.bootstrap, protocol="SASL_PLAINTEXT", username=login.username, password=login.password
    )
    kafka = AIOKafkaAdminClient(**in_the_clear.options())
    try:
        with pytest.raises(KafkaError):
            await kafka.start()
    finally:
        await kafka.close()


@pytest.mark.parametrize("service", SERVICES)
def test_the_health_check_of_a_container_asks_by_tls(whole: System, service: str) -> None:
    environment = os.environ | whole.services.environment[service] | {"SERVICE": service}
    command = [sys.executable, str(ROOT / "deploy/healthy")]
    asked = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert (asked.returncode, asked.stderr) == (0, "")


def test_every_job_that_needs_an_engine_comes_by_tls_too(whole: System, tmp_path: Path) -> None:
    engines, environment = whole.engines.addresses, whole.services.environment["booking"]  # tenancy's are the same code
    as_tool = dead_letter_environment(engines, environment, "booking")
    jobs = {
        "rebuild": (["rebuild", "--verify"], environment),
        "prune": (["prune"], environment),
        "epoch": (["epoch", "--renew"], environment),
        "deadletters": (["deadletters", "list"], as_tool),
    }
    finish(
        [
            start_job(name, [sys.executable, "-m", "booking", *words], given, tmp_path)
            for name, (words, given) in jobs.items()
        ]
    )


def test_a_service_refuses_an_engine_with_a_certificate_of_another_says_so_and_recovers(
    whole: System, authority: Authority, someone_elses: Authority
) -> None:
    postgres, redis_server = whole.engines.postgres, whole.engines.redis
    assert isinstance(postgres, PostgreSQL)
    assert isinstance(redis_server, Redis)
    untrusted, misnamed = "CERTIFICATE_VERIFY_FAILED", "IP address mismatch"
    missing = {
        "booking": ("postgresql", untrusted),
        "tenancy": ("postgresql", untrusted),
        "notifications": ("redis", misnamed),
    }
    instances = {instance.name: instance for instance in whole.services.instances}

    def restart_as(one: Certificate, other: Certificate) -> None:
        postgres.certificate, redis_server.certificate = one, other
        for engine in (postgres, redis_server):
            engine.restart()

    def until(condition: Callable[[Instance, str, str], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        for service, (check, reason) in missing.items():
            while not condition(instances[service], check, reason):
                assert time.monotonic() < deadline, instances[service].complaint
                time.sleep(0.2)

    def refuses(instance: Instance, check: str, reason: str) -> bool:
        return not instance.answers() and check in instance.complaint and reason in instance.child.output()

    try:
        restart_as(someone_elses.certify(), authority.certify("another-host.example"))
        until(refuses)
    finally:
        restart_as(authority.certify(), authority.certify())
    until(lambda instance, *_: instance.answers())


def handshake(part: str, port: int, context: ssl.SSLContext) -> str | None:
    """Connect as a client of that part does before anything is said; gives the version that was agreed on."""
    with socket.create_connection((HOST, port), timeout=DEADLINE_S) as connection:
        if part == "postgres":
            connection.sendall((8).to_bytes(4) + (80877103).to_bytes(4))  # SSLRequest, PostgreSQL's protocol 3
            assert connection.recv(1) == b"S"
        with context.wrap_socket(connection, server_hostname=HOST) as encrypted:
            encrypted.settimeout(DEADLINE_S)
            return encrypted.version()
