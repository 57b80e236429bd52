"""Tokens that must not be let in, at every door that takes one: each is told one clear problem, and nothing is done.

The doors are the gateway, the services behind it on their own ports, and the socket, connecting and renewing.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm
from socketio.exceptions import ConnectionError as RefusedError

from local_stack.clients.caller import Caller
from local_stack.clients.tenant import Tenant, wish
from local_stack.clients.watcher import Watcher
from local_stack.contract.applications import assembled
from local_stack.issuer import Issuer, IssuerServer
from local_stack.port import HOST, free_ports
from servicekit.problems import ProblemError
from servicekit.removals import Removals
from servicekit.settings import AuthSettings, IssuerSettings
from servicekit.tokens import LONGEST_TOKEN, TokenVerifier

UNAUTHENTICATED, FORBIDDEN = (401, "unauthenticated"), (403, "forbidden")
Forge = Callable[[Tenant], str]


def claims_of(tenant: Tenant) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(tenant.token(), options={"verify_signature": False})
    return claims


def raw(header: dict[str, Any], payload: bytes, sign: Callable[[bytes], bytes]) -> str:
    """Write a JWS by hand: libraries refuse to write what an attacker does."""
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (json.dumps(header).encode(), payload))
    return (text + b"." + base64.urlsafe_b64encode(sign(text)).rstrip(b"=")).decode()


def written(tenant: Tenant, header: dict[str, Any], sign: Callable[[bytes], bytes], **changes: Any) -> str:  # noqa: ANN401
    issuer = tenant.at.issuer
    return raw({"typ": "JWT", "kid": issuer.kid} | header, json.dumps(claims_of(tenant) | changes).encode(), sign)


def public_pem(tenant: Tenant) -> bytes:
    return tenant.at.issuer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def hs256(key: bytes) -> Callable[[bytes], bytes]:
    return lambda text: hmac.digest(key, text, hashlib.sha256)


def by(issuer: Issuer) -> Callable[[bytes], bytes]:
    return lambda text: RSAAlgorithm(RSAAlgorithm.SHA256).sign(text, issuer.key)


@cache
def _stranger(url: str) -> Issuer:
    return Issuer.new(url)


def stranger(tenant: Tenant) -> Issuer:
    """Somebody who says that he is the issuer, with a key of his own."""
    return _stranger(tenant.at.issuer_url)


def tampered(tenant: Tenant) -> str:
    head, _, signature = tenant.token(role="viewer").split(".")
    return ".".join((head, tenant.token(role="admin").split(".")[1], signature))


def embedded(tenant: Tenant) -> str:
    """A key in the token's own header."""
    own = stranger(tenant)
    key = RSAAlgorithm.to_jwk(own.key.public_key(), as_dict=True) | {"kid": tenant.at.issuer.kid}
    return written(tenant, {"alg": "RS256", "jwk": key, "jku": "http://127.0.0.1:1/jwks", "x5u": "file:///"}, by(own))


NOW = time.time
PARTIES = ["http://localhost:3000"]
FORGERIES: dict[str, tuple[Forge, tuple[int, str]]] = {
    "alg none": (lambda t: written(t, {"alg": "none"}, lambda _: b""), UNAUTHENTICATED),
    "alg None": (lambda t: written(t, {"alg": "None"}, lambda _: b""), UNAUTHENTICATED),
    "no alg": (lambda t: written(t, {}, by(t.at.issuer)), UNAUTHENTICATED),
    "HS256 with the public key": (lambda t: written(t, {"alg": "HS256"}, hs256(public_pem(t))), UNAUTHENTICATED),
    "HS256 with the key's id": (
        lambda t: written(t, {"alg": "HS256"}, hs256(t.at.issuer.kid.encode())),
        UNAUTHENTICATED,
    ),
    "HS256 with no key": (lambda t: written(t, {"alg": "HS256"}, hs256(b"")), UNAUTHENTICATED),
    "RS256 said, HMAC done": (lambda t: written(t, {"alg": "RS256"}, hs256(public_pem(t))), UNAUTHENTICATED),
    "another's key": (lambda t: written(t, {"alg": "RS256"}, by(stranger(t))), UNAUTHENTICATED),
    "a key in the header": (embedded, UNAUTHENTICATED),
    "a foreign key id": (lambda t: stranger(t).sign(claims_of(t)), UNAUTHENTICATED),
    "a key id that is a path": (
        lambda t: written(t, {"alg": "RS256", "kid": "../../etc/passwd"}, by(t.at.issuer)),
        UNAUTHENTICATED,
    ),
    "a key id that is SQL": (
        lambda t: written(t, {"alg": "RS256", "kid": "' or 1=1 --"}, by(t.at.issuer)),
        UNAUTHENTICATED,
    ),
    "a key id that is a list": (
        lambda t: written(t, {"alg": "RS256", "kid": [t.at.issuer.kid]}, by(t.at.issuer)),
        UNAUTHENTICATED,
    ),
    "no key id": (lambda t: written(t, {"alg": "RS256", "kid": None}, by(t.at.issuer)), UNAUTHENTICATED),
    "what must be understood": (
        lambda t: written(t, {"alg": "RS256", "crit": ["b64"], "b64": False}, by(t.at.issuer)),
        UNAUTHENTICATED,
    ),
    "a wrong issuer": (lambda t: t.token(iss="https://clerk.evil.example"), UNAUTHENTICATED),
    "the issuer with a slash": (lambda t: t.token(iss=t.at.issuer_url + "/"), UNAUTHENTICATED),
    "no issuer": (lambda t: t.token(iss=None), UNAUTHENTICATED),
    "a list of issuers": (
        lambda t: written(t, {"alg": "RS256"}, by(t.at.issuer), iss=[t.at.issuer_url]),
        UNAUTHENTICATED,
    ),
    "expired": (lambda t: t.token(exp=int(NOW()) - 60, iat=int(NOW()) - 120), UNAUTHENTICATED),
    "never expires": (lambda t: t.token(exp=None), UNAUTHENTICATED),
    "lives for ever": (lambda t: t.token(exp=int(NOW()) + 10**9), UNAUTHENTICATED),
    "not yet valid": (lambda t: t.token(nbf=int(NOW()) + 600), UNAUTHENTICATED),
    "issued tomorrow": (lambda t: t.token(iat=int(NOW()) + 600, nbf=None), UNAUTHENTICATED),
    "no user": (lambda t: t.token(sub=None), UNAUTHENTICATED),
    "tampered": (tampered, UNAUTHENTICATED),
    "signature cut": (lambda t: t.token()[:-8], UNAUTHENTICATED),
    "no signature": (lambda t: t.token().rpartition(".")[0] + ".", UNAUTHENTICATED),
    "appended": (lambda t: t.token() + ".x", UNAUTHENTICATED),
    "encrypted": (lambda t: t.token() + ".a.b", UNAUTHENTICATED),
    "oversized": (lambda t: t.token(filler="x" * LONGEST_TOKEN), UNAUTHENTICATED),
    "opaque": (lambda _: "sess_2nQa7cVw3XopaqueOpaqueOpaque", UNAUTHENTICATED),
    "an API key": (lambda _: "sk_live_" + "a" * 40, UNAUTHENTICATED),
    "no JSON": (lambda t: raw({"alg": "RS256", "kid": t.at.issuer.kid}, b"{", by(t.at.issuer)), UNAUTHENTICATED),
    "no object": (lambda t: raw({"alg": "RS256", "kid": t.at.issuer.kid}, b"[]", by(t.at.issuer)), UNAUTHENTICATED),
    "deep": (
        lambda t: raw({"alg": "RS256", "kid": t.at.issuer.kid}, b'{"a":' * 900 + b"1" + b"}" * 900, by(t.at.issuer)),
        UNAUTHENTICATED,
    ),
    "no organisation": (lambda t: t.at.token(tenant=None), FORBIDDEN),
    "no organisation, version 1": (lambda t: t.at.token(tenant=None, version=1), FORBIDDEN),
    "a pending organisation": (lambda t: t.token(sts="pending"), FORBIDDEN),
    "an organisation that is a list": (lambda t: t.token(o=[{"id": f"org_{t.name}", "rol": "admin"}]), FORBIDDEN),
    "a role of its own making": (lambda t: t.token(o={"id": f"org_{t.name}", "rol": "owner"}), FORBIDDEN),
    "version 1 in the coat of 2": (lambda t: t.token(version=1, v=2), FORBIDDEN),
}


@dataclass(frozen=True, kw_only=True)
class Told:
    """What whoever comes with a token is told."""

    problem: dict[str, Any]
    challenge: str | None = None


async def _over_http(tenant: Tenant, url: str, token: str) -> Told:
    answer = await Caller(session=tenant.session, url=url, token=token).get("/v1/events", {"stream": "booking"})
    assert answer.headers["Content-Type"] == "application/problem+json", answer
    assert answer.body["status"] == answer.status
    return Told(problem=answer.body, challenge=answer.headers.get("WWW-Authenticate"))


async def at_the_gateway(tenant: Tenant, token: str) -> Told:
    return await _over_http(tenant, tenant.at.gateway_url, token)


async def at_booking(tenant: Tenant, token: str) -> Told:
    return await _over_http(tenant, tenant.at.booking_url, token)


async def at_tenancy(tenant: Tenant, token: str) -> Told:
    return await _over_http(tenant, tenant.at.tenancy_url, token)


async def connecting(tenant: Tenant, token: str) -> Told:
    watcher = Watcher(tenant.at.notifications_urls[0], token)
    with pytest.raises(RefusedError):
        await watcher.connect()
    (refusal,) = watcher.refusals
    assert watcher.ready == []
    assert refusal["message"] == refusal["data"]["type"].removeprefix("/problems/")
    return Told(problem=refusal["data"])


async def renewing(tenant: Tenant, token: str) -> Told:
    async with tenant.watcher() as watcher:
        problem = (await watcher.renew(token))["error"]
        assert watcher.connected, "the token before stays in force"
    return Told(problem=problem)


DOORS = (at_the_gateway, at_booking, at_tenancy, connecting, renewing)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
@pytest.mark.parametrize("forgery", FORGERIES)
async def test_it_is_refused_with_one_clear_problem(
    forgery: str, door: Callable[[Tenant, str], Awaitable[Told]], tenant: Tenant
) -> None:
    forge, (status, slug) = FORGERIES[forgery]
    token = forge(tenant)
    told = await door(tenant, token)
    assert (told.problem["status"], told.problem["type"]) == (status, f"/problems/{slug}")
    assert told.problem["detail"], "it says what is wrong"
    assert set(told.problem) == {"type", "title", "status", "detail"}
    assert token not in str(told.problem), "and does not repeat what it was given"
    if told.challenge is not None:
        assert told.challenge == "Bearer"
    elif door.__name__.startswith("at_"):
        assert status == 403


async def test_what_the_same_hand_writes_without_forgery_is_let_in(tenant: Tenant) -> None:
    """So what is refused above is refused for what was forged."""
    good = written(tenant, {"alg": "RS256"}, by(tenant.at.issuer))
    for url in (tenant.at.gateway_url, tenant.at.booking_url, tenant.at.tenancy_url):
        caller = Caller(session=tenant.session, url=url, token=good)
        assert (await caller.get("/v1/events", {"stream": "booking"})).status == 200
    async with Watcher(tenant.at.notifications_urls[0], good) as watcher:
        assert "expires_at" in await watcher.renew(good)


async def test_nothing_is_done_for_a_forged_token(tenant: Tenant) -> None:
    artist = await tenant.artist()
    before = await tenant.caller().events("tenancy")
    for forge, (status, _) in FORGERIES.values():
        caller = Caller(session=tenant.session, url=tenant.at.gateway_url, token=forge(tenant))
        answers = await asyncio.gather(
            caller.post("/v1/artists", {"name": "Mallory"}), caller.post("/v1/bookings", wish(artist))
        )
        assert {answer.status for answer in answers} == {status}
    assert await tenant.caller().every("/v1/bookings") == []
    assert await tenant.caller().events("tenancy") == before


@pytest.mark.parametrize("role", ["owner", "org:admin", "ADMIN", "admin ", ""])
async def test_a_role_that_there_is_not_holds_nothing(role: str, tenant: Tenant) -> None:
    told = await at_the_gateway(tenant, tenant.token(o={"id": f"org_{tenant.name}", "rol": role}))
    assert told.problem["type"] == "/problems/forbidden"


class Namesake(Issuer):
    """An issuer that calls its key as others call theirs."""

    @property
    def kid(self) -> str:
        return "the-key"


@pytest.fixture(scope="module")
async def pair() -> AsyncIterator[tuple[Issuer, Issuer, TokenVerifier]]:
    ports = free_ports(2)
    first, second = (Namesake.new(f"http://{HOST}:{port}") for port in ports)
    with IssuerServer(first, ports[0]), IssuerServer(second, ports[1]):
        accepted = [
            IssuerSettings(issuer=issuer.url, jwks_url=issuer.jwks_url, namespace=uuid4()) for issuer in (first, second)
        ]
        verifier = TokenVerifier(accepted, authorized_parties=PARTIES)
        await verifier.start()
        yield first, second, verifier
        await verifier.stop()


class TestIssuersApart:
    """Two issuers that are both accepted, with keys of one name: neither speaks for the other."""

    async def test_a_key_of_one_does_not_sign_for_the_other(self, pair: tuple[Issuer, Issuer, TokenVerifier]) -> None:
        first, second, verifier = pair
        for signer, named in ((first, second), (second, first)):
            assert (await verifier.verify(signer.token())).issuer == signer.url
            with pytest.raises(ProblemError) as caught:
                await verifier.verify(signer.token(iss=named.url))
            assert caught.value.kind.slug == "unauthenticated"

    async def test_an_organisation_of_one_is_no_tenant_of_the_other(
        self, pair: tuple[Issuer, Issuer, TokenVerifier]
    ) -> None:
        first, second, verifier = pair
        tenants = {(await verifier.verify(issuer.token(tenant="acme"))).tenant_id for issuer in (first, second)}
        assert len(tenants) == 2

    @pytest.mark.parametrize("party", ["http://evil.example", "http://localhost:3000/", "HTTP://LOCALHOST:3000", ["a"]])
    async def test_a_wrong_party_is_refused(self, party: object, pair: tuple[Issuer, Issuer, TokenVerifier]) -> None:
        first, _, verifier = pair
        with pytest.raises(ProblemError) as caught:
            await verifier.verify(first.token(azp=party))
        assert caught.value.kind.slug == "unauthenticated"
        assert (await verifier.verify(first.token(azp=PARTIES[0]))).issuer == first.url


@pytest.mark.parametrize("service", ["gateway", "booking", "tenancy", "notifications"])
def test_every_service_verifies_by_its_settings(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Issuers, parties and removals reach the one class that verifies, in each service that takes a token."""
    made: list[tuple[Any, Any]] = []
    verify = TokenVerifier.of.__func__  # type: ignore[attr-defined] # a class method

    def of(cls: type[TokenVerifier], settings: AuthSettings, removals: Removals | None = None) -> TokenVerifier:
        made.append((settings, removals))
        verifier: TokenVerifier = verify(cls, settings, removals)
        return verifier

    monkeypatch.setattr(TokenVerifier, "of", classmethod(of))
    monkeypatch.setenv(f"{service.upper()}_AUTH_AUTHORIZED_PARTIES", json.dumps(PARTIES))
    assembled()
    mine = [(settings, removals) for settings, removals in made if service in type(settings).__module__]
    ((settings, removals),) = mine
    assert settings.auth_authorized_parties == PARTIES
    assert settings.auth_issuers
    assert removals is not None
