"""The local issuer: Clerk's shapes, verifiable by its JWKS."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import jwt
import pytest

from local_stack.issuer import Issuer, IssuerServer, duration
from local_stack.port import HOST, free_ports


@pytest.fixture(scope="module")
def served() -> Iterator[Issuer]:
    port = free_ports(1)[0]
    with IssuerServer(Issuer.new(f"http://{HOST}:{port}"), port) as server:
        yield server.issuer


def verify(token: str, issuer: Issuer) -> dict[str, Any]:
    """Verify as a service would: with the published key of the token's key id."""
    key = jwt.PyJWKClient(issuer.jwks_url).get_signing_key_from_jwt(token)
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"], issuer=issuer.url)
    return claims


def post(issuer: Issuer, body: object) -> dict[str, Any]:
    request = urllib.request.Request(f"{issuer.url}/token", data=json.dumps(body).encode())  # noqa: S310 - ours
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - ours
        answer: dict[str, Any] = json.load(response)
    return answer


def test_version_2_has_the_organisation_in_o_with_a_bare_role(served: Issuer) -> None:
    claims = verify(served.token(tenant="acme", role="member", user="bob"), served)
    assert claims["v"] == 2
    assert claims["sts"] == "active"
    assert claims["sub"] == "user_bob"
    assert {name: claims["o"][name] for name in ("id", "slg", "rol")} == {
        "id": "org_acme",
        "slg": "acme",
        "rol": "member",
    }
    assert "org_id" not in claims


def test_version_1_has_the_organisation_beside_the_user_with_a_prefixed_role(served: Issuer) -> None:
    claims = verify(served.token(tenant="acme", role="viewer", user="eve", version=1), served)
    assert (claims["org_id"], claims["org_slug"], claims["org_role"]) == ("org_acme", "acme", "org:viewer")
    assert claims["org_permissions"] == ["org:bookings:read", "org:roster:read"]
    assert "v" not in claims
    assert "o" not in claims


@pytest.mark.parametrize("version", [1, 2])
def test_without_an_active_organisation_no_claim_names_one(served: Issuer, version: Literal[1, 2]) -> None:
    claims = verify(served.token(tenant=None, version=version), served)
    assert {"o", "org_id", "org_role"} & claims.keys() == set()


def test_a_token_lasts_as_long_as_asked(served: Issuer) -> None:
    claims = verify(served.token(ttl=timedelta(minutes=5)), served)
    assert claims["exp"] - claims["iat"] == 300


def test_a_claim_can_be_replaced_or_removed(served: Issuer) -> None:
    claims = jwt.decode(served.token(iss="http://elsewhere", azp=None), options={"verify_signature": False})
    assert claims["iss"] == "http://elsewhere"
    assert "azp" not in claims


def test_a_token_of_another_issuer_does_not_verify(served: Issuer) -> None:
    with pytest.raises(jwt.PyJWKClientError):
        verify(Issuer.new(served.url).token(), served)


def test_tokens_are_asked_for_over_http(served: Issuer) -> None:
    claims = verify(post(served, {"tenant": "hall", "role": "viewer", "user": "eve", "ttl": "90s"})["token"], served)
    assert claims["o"]["id"] == "org_hall"
    assert claims["exp"] - claims["iat"] == 90


@pytest.mark.parametrize("body", [{"ttl": "soon"}, {"version": 3}, {"tenant": "a b"}, {"who": "me"}, []])
def test_a_request_that_makes_no_sense_is_refused_with_a_reason(served: Issuer, body: object) -> None:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        post(served, body)
    with refusal.value as answer:
        assert answer.code == 422
        assert json.load(answer)["error"]


def test_the_key_is_kept(tmp_path: Path) -> None:
    first = Issuer.kept_in(tmp_path / "issuer", "http://127.0.0.1:1")
    second = Issuer.kept_in(tmp_path / "issuer", "http://127.0.0.1:1")
    assert first.kid == second.kid
    assert (tmp_path / "issuer" / "key.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("12h", 43200), ("7d", 604800), ("60", 60)])
def test_durations_are_read(text: str, seconds: int) -> None:
    assert duration(text) == timedelta(seconds=seconds)
