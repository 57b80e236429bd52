"""A token issuer for one machine: Clerk's session tokens, signed with a key of our own, and their JWKS.

The shapes are Clerk's (session tokens, claim versions 1 and 2): version 2 has the active organisation in `o`, its role
without the `org:` prefix; version 1 has `org_id`, `org_role` and `org_slug`.

`python -m local_stack.issuer` serves it; as a library it mints what a test needs, odd tokens included.
"""

import argparse
import base64
import hashlib
import json
import os
import re
import ssl
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Annotated, Any, Literal, Self

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from local_stack.certificates import CertificateFiles
from local_stack.port import HOST, Ports

JWKS_PATH = "/.well-known/jwks.json"
TOKEN_PATH = "/token"  # noqa: S105 - a path
TTL = timedelta(hours=12)
"""How long a token lasts unless the caller says otherwise: a working day, where Clerk's own last a minute."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_FEATURES = ("bookings", "roster")
_PERMISSIONS = ("read", "write")
_MAY = {"admin": (3, 3), "member": (3, 1), "viewer": (1, 1)}
"""Per role and feature, which of the permissions, as Clerk's bit mask."""


def duration(text: object) -> object:
    """Read `90s`, `5m`, `12h`, `7d`, or seconds as a bare number; raises ValueError for other text."""
    if not isinstance(text, str):
        return text
    found = re.fullmatch(r"(\d{1,9})([smhd]?)", text.strip())
    if found is None:
        message = f"{text!r} is no duration: 90s, 5m, 12h and 7d are"
        raise ValueError(message)
    return timedelta(**{_UNITS[found[2] or "s"]: int(found[1])})


class TokenRequest(BaseModel):
    """What a token is asked with; the same for `make token`, `POST /token` and the library."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "acme"
    role: Annotated[str, Field(pattern=r"^[a-z_]{1,64}$")] = "admin"
    user: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "ana"
    ttl: Annotated[timedelta, BeforeValidator(duration)] = TTL
    version: Literal[1, 2] = 2


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """Signs tokens in the name of `url` (RS256)."""

    url: str
    key: rsa.RSAPrivateKey

    @classmethod
    def new(cls, url: str) -> Self:
        """Make an issuer with a new key."""
        return cls(url=url, key=rsa.generate_private_key(public_exponent=65537, key_size=2048))

    @classmethod
    def kept_in(cls, folder: Path, url: str) -> Self:
        """Read the key from the folder, or make and keep one there."""
        file = folder / "key.pem"
        if file.exists():
            return cls.from_pem(file.read_bytes(), url)
        issuer = cls.new(url)
        folder.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as kept:
            kept.write(issuer.pem)
        return issuer

    @classmethod
    def from_pem(cls, pem: bytes, url: str) -> Self:
        """Read the key; raises TypeError when it is no RSA key."""
        key = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            message = "not an RSA key"
            raise TypeError(message)
        return cls(url=url, key=key)

    @property
    def pem(self) -> bytes:
        """The key, unencrypted."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def jwks_url(self) -> str:
        """Where the public key is published."""
        return self.url + JWKS_PATH

    @property
    def kid(self) -> str:
        """The key's id: its thumbprint, as in RFC 7638."""
        jwk = self._jwk()
        canonical = json.dumps({name: jwk[name] for name in ("e", "kty", "n")}, separators=(",", ":"), sort_keys=True)
        return base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=").decode()

    def jwks(self) -> dict[str, Any]:
        """Give the key set that verifies the tokens."""
        return {"keys": [self._jwk() | {"use": "sig", "alg": "RS256", "kid": self.kid}]}

    def token(
        self,
        *,
        tenant: str | None = "acme",
        role: str = "admin",
        user: str = "ana",
        ttl: timedelta = TTL,
        version: Literal[1, 2] = 2,
        **changes: Any,  # noqa: ANN401 - a claim is any JSON
    ) -> str:
        """Mint a token; `tenant=None`: no active organisation. A claim in `changes` replaces ours, None removes it."""
        request = TokenRequest(tenant=tenant, role=role, user=user, ttl=ttl, version=version)
        asked = self.claims(request) | changes
        return self.sign({name: claim for name, claim in asked.items() if claim is not None})

    def claims(self, request: TokenRequest) -> dict[str, Any]:
        """Say what Clerk's token would say of this user, now."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "azp": "http://localhost:3000",
            "exp": now + int(request.ttl.total_seconds()),
            "fva": [0, -1],
            "iat": now,
            "iss": self.url,
            "jti": uuid.uuid4().hex,
            "nbf": now - 10,
            "sid": f"sess_{request.user}",
            "sub": f"user_{request.user}",
        }
        may = _MAY.get(request.role, (0, 0))
        if request.version == 1:
            if request.tenant is not None:
                claims |= {
                    "org_id": f"org_{request.tenant}",
                    "org_permissions": _permissions(may),
                    "org_role": f"org:{request.role}",
                    "org_slug": request.tenant,
                }
            return claims
        claims |= {"v": 2, "sts": "active", "pla": "u:free"}
        if request.tenant is not None:
            claims["fea"] = ",".join(f"o:{feature}" for feature in _FEATURES)
            claims["o"] = {
                "id": f"org_{request.tenant}",
                "slg": request.tenant,
                "rol": request.role,
                "per": ",".join(_PERMISSIONS),
                "fpm": ",".join(map(str, may)),
            }
        return claims

    def sign(self, claims: dict[str, Any], *, kid: str | None = None) -> str:
        """Sign any claims, under another key id if one is given."""
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": kid or self.kid})

    def _jwk(self) -> dict[str, Any]:
        return RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)


def _permissions(may: tuple[int, ...]) -> list[str]:
    return [
        f"org:{feature}:{permission}"
        for feature, mask in zip(_FEATURES, may, strict=True)
        for bit, permission in enumerate(_PERMISSIONS)
        if mask & (1 << bit)
    ]


class IssuerServer:
    """Serves an issuer over HTTP, on loopback unless told otherwise, from a thread; a context manager.

    While it is `away` it hangs up on whoever asks.
    """

    def __init__(
        self, issuer: Issuer, port: int, *, address: str = HOST, certificate: CertificateFiles | None = None
    ) -> None:
        """Bind the port; raises OSError when it is taken. With a certificate it serves by HTTPS."""
        self.issuer = issuer
        self.away = False
        self._server = ThreadingHTTPServer((address, port), _handler(self))
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate.certificate, certificate.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def serve(self) -> None:
        """Serve until the process ends."""
        self._server.serve_forever()

    def __enter__(self) -> Self:
        """Serve in the background."""
        Thread(target=self.serve, name="issuer", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def _handler(served: IssuerServer) -> type[BaseHTTPRequestHandler]:
    issuer = served.issuer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Say nothing of what was answered: it is asked all the time, in terminals that tell something else."""

        def do_GET(self) -> None:
            if served.away:
                self.close_connection = True
            elif self.path == JWKS_PATH:
                self._answer(HTTPStatus.OK, issuer.jwks())
            elif self.path in {"/healthz", "/readyz"}:
                self._answer(HTTPStatus.OK, {"status": "ok"})
            else:
                self._answer(HTTPStatus.NOT_FOUND, {"error": f"there is {JWKS_PATH}, and POST {TOKEN_PATH}"})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if self.path != TOKEN_PATH:
                self._answer(HTTPStatus.NOT_FOUND, {"error": f"there is POST {TOKEN_PATH}"})
                return
            try:
                request = TokenRequest.model_validate_json(body or b"{}")
            except ValidationError as error:
                said = [f"{'.'.join(map(str, part['loc'])) or 'body'}: {part['msg']}" for part in error.errors()]
                self._answer(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": "; ".join(said)})
                return
            self._answer(HTTPStatus.OK, {"token": issuer.sign(issuer.claims(request))})

        def _answer(self, status: HTTPStatus, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m local_stack.issuer", description="Issue tokens on this machine.")
    parser.add_argument("--port", type=int, default=Ports.from_environment().issuer)
    parser.add_argument("--data", type=Path, required=True, help="the folder that keeps the key")
    parser.add_argument("--address", default=HOST, help="to listen on; in a container 0.0.0.0 (default: %(default)s)")
    parser.add_argument("--issuer", help="its name in tokens (default: its address on this machine)")
    arguments = parser.parse_args()
    issuer = Issuer.kept_in(arguments.data, arguments.issuer or f"http://{HOST}:{arguments.port}")
    IssuerServer(issuer, arguments.port, address=arguments.address).serve()


if __name__ == "__main__":
    main()
