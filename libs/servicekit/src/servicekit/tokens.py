"""Clerk session tokens: who asks, for which tenant, in which role.

Source: https://clerk.com/docs/guides/sessions/session-tokens, versions 1 and 2 of the claims, and Clerk's own
``verifyToken`` for ``azp`` (a token that names no party passes).
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeGuard
from uuid import UUID, uuid5

import aiohttp
import jwt
from starlette.requests import HTTPConnection

from production_contracts import problems
from production_contracts.roles import Role
from servicekit.keys import IssuerKeys
from servicekit.problems import ProblemError
from servicekit.removals import Removals
from servicekit.settings import AuthSettings, IssuerSettings
from servicekit.tls import client_context

LONGEST_TOKEN: Final = 8 * 1024
LONGEST_ID: Final = 255
CACHED_TOKENS: Final = 10_000
LONGEST_LIFE_SECONDS: Final = 24 * 60 * 60.0
FRESH_SECONDS: Final = 300.0
"""How long a verified token, and an issuer's keys, are trusted without a look at the issuer."""

_HTTP_DEADLINE: Final = aiohttp.ClientTimeout(total=5, connect=2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """The holder of a verified token.

    ``iat`` and ``exp`` are seconds since 1970; ``token`` is there to be passed on, never to be logged.
    """

    sub: str
    tenant_id: UUID
    org_id: str
    role: Role
    iat: int
    exp: int
    issuer: str
    token: str

    def __repr__(self) -> str:
        """Show the tenant only: a principal that ends up in a log tells nothing about a person."""
        return f"Principal(tenant_id={self.tenant_id})"


def unauthenticated(detail: str) -> ProblemError:
    """Make the problem of a request without a valid token (RFC 6750, section 3)."""
    return ProblemError(problems.UNAUTHENTICATED, detail, headers={"WWW-Authenticate": "Bearer"})


def bearer_token(values: Sequence[str]) -> str:
    """Take the token out of the values of a request's Authorization headers.

    Raises:
        ProblemError: `unauthenticated`: there is none, more than one, or it is not ``Bearer <token>``.
    """
    if not values:
        message = "A bearer token is needed: Authorization: Bearer <token>."
        raise unauthenticated(message)
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token or not token.isascii() or token != token.strip():
        message = "There must be one Authorization header, with a bearer token."
        raise unauthenticated(message)
    return token


class TokenVerifier:
    """Verifies tokens of the configured issuers; trusts only RS256 keys that the token's own issuer publishes.

    A verified token is remembered until it expires, and never longer than `FRESH_SECONDS`, so that a key that its
    issuer has withdrawn goes out of use.
    """

    def __init__(
        self,
        issuers: Sequence[IssuerSettings],
        *,
        authorized_parties: Sequence[str] = (),
        leeway_seconds: int = 5,
        longest_seconds: float = LONGEST_LIFE_SECONDS,
        removals: Removals | None = None,
        ca_file: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Accept these issuers, and refuse the tokens of those removed; ``clock`` gives seconds since 1970.

        Keys are fetched with the CA of ``ca_file``, or the system's, where they are published by HTTPS.

        Without ``removals`` (in tests only) nobody is.
        """
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._parties = frozenset(authorized_parties)
        self._leeway = leeway_seconds
        self._longest = longest_seconds
        self._removals = removals
        self._ca_file = ca_file
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._keys: dict[str, IssuerKeys] = {}
        self._verified: OrderedDict[str, tuple[float, Principal]] = OrderedDict()

    @classmethod
    def of(cls, settings: AuthSettings, removals: Removals | None = None) -> "TokenVerifier":
        """Make the verifier that the settings describe; a service states its ``removals``."""
        return cls(
            settings.auth_issuers,
            authorized_parties=settings.auth_authorized_parties,
            leeway_seconds=settings.auth_leeway_seconds,
            longest_seconds=settings.auth_longest_token_seconds,
            removals=removals,
            ca_file=settings.auth_ca_file,
        )

    async def start(self) -> None:
        """Open the HTTP client; keys are fetched with the first token, so an issuer that is down stops nothing."""
        connector = aiohttp.TCPConnector(ssl=client_context(self._ca_file))
        self._session = aiohttp.ClientSession(timeout=_HTTP_DEADLINE, connector=connector)
        self._keys = {
            name: IssuerKeys(issuer.jwks_url, self._session, fresh_seconds=FRESH_SECONDS)
            for name, issuer in self._issuers.items()
        }

    async def stop(self) -> None:
        """Close the HTTP client."""
        if self._session is not None:
            await self._session.close()

    async def authenticate(self, connection: HTTPConnection) -> Principal:
        """Verify the token in a request's Authorization header; raises as `verify`."""
        return await self.verify(bearer_token(connection.headers.getlist("authorization")))

    async def identify(self, connection: HTTPConnection) -> Principal:
        """Verify the token in a request's Authorization header, and leave removals to `check`.

        Raises:
            ProblemError: as `verify`, but for who is removed.
        """
        return await self._authentic(bearer_token(connection.headers.getlist("authorization")))

    async def verify(self, token: str) -> Principal:
        """Tell who holds a token.

        Raises:
            ProblemError: `unauthenticated`: not a valid token of an accepted issuer; `forbidden`: no organisation is
                active in it, or the role is unknown, or it is of before its holder's removal, or the organisation is
                deleted; `unavailable`: the issuer's keys can't be had, or who was removed is not known.
        """
        principal = await self._authentic(token)
        self.check(principal)
        return principal

    def check(self, principal: Principal) -> None:
        """Hold that a token's holder is not removed.

        Raises:
            ProblemError: `forbidden`: the holder is, or the organisation is deleted; `unavailable`: that is not known.
        """
        if self._removals is not None:
            self._removals.check(principal.tenant_id, principal.sub, principal.iat)

    async def _authentic(self, token: str) -> Principal:
        known = self._verified.get(token)
        if known is not None:
            if self._clock() < known[0]:
                return known[1]
            del self._verified[token]
        principal = await self._verify(token)
        until = min(principal.exp + self._leeway, self._clock() + FRESH_SECONDS)
        self._verified[token] = (until, principal)
        if len(self._verified) > CACHED_TOKENS:
            self._verified.popitem(last=False)
        return principal

    async def _verify(self, token: str) -> Principal:
        issuer, key_id = self._read_unverified(token)
        key = await self._keys[issuer.issuer].find(key_id)
        if key is None:
            message = "The token is signed with a key that its issuer does not publish."
            raise unauthenticated(message)
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                issuer=issuer.issuer,
                options={
                    "require": ["iss", "sub", "exp", "iat"],
                    "verify_aud": False,
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            message = "The token is not valid."
            raise unauthenticated(message) from None
        self._check_times(claims)
        self._check_party(claims)
        return _principal(claims, issuer, token)

    def _read_unverified(self, token: str) -> tuple[IssuerSettings, str]:
        """Read which issuer and key a token claims; nothing else of it is looked at before its signature holds."""
        if len(token) > LONGEST_TOKEN:
            message = "The token is too long."
            raise unauthenticated(message)
        try:
            parts = jwt.decode_complete(token, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            message = "The token is not a JSON web token."
            raise unauthenticated(message) from None
        header, claims = parts["header"], parts["payload"]
        name, key_id = claims.get("iss"), header.get("kid")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            message = "The token is of an issuer that is not accepted here."
            raise unauthenticated(message)
        if header.get("alg") != "RS256" or not isinstance(key_id, str) or len(key_id) > LONGEST_ID:
            message = "The token must be signed with RS256 and name its key."
            raise unauthenticated(message)
        return issuer, key_id

    def _check_times(self, claims: dict[str, Any]) -> None:
        now = self._clock()
        issued, expires, begins = claims["iat"], claims["exp"], claims.get("nbf", claims["iat"])
        if not all(type(moment) in (int, float) and abs(moment) < 2**53 for moment in (issued, expires, begins)):
            message = "The token's times are not numbers."
            raise unauthenticated(message)
        if now >= expires + self._leeway:
            message = "The token has expired."
            raise unauthenticated(message)
        if now + self._leeway < max(begins, issued):
            message = "The token is not valid yet."
            raise unauthenticated(message)
        if expires - issued > self._longest:
            message = f"The token lives longer than the {self._longest:.0f} s that one may."
            raise unauthenticated(message)

    def _check_party(self, claims: dict[str, Any]) -> None:
        party = claims.get("azp")
        if self._parties and party and not (isinstance(party, str) and party in self._parties):
            message = "The token was issued to a party that is not accepted here."
            raise unauthenticated(message)


def _principal(claims: dict[str, Any], issuer: IssuerSettings, token: str) -> Principal:
    sub = claims["sub"]
    if not _is_id(sub):
        message = "The token names no user."
        raise unauthenticated(message)
    org_id, role = _organisation(claims)
    return Principal(
        sub=sub,
        tenant_id=uuid5(issuer.namespace, org_id),
        org_id=org_id,
        role=role,
        iat=int(claims["iat"]),
        exp=int(claims["exp"]),
        issuer=issuer.issuer,
        token=token,
    )


def _organisation(claims: dict[str, Any]) -> tuple[str, Role]:
    """Read the active organisation and the holder's role in it, from claims of either version."""
    org_id: Any
    name: Any
    if claims.get("v") == 2:  # noqa: PLR2004 - the version of Clerk's claims
        active = claims.get("o")
        org_id, name = (active.get("id"), active.get("rol")) if isinstance(active, dict) else (None, None)
        name = f"org:{name}"
    else:
        org_id, name = claims.get("org_id"), claims.get("org_role")
    if claims.get("sts", "active") != "active" or not _is_id(org_id):
        message = "The token has no active organisation: choose one and take a new token."
        raise ProblemError(problems.FORBIDDEN, message)
    try:
        return org_id, Role(name)
    except ValueError:
        message = "The token's role is not one of org:admin, org:member and org:viewer."
        raise ProblemError(problems.FORBIDDEN, message) from None


def _is_id(value: Any) -> TypeGuard[str]:  # noqa: ANN401 - a claim may be anything
    return isinstance(value, str) and 0 < len(value) <= LONGEST_ID and value.isascii() and value.isprintable()
