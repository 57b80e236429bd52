"""Tokens: who is let in, and what everyone else is told."""

import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID, uuid5

import jwt
import pytest

from local_stack.issuer import Issuer
from production_contracts.roles import Role
from servicekit.problems import ProblemError
from servicekit.settings import IssuerSettings
from servicekit.tokens import LONGEST_TOKEN, TokenVerifier, bearer_token

NAMESPACE = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
LATER = int(time.time()) + 86_400
"""In the future, however long after it was collected a test runs."""


def accepted(issuer: Issuer) -> IssuerSettings:
    return IssuerSettings(issuer=issuer.url, jwks_url=issuer.jwks_url, namespace=NAMESPACE)


@pytest.fixture
async def verifier(issuer: Issuer) -> AsyncIterator[TokenVerifier]:
    verifier = TokenVerifier([accepted(issuer)], authorized_parties=["http://localhost:3000"])
    await verifier.start()
    yield verifier
    await verifier.stop()


async def slug_of(verifier: TokenVerifier, token: str) -> str:
    with pytest.raises(ProblemError) as caught:
        await verifier.verify(token)
    return caught.value.kind.slug


@pytest.mark.parametrize("version", [1, 2])
async def test_both_versions_of_the_claims_name_the_same_holder(
    verifier: TokenVerifier, issuer: Issuer, version: Literal[1, 2]
) -> None:
    principal = await verifier.verify(issuer.token(tenant="acme", role="member", user="ana", version=version))
    assert (principal.sub, principal.role, principal.org_id) == ("user_ana", Role.MEMBER, "org_acme")
    assert principal.tenant_id == uuid5(NAMESPACE, "org_acme")
    assert principal.issuer == issuer.url


async def test_a_principal_shows_neither_its_holder_nor_its_token(verifier: TokenVerifier, issuer: Issuer) -> None:
    token = issuer.token(user="ana")
    shown = repr(await verifier.verify(token))
    assert "ana" not in shown
    assert token not in shown


@pytest.mark.parametrize("version", [1, 2])
async def test_a_token_without_an_active_organisation_is_forbidden(
    verifier: TokenVerifier, issuer: Issuer, version: Literal[1, 2]
) -> None:
    assert await slug_of(verifier, issuer.token(tenant=None, version=version)) == "forbidden"


@pytest.mark.parametrize(
    "claims",
    [
        {"sts": "pending"},
        {"o": {"id": "org_acme", "rol": "owner"}},
        {"o": {"id": "org_acme", "rol": "org:admin"}},
        {"o": {"id": "org_acme", "rol": None}},
        {"o": {"id": "", "rol": "admin"}},
        {"o": {"id": 7, "rol": "admin"}},
        {"o": {"id": "org_\N{SNOWMAN}", "rol": "admin"}},
        {"o": "org_acme"},
        {"v": 1},
    ],
)
async def test_an_odd_organisation_or_role_is_forbidden(
    verifier: TokenVerifier, issuer: Issuer, claims: dict[str, Any]
) -> None:
    assert await slug_of(verifier, issuer.token(**claims)) == "forbidden"


async def test_an_unknown_role_of_version_1_is_forbidden(verifier: TokenVerifier, issuer: Issuer) -> None:
    assert await slug_of(verifier, issuer.token(version=1, org_role="basic_member")) == "forbidden"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": int(time.time()) - 60},
        {"exp": "tomorrow"},
        {"exp": 1e300},
        {"exp": True},
        {"exp": None},
        {"iat": None},
        {"iat": LATER},
        {"nbf": LATER},
        {"nbf": []},
        {"sub": None},
        {"sub": ""},
        {"sub": "user\n"},
        {"sub": "u" * 256},
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"azp": "http://evil.example"},
        {"azp": ["http://localhost:3000"]},
    ],
)
async def test_a_wrong_claim_is_unauthenticated(
    verifier: TokenVerifier, issuer: Issuer, claims: dict[str, Any]
) -> None:
    assert await slug_of(verifier, issuer.token(**claims)) == "unauthenticated"


async def test_a_token_that_names_no_party_passes_as_it_does_with_clerk(
    verifier: TokenVerifier, issuer: Issuer
) -> None:
    assert (await verifier.verify(issuer.token(azp=None))).role is Role.ADMIN


async def test_clocks_may_differ_by_the_leeway(verifier: TokenVerifier, issuer: Issuer) -> None:
    now = int(time.time())
    assert (await verifier.verify(issuer.token(exp=now - 1, iat=now + 3, nbf=now + 3))).exp == now - 1


def _tampered(issuer: Issuer) -> str:
    head, _, tail = issuer.token().split(".")
    _, claims, _ = issuer.token(user="mallory").split(".")
    return f"{head}.{claims}.{tail}"


@pytest.mark.parametrize(
    "make",
    [
        _tampered,
        lambda issuer: issuer.token() + "x",
        lambda issuer: Issuer.new(issuer.url).sign({**_claims(issuer)}, kid=issuer.kid),
        lambda issuer: jwt.encode(_claims(issuer), "k" * 40, algorithm="HS256", headers={"kid": issuer.kid}),
        lambda issuer: jwt.encode(_claims(issuer), "", algorithm="none", headers={"kid": issuer.kid}),
        lambda issuer: jwt.encode(_claims(issuer), issuer.key, algorithm="RS512", headers={"kid": issuer.kid}),
        lambda issuer: jwt.encode(_claims(issuer), issuer.key, algorithm="RS256"),
        lambda issuer: _signed(issuer, b'{"iss": ["a"]}'),
        lambda issuer: _signed(issuer, b'["iss"]'),
        lambda issuer: _signed(issuer, b'{"iss": "' + issuer.url.encode() + b'", "exp": 9e999, "iat": NaN, "sub": {}}'),
        lambda _: "",
        lambda _: "a.b.c",
        lambda _: "a" * (LONGEST_TOKEN + 1),
        lambda issuer: issuer.token(filler="x" * LONGEST_TOKEN),
    ],
    ids=[
        "tampered",
        "appended",
        "other key",
        "HS256",
        "none",
        "RS512",
        "no kid",
        "odd issuer",
        "list",
        "odd numbers",
        "empty",
        "no JWT",
        "long",
        "huge",
    ],
)
async def test_what_the_issuer_did_not_sign_with_rs256_is_unauthenticated(
    verifier: TokenVerifier, issuer: Issuer, make: Callable[[Issuer], str]
) -> None:
    assert await slug_of(verifier, make(issuer)) == "unauthenticated"


def _signed(issuer: Issuer, payload: bytes) -> str:
    return jwt.PyJWS().encode(payload, issuer.key, algorithm="RS256", headers={"kid": issuer.kid})


def _claims(issuer: Issuer) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(issuer.token(), options={"verify_signature": False})
    return claims


async def test_a_verified_token_is_remembered_until_it_expires(issuer: Issuer) -> None:
    now = time.time()
    clock = [now]
    verifier = TokenVerifier([accepted(issuer)], clock=lambda: clock[0])
    await verifier.start()
    try:
        token = issuer.token(ttl=timedelta(seconds=30))
        first = await verifier.verify(token)
        assert await verifier.verify(token) is first
        clock[0] = now + 36
        assert await slug_of(verifier, token) == "unauthenticated"
    finally:
        await verifier.stop()


async def test_issuers_are_told_apart(issuer: Issuer) -> None:
    other = Issuer.new("http://127.0.0.1:1")
    verifier = TokenVerifier([accepted(issuer), accepted(other)])
    await verifier.start()
    try:
        forged = issuer.token(iss=other.url)
        assert await slug_of(verifier, forged) == "unavailable"
        assert (await verifier.verify(issuer.token())).issuer == issuer.url
    finally:
        await verifier.stop()


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["Bearer"],
        ["Bearer "],
        ["Basic dXNlcg=="],
        ["Bearer a.b.c", "Bearer a.b.c"],
        ["Bearer  a.b.c"],
        ["Bearer a.b.\xe9"],
        ["a.b.c"],
    ],
)
def test_an_odd_authorization_header_is_unauthenticated(values: list[str]) -> None:
    with pytest.raises(ProblemError) as caught:
        bearer_token(values)
    assert caught.value.kind.slug == "unauthenticated"
    assert caught.value.headers == {"WWW-Authenticate": "Bearer"}


def test_the_scheme_is_read_in_any_case() -> None:
    assert bearer_token(["bearer a.b.c"]) == bearer_token(["BEARER a.b.c"]) == "a.b.c"
