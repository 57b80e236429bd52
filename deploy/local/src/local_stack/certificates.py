"""Certificates for TLS on this machine: a CA of one's own, and what it certifies. For tests; nothing else trusts it."""

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from local_stack.port import HOST

LIFE = dt.timedelta(days=7)
_LEEWAY = dt.timedelta(hours=1)
_DIGITAL_SIGNATURE = {"digital_signature": True, "key_cert_sign": False, "crl_sign": False}
_CERT_SIGN = {"digital_signature": False, "key_cert_sign": True, "crl_sign": True}
_NEVER = dict.fromkeys(
    ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"),
    False,
)


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A certificate with its key, and the CA by which it is verified; all of it in PEM."""

    ca: str
    certificate: str
    key: str = field(repr=False)

    def written_to(self, folder: Path) -> "CertificateFiles":
        """Write it into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        files = CertificateFiles(ca=folder / "ca.pem", certificate=folder / "cert.pem", key=folder / "key.pem")
        files.ca.write_text(self.ca)
        files.certificate.write_text(self.certificate)
        files.key.touch(mode=0o600)
        files.key.write_text(self.key)
        return files


@dataclass(frozen=True, kw_only=True)
class CertificateFiles:
    """Where a certificate, its key and its CA are."""

    ca: Path
    certificate: Path
    key: Path


class Authority:
    """A CA."""

    def __init__(self, name: str = "Production Tool, this machine only") -> None:
        """Make a new one."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self._certificate = (
            _begun(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(**_CERT_SIGN, **_NEVER), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        """Its own certificate."""
        return _pem(self._certificate)

    def certify(self, *names: str) -> Certificate:
        """Make a key, and certify that it belongs to these hosts; without names, to this machine's loopback."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _begun(_named("a part"), self._name, key.public_key())
            .add_extension(x509.SubjectAlternativeName([_general(name) for name in names or (HOST,)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**_DIGITAL_SIGNATURE, **_NEVER), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Certificate(ca=self.pem, certificate=_pem(certificate), key=private.decode())

    def context(self) -> ssl.SSLContext:
        """Make the context of a client that trusts this CA."""
        return ssl.create_default_context(cadata=self.pem)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LEEWAY)
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
