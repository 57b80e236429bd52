"""The internal API by which wrapped keys are read and offered: what both ends of it agree on.

Tenancy serves it to the gateway alone. Who asks shows a secret of the service's own (``Authorization: Bearer``), which
no user has and no token of a user replaces; whatever else is shown is `unauthenticated`, and nothing of the request is
looked at. It is not part of the public API: the gateway passes nothing on to it.
"""

import hmac
from collections.abc import Sequence
from typing import Annotated, Final
from uuid import UUID

from pydantic import Field

from production_contracts.records import Record
from servicekit.keyring import READ_AT_ONCE, Kept
from servicekit.masters import WrappedKey

READ: Final = "/internal/keys/read"
OFFER: Final = "/internal/keys/offer"
LARGEST_BODY: Final = 64 * 1024

ServiceSecret = Annotated[str, Field(min_length=32, max_length=512, pattern=r"^[!-~]+$")]
"""A secret that one service shows another: random, in visible ASCII, such as `openssl rand -base64 32` prints."""


class ReadKeys(Record):
    """Asks what is kept for these tenants and people."""

    tenants: list[UUID] = Field(min_length=1, max_length=READ_AT_ONCE)


class OfferKey(Record):
    """Offers a first key."""

    key: WrappedKey


class KeysRead(Record):
    """What is kept, for each that was asked for."""

    items: list[Kept]


def shows(header: str | None, secrets: Sequence[str]) -> bool:
    """Tell whether an ``Authorization`` header shows one of the secrets; each is compared, in constant time."""
    scheme, _, shown = (header or "").partition(" ")
    matches = [hmac.compare_digest(shown.strip().encode(), secret.encode()) for secret in secrets]
    return any(matches) and scheme.lower() == "bearer"
