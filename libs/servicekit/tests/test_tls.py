"""TLS as our clients and servers speak it: whoever is not who they claim, or speaks something older, is refused."""

import asyncio
import contextlib
import logging
import os
import socketserver
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import aiohttp
import pytest
import redis.asyncio
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from cryptography import x509
from pydantic import ValidationError
from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from local_stack import certificates
from local_stack.certificates import Authority, CertificateFiles
from local_stack.port import HOST
from servicekit import server
from servicekit.access import DatabaseAccess, KafkaAccess, RedisAccess
from servicekit.database import Database, is_transient
from servicekit.redis_pool import make_pool
from servicekit.server import BoundedLoop
from servicekit.settings import DatabaseSettings, KafkaSettings, OwnersSettings, RedisSettings, ServiceSettings
from servicekit.testing import running
from servicekit.tls import ENDS, Certificate, client_context

SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
"""How a client of PostgreSQL asks for TLS; what follows an `S` is as with everybody else."""
OURS, SOMEONE_ELSES = Authority(), Authority("Someone else's")


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    file.write_text(OURS.pem)
    return file


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Whoever stands where an engine should, and what is wrong with them."""

    authority: Authority = OURS
    name: str = HOST
    newest: ssl.TLSVersion | None = ssl.TLSVersion.TLSv1_3
    complaint: str

    @contextlib.contextmanager
    def standing(self, folder: Path, *, asked_first: bool) -> Iterator[int]:
        """Listen; gives the port. PostgreSQL is asked for TLS before it begins.

        Not in the loop: asyncio hangs up on whom it can't agree with, where engines say why (RFC 8446, section 6.2).
        """
        files = self.authority.certify(self.name).written_to(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        newest = self.newest
        context.maximum_version = newest or ssl.TLSVersion.TLSv1_3

        class Meeting(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    if asked_first or newest is None:
                        self.request.recv(len(SSL_REQUEST))
                        answer = b"what?\r\n" if not asked_first else b"N" if newest is None else b"S"
                        self.request.sendall(answer)
                    if newest is not None:
                        with context.wrap_socket(self.request, server_side=True) as encrypted:
                            encrypted.recv(1)

        with socketserver.ThreadingTCPServer((HOST, 0), Meeting) as listening:
            listening.daemon_threads = True
            Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            yield listening.server_address[1]
            listening.shutdown()


PEERS = {
    "another CA": Peer(authority=SOMEONE_ELSES, complaint="CERTIFICATE_VERIFY_FAILED"),
    "another name": Peer(name="another-host.example", complaint="IP address mismatch"),
    "an older TLS": Peer(newest=ssl.TLSVersion.TLSv1_2, complaint="PROTOCOL_VERSION"),
    "no TLS": Peer(newest=None, complaint="WRONG_VERSION_NUMBER|rejected SSL upgrade"),
}


async def connect_to_postgresql(port: int, ca_file: Path) -> None:
    access = DatabaseAccess(url=f"postgresql+asyncpg://u:p@{HOST}:{port}/d", tls=True, ca_file=ca_file)
    database = Database(access, pool_size=1)
    try:
        async with database.statement():
            pass
    except Exception as error:
        assert is_transient(error)  # it is tried again, and nothing is put aside for it  # noqa: PT017
        raise
    finally:
        await database.stop()


async def connect_to_redis(port: int, ca_file: Path) -> None:
    access = RedisAccess(url=f"rediss://u:p@{HOST}:{port}/0", ca_file=ca_file)
    pool = make_pool(access, most=1, timeout_seconds=10, retries=0)
    try:
        await redis.asyncio.Redis(connection_pool=pool).ping()
    finally:
        await pool.aclose()


async def connect_to_kafka(port: int, ca_file: Path) -> None:
    access = KafkaAccess(bootstrap=f"{HOST}:{port}", protocol="SASL_SSL", username="u", password="p", ca_file=ca_file)
    admin = AIOKafkaAdminClient(**access.options())
    try:
        await admin.start()
    finally:
        await admin.close()


async def connect_by_https(port: int, ca_file: Path) -> None:
    """Ask an owner, or an issuer for its keys: both clients are aiohttp's, with this context."""
    connector = aiohttp.TCPConnector(ssl=client_context(ca_file))
    async with aiohttp.ClientSession(connector=connector) as session, session.get(f"https://{HOST}:{port}/"):
        pass


CLIENTS: dict[str, Callable[[int, Path], Awaitable[None]]] = {
    "postgresql": connect_to_postgresql,
    "redis": connect_to_redis,
    "kafka": connect_to_kafka,
    "https": connect_by_https,
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("peer", PEERS)
async def test_a_client_refuses_a_peer_with(
    peer: str, client: str, ca_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    refusals = (OSError, RedisError, KafkaError, aiohttp.ClientError)
    standing = PEERS[peer].standing(tmp_path, asked_first=client == "postgresql")
    with standing as port, pytest.raises(refusals) as refused:
        await asyncio.wait_for(CLIENTS[client](port, ca_file), 60)
    told = _told(refused.value) + caplog.text  # aiokafka says why in its log
    assert any(word in told for word in PEERS[peer].complaint.split("|")), told


def _told(error: BaseException | None) -> str:
    return "" if error is None else f"{error!r} {error} {_told(error.__cause__)} {_told(error.__context__)}"


# --- our own ports ---


async def _hello(_request: Request) -> Response:
    return PlainTextResponse("hello")


APP = Starlette(routes=[Route("/", _hello)])


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    return OURS.certify().written_to(tmp_path)


def _serving(files: CertificateFiles) -> dict[str, Any]:
    return {"http_cert_file": files.certificate, "http_key_file": files.key}


async def _serial(url: str) -> int:
    """Connect anew; gives the serial number of the certificate that is shown."""
    host, port = url.removeprefix("https://").split(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=OURS.context(), server_hostname=host)
    shown = writer.get_extra_info("ssl_object").getpeercert()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return int(shown["serialNumber"], 16)


async def test_a_service_with_a_certificate_speaks_tls_1_3_and_nothing_else(files: CertificateFiles) -> None:
    async with running(APP, **_serving(files)) as url:
        connector = aiohttp.TCPConnector(ssl=client_context(files.ca))
        async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as response:
            assert await response.text() == "hello"
        older = client_context(files.ca)
        older.minimum_version = older.maximum_version = ssl.TLSVersion.TLSv1_2
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=older)) as session:
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(url)
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(url.replace("https", "http"))


async def test_a_renewed_certificate_is_shown_without_a_restart_and_none_that_lacks_its_key(
    files: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("servicekit.tls.RENEWAL_SECONDS", 0.02)
    renewed = OURS.certify()
    async with running(APP, **_serving(files)) as url, asyncio.timeout(60):
        old = await _serial(url)
        connector = aiohttp.TCPConnector(ssl=client_context(files.ca))
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.get(url) as response:
                assert response.status == 200
            _exchange(files.certificate, renewed.certificate)
            assert await _serial(url) == old
            _exchange(files.key, renewed.key)
            while await _serial(url) == old:
                pass
            async with session.get(url) as response:  # on the connection of before
                assert response.status == 200


def test_half_of_a_new_pair_leaves_the_certificate_of_before(files: CertificateFiles) -> None:
    renewed = OURS.certify()
    certificate = Certificate(files.certificate, files.key)
    assert not certificate.renew()
    _exchange(files.certificate, renewed.certificate)
    assert not certificate.renew()
    files.certificate.unlink()
    assert not certificate.renew()
    _exchange(files.certificate, renewed.certificate)
    _exchange(files.key, renewed.key)
    assert certificate.renew()
    assert not certificate.renew()


def test_when_the_certificate_that_is_shown_ends_is_told_also_of_a_renewed_one(
    files: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = Certificate(files.certificate, files.key)

    def ends() -> datetime:
        (family,) = ENDS.collect()
        return datetime.fromtimestamp(family.samples[0].value, UTC)

    assert ends() == x509.load_pem_x509_certificate(files.certificate.read_bytes()).not_valid_after_utc
    monkeypatch.setattr(certificates, "LIFE", timedelta(days=400))
    renewed = OURS.certify()
    _exchange(files.certificate, renewed.certificate)
    _exchange(files.key, renewed.key)
    assert certificate.renew()
    assert ends() == x509.load_pem_x509_certificate(files.certificate.read_bytes()).not_valid_after_utc
    assert ends() > datetime.now(UTC) + timedelta(days=300)


def _exchange(file: Path, content: str) -> None:
    """Put a file in the place of another, at once, as whoever renews certificates does."""
    beside = file.with_suffix(".new")
    beside.write_text(content)
    beside.replace(file)


def test_a_tls_handshake_that_does_not_come_ends_its_connection(
    files: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)

    async def stand_still() -> bytes:
        async with running(APP, **_serving(files)) as url:
            host, port = url.removeprefix("https://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            async with asyncio.timeout(30):  # asyncio's own patience is 60 s
                answered = await reader.read()
            writer.close()
            return answered

    with asyncio.Runner(loop_factory=BoundedLoop) as runner:
        assert runner.run(stand_still()) == b""


# --- settings ---


class _Settings(ServiceSettings):
    http_port: int = 0


@pytest.mark.parametrize(
    ("settings", "given", "complaint"),
    [
        (DatabaseSettings, {"database_url": "postgresql+asyncpg://h/d"}, "database_ca_file is of no use"),
        (RedisSettings, {"redis_url": "redis://h"}, "redis_ca_file is of no use"),
        (KafkaSettings, {"kafka_bootstrap": "h:1"}, "kafka_ca_file is of no use"),
        (OwnersSettings, {"booking_url": "https://h", "tenancy_url": "http://h"}, "owner_ca_file is of no use"),
    ],
)
def test_a_ca_for_what_goes_in_the_clear_is_a_mistake(
    settings: Callable[..., object],
    given: dict[str, str],
    complaint: str,
    ca_file: Path,
) -> None:
    settings(**given)
    name = complaint.partition(" ")[0]
    with pytest.raises(ValidationError, match=complaint):
        settings(**given, **{name: ca_file})


def test_a_certificate_needs_its_key_and_both_must_be_readable(files: CertificateFiles, tmp_path: Path) -> None:
    _Settings(http_cert_file=files.certificate, http_key_file=files.key)
    others = SOMEONE_ELSES.certify().written_to(tmp_path / "others")
    for pair, complaint in (
        ((files.certificate, None), "together, or neither"),
        ((None, files.key), "together, or neither"),
        ((files.certificate, others.key), "belong together"),
        ((files.key, files.certificate), "belong together"),
        ((files.certificate, tmp_path / "missing"), "http_key_file"),
    ):
        with pytest.raises(ValidationError, match=complaint):
            _Settings(http_cert_file=pair[0], http_key_file=pair[1])


def test_a_file_without_a_certificate_is_no_ca(files: CertificateFiles) -> None:
    for wrong in (files.key, os.devnull):
        with pytest.raises(ValidationError, match="database_ca_file"):
            DatabaseSettings(database_url="postgresql+asyncpg://h/d", database_tls=True, database_ca_file=wrong)
