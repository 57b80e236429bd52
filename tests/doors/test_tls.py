"""Everything by TLS 1.3: a booking is made, a watcher hears of it, and whoever is not who they claim is refused."""

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
import redis.asyncio
import socketio
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from local_stack.certificates import Authority
from local_stack.environment import SERVICES, WITH_DATABASE
from local_stack.port import HOST
from local_stack.provision import finish, start_job
from local_stack.system import System
from local_stack.testing import temporary_folder
from production_contracts.principals import BOOKING
from servicekit.access import KafkaAccess, RedisAccess
from servicekit.redis_pool import make_pool

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


def admin(whole: System, **words: Any) -> dict[str, str]:
    return whole.at.authorization(tenant="sealed", role="admin", user="ana", **words)


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
        try:
            with_answer = await reader.read()
        except ConnectionError:
            pass
    assert b"HTTP" not in with_answer
    writer.close()


async def test_the_engines_take_nobody_in_the_clear(whole: System) -> None:
    at = whole.engines.addresses
    dsn = at.postgres_dsn("booking", "booking_service").partition("?")[0]
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="no encryption"):
        await asyncpg.connect(dsn, ssl=False)
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


@pytest.mark.parametrize("service", WITH_DATABASE)
def test_every_job_that_needs_the_database_comes_by_tls_too(whole: System, service: str, tmp_path: Path) -> None:
    environment = whole.services.environment[service]
    for words in (["migrate"], ["rebuild", "--verify"], ["prune"], ["epoch", "--renew"], ["deadletters", "list"]):
        command = [sys.executable, "-m", service, *words]
        if words[0] == "deadletters":
            name = f"{service}-deadletters"
            login = whole.engines.kafka_access(name)
            prefix = service.upper()
            environment = environment | {
                f"{prefix}_KAFKA_USERNAME": name,
                f"{prefix}_KAFKA_PASSWORD": login.password or "",
            }
        finish([start_job("-".join([service, words[0]]), command, environment, tmp_path)])


def handshake(part: str, port: int, context: ssl.SSLContext) -> str | None:
    """Connect as a client of that part does before anything is said; gives the version that was agreed on."""
    with socket.create_connection((HOST, port), timeout=DEADLINE_S) as connection:
        if part == "postgres":
            connection.sendall((8).to_bytes(4) + (80877103).to_bytes(4))  # SSLRequest, PostgreSQL's protocol 3
            assert connection.recv(1) == b"S"
        with context.wrap_socket(connection, server_hostname=HOST) as encrypted:
            encrypted.settimeout(DEADLINE_S)
            return encrypted.version()


Refused = Callable[[str], str]


def described(error: BaseException) -> str:
    """Give what an error says, and those that it stems from."""
    said, seen = [], error
    while seen is not None:
        said.append(f"{type(seen).__name__}: {seen}")
        seen = seen.__cause__ or seen.__context__  # type: ignore[assignment]
    return "; ".join(said)


async def test_a_client_refuses_a_ca_that_it_does_not_trust(
    whole: System, someone_elses: Authority, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(someone_elses.pem)
    at = whole.engines.addresses
    pool = make_pool(RedisAccess(url=at.redis_url, ca_file=ca_file), most=1, timeout_seconds=10, retries=0)
    with pytest.raises(redis.exceptions.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        await redis.asyncio.Redis(connection_pool=pool).ping()
    await pool.aclose()
