"""What the gateway needs from outside, and the errors that say it is not there."""

from asyncio import Future
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from production_contracts.envelope import KafkaRecord
from production_contracts.outcomes import Reply
from production_contracts.sealed import Sealed
from servicekit.vault import AesVault


class NotSentError(Exception):
    """The command was not published, for certain."""


class CrowdedError(Exception):
    """As many commands wait here as may."""


class OwnerAwayError(Exception):
    """The owning service does not answer, or not in a way that we understand."""


class CommandLine(Protocol):
    """The way by which commands leave."""

    async def send(self, record: KafkaRecord) -> "Future[Any]":
        """Hand over a record; the future is done when it is stored, and failed when that is uncertain.

        Raises:
            NotSentError: it was not sent.
        """
        ...


class ReplyLine(Protocol):
    """The way by which outcomes come back."""

    @property
    def partition(self) -> int:
        """The partition of the replies' topic that is read here."""
        ...

    @property
    def attached(self) -> bool:
        """Whether replies sent from now on will be seen."""
        ...

    def expecting(self, tenant_id: UUID, command_id: UUID) -> AbstractContextManager["Future[Reply]"]:
        """Look out for the reply to a command while inside.

        Raises:
            CrowdedError: too many are looked out for already.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnerAnswer:
    """What an owning service answered; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Owners(Protocol):
    """The services that own the data."""

    async def get(self, service: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> OwnerAnswer:
        """Read from a service.

        Raises:
            OwnerAwayError: as it says.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Quota:
    """A limit and what is left of it; the name is that of the policy."""

    name: str
    limit: int
    window_seconds: int
    remaining: int

    @property
    def exceeded(self) -> bool:
        """Whether this request was one too many."""
        return self.remaining < 0


class Limits(Protocol):
    """The counts of requests."""

    async def count(self, tenant_id: UUID, sub: str) -> tuple[Quota, ...]:
        """Count a request of a user and then of the tenant, and say what is left for each; never fails.

        Where the user's is exceeded it is the only one: the tenant's was not counted.
        """
        ...


class Keyring(Protocol):
    """The keys of tenants and people, each in a vault of its own; `servicekit.keyring` says what it promises."""

    async def sealing(self, tenant_id: UUID) -> AesVault:
        """Give the vault that seals for a tenant or person.

        Raises:
            KeysAwayError: keys can't be had for the moment.
            KeyDestroyedError: there are none any more, and there will be none.
        """
        ...

    async def opening(self, wanted: Mapping[UUID, Collection[str]]) -> Mapping[UUID, AesVault | None]:
        """Give the vaults that open what these keys of these tenants have sealed; None: they are destroyed.

        Raises:
            KeysAwayError: keys can't be had for the moment.
        """
        ...


class Vault(Protocol):
    """Seals values so that only a gateway opens them."""

    def seal(self, tenant_id: UUID, holder: UUID, field: str, text: str) -> Sealed:
        """Seal a field's text, bound to tenant, holder and field; the same again gives the same."""
        ...

    def open(self, tenant_id: UUID, holder: UUID, field: str, sealed: Sealed) -> str:
        """Open what was sealed for exactly these.

        Raises:
            SealBrokenError: its key is unknown here, or it is not what was sealed.
        """
        ...
