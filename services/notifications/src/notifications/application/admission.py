"""Who is let in: what a client says of itself when it connects, checked and judged."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, ValidationError

from notifications.application.ports import Owners
from notifications.domain.positions import LARGEST
from notifications.domain.resumption import Head, Start, epoch_of, starts
from production_contracts import problems
from production_contracts.records import Request
from servicekit.problems import ProblemError, field_errors
from servicekit.tokens import Principal, TokenVerifier

Position = Annotated[int, Field(strict=True, ge=0, le=LARGEST)]


class After(Request):
    """The last position that a client has, of each stream it wants to go on from."""

    booking: Position | None = None
    tenancy: Position | None = None


class SocketAuth(Request):
    """What a client sends as ``auth`` when it connects."""

    token: Annotated[str, Field(strict=True)]
    after: After | None = None
    epoch: Annotated[str, Field(strict=True, max_length=200)] | None = None


class Renewal(Request):
    """What a client sends with ``auth:renew``."""

    token: Annotated[str, Field(strict=True)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """Somebody who may connect: who, how far the streams are, and where the socket begins in each."""

    principal: Principal
    heads: dict[str, Head]
    starts: dict[str, Start]

    @property
    def ready(self) -> dict[str, Any]:
        """The message ``ready``."""
        positions = {stream: head.position for stream, head in self.heads.items()}
        return {"tenant_id": str(self.tenant_id), "epoch": epoch_of(self.heads), **positions}

    @property
    def resyncs(self) -> list[dict[str, Any]]:
        """The messages ``resync``."""
        return [{"stream": stream, "position": start.position} for stream, start in self.starts.items() if start.resync]

    @property
    def tenant_id(self) -> UUID:
        """The tenant of whoever connects."""
        return self.principal.tenant_id


class Door:
    """Lets clients in that hold a valid token, and tells where they go on."""

    def __init__(self, verifier: TokenVerifier, owners: Owners, *, furthest: int) -> None:
        """Let clients resume that are up to ``furthest`` events behind."""
        self._verifier = verifier
        self._owners = owners
        self._furthest = furthest

    async def admit(
        self,
        auth: Any,  # noqa: ANN401 - whatever the client sent
        welcome: Callable[[Principal], None] = lambda _principal: None,
    ) -> Admission:
        """Admit a client by its ``auth``; ``welcome`` raises where whoever it proves to be has no place.

        Raises:
            ProblemError: `unauthenticated`, `forbidden`, `invalid-request` or `unavailable`; as ``welcome`` says.
        """
        if auth is None or (isinstance(auth, dict) and "token" not in auth):
            detail = "Connect with auth: {token: <token>}."
            raise ProblemError(problems.UNAUTHENTICATED, detail)
        try:
            asked = SocketAuth.model_validate(auth)
        except ValidationError as error:
            raise _invalid(error) from None
        principal = await self._verifier.verify(asked.token)
        welcome(principal)
        heads = await self._owners.heads(asked.token)
        after = {} if asked.after is None else asked.after.model_dump(exclude_none=True)
        return Admission(
            principal=principal,
            heads=heads,
            starts=starts(heads, after, asked.epoch, self._furthest),
        )

    async def renew(self, principal: Principal, data: Any) -> Principal:  # noqa: ANN401 - whatever the client sent
        """Verify the token that is to follow ``principal``'s.

        Raises:
            ProblemError: `invalid-request`; as the verifier says; `forbidden`: it is of another user or tenant.
        """
        try:
            renewal = Renewal.model_validate(data)
        except ValidationError as error:
            raise _invalid(error) from None
        renewed = await self._verifier.verify(renewal.token)
        if (renewed.issuer, renewed.sub, renewed.tenant_id) != (principal.issuer, principal.sub, principal.tenant_id):
            detail = "A token is renewed with one of the same user and organisation."
            raise ProblemError(problems.FORBIDDEN, detail)
        return renewed


def _invalid(error: ValidationError) -> ProblemError:
    errors = field_errors(error.errors(include_url=False, include_input=False, include_context=False))
    detail = "This is not as the contract asks; see errors."
    return ProblemError(problems.INVALID_REQUEST, detail, errors=errors)
