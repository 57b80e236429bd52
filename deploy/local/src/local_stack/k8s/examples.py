"""Files that stand in for those that a pod finds mounted: settings look into the ones that they are told of."""

import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@cache
def _folder() -> "tempfile.TemporaryDirectory[str]":
    """Make a folder, gone with this process, with a certificate that is its own CA, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tempfile.TemporaryDirectory(prefix="example-")
    encoding = serialization.Encoding.PEM
    Path(folder.name, "certificate").write_bytes(certificate.public_bytes(encoding))
    Path(folder.name, "key").write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder


def file_for(path: str) -> Path:
    """Give an example of what a pod finds at a path: a key where it ends so, else a certificate."""
    return Path(_folder().name, "key" if path.endswith(".key") else "certificate")
