"""TLS 1.3, and nothing older: the contexts of our clients and servers are made here.

A client verifies the other side as PostgreSQL's ``verify-full`` does: a chain to a CA that it trusts, and the name (or
address) that it asked for in the certificate. A server's certificate is taken up anew when its files change.
"""

import asyncio
import ssl
from pathlib import Path
from typing import Annotated, Final

import structlog
from cryptography.x509 import load_pem_x509_certificates
from prometheus_client import Counter, Gauge
from pydantic import AfterValidator, FilePath

RENEWAL_SECONDS = 10.0
"""How often a server looks whether its certificate's files have changed."""

RENEWED: Final = Counter("http_certificate_renewals_total", "Looks at changed certificate files", ["outcome"])
ENDS: Final = Gauge(
    "http_certificate_ends_timestamp_seconds", "When the certificate that is shown ends, as Unix time; 0 without one"
)

log = structlog.get_logger(__name__)


def client_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Make the context of a client that trusts the CAs in a PEM file and no other, or those that the system trusts.

    Raises:
        OSError: the file can't be read, or holds no certificate (`ssl.SSLError`).
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def server_context(cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """Make the context of a server that shows a certificate (the chain, in PEM) and holds its key.

    Raises:
        OSError: a file can't be read, is no PEM, or the two don't belong together (`ssl.SSLError`).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(cert_file, key_file, password=_refuse_password)
    return context


def _refuse_password() -> str:
    message = "the key is locked with a password: give one that is not, readable by the service alone"
    raise ValueError(message)  # without this OpenSSL would ask on the terminal, and wait


def _check_ca(ca_file: Path) -> Path:
    try:
        client_context(ca_file)
    except OSError:
        message = "this file holds no certificate in PEM"
        raise ValueError(message) from None
    return ca_file


CaFile = Annotated[FilePath, AfterValidator(_check_ca)]
"""A setting: a PEM file with the certificates of CAs."""


def _end(cert_file: Path) -> float:
    """Tell when a certificate ends: the first of a chain is the server's own."""
    return load_pem_x509_certificates(cert_file.read_bytes())[0].not_valid_after_utc.timestamp()


class Certificate:
    """A server's certificate and key on disk; the context that shows them follows the files."""

    def __init__(self, cert_file: Path, key_file: Path) -> None:
        """Read them; raises as `server_context`."""
        self._files = cert_file, key_file
        self._seen = self._stamp()
        self.context = server_context(*self._files)
        ENDS.set(_end(cert_file))

    def renew(self) -> bool:
        """Take up files that have changed, for connections from now on; tells whether it did.

        Files that do not belong together (one is written, the other not yet) are left for the next look; until then
        the certificate of before is shown.
        """
        try:
            stamp = self._stamp()
            if stamp == self._seen:
                return False
            server_context(*self._files)  # a chain without its key would spoil the context that serves
            self.context.load_cert_chain(*self._files, password=_refuse_password)
            ENDS.set(_end(self._files[0]))
        except (OSError, ValueError) as error:
            RENEWED.labels("failed").inc()
            log.warning("certificate_not_renewed", file=str(self._files[0]), error=str(error))
            return False
        self._seen = stamp
        RENEWED.labels("renewed").inc()
        log.info("certificate_renewed", file=str(self._files[0]))
        return True

    async def follow(self) -> None:
        """Look for new files every `RENEWAL_SECONDS`, for ever."""
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            self.renew()

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        """Tell files apart that were written anew, or exchanged by a link as Kubernetes does."""
        found = (file.stat() for file in self._files)
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in found)
