"""What the live hubs need from outside."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from notifications.domain.positions import LiveEvent
from notifications.domain.resumption import Head

Batch = Mapping[tuple[UUID, str], Sequence[LiveEvent]]
"""Events by tenant and stream, each in order."""


class RecentUnavailableError(Exception):
    """The store of recent events can't be reached."""


class Audience(Protocol):
    """Sockets that are sent the same, until they are discarded; a socket that is gone is lost with the next event."""

    def __len__(self) -> int: ...

    def add(self, sid: str) -> None:
        """Let a socket hear what comes from now on."""

    def discard(self, sid: str) -> None:
        """Let it hear no more; it need not be there."""

    def deliver(self, events: Sequence[LiveEvent]) -> list[str]:
        """Send events, in order, to all; as `Emitter.deliver` does."""


class Emitter(Protocol):
    """Writes to sockets; nothing here waits, so that what is decided about a socket is done before the next decision.

    A socket receives what it is sent in the order in which it was sent.
    """

    def audience(self) -> Audience:
        """Make an audience, without sockets."""

    def deliver(self, events: Sequence[LiveEvent], sids: Collection[str]) -> list[str]:
        """Send events, in order, to sockets; names those that take no more: they are gone, or too far behind."""

    def tell(self, sid: str, name: str, message: dict[str, Any]) -> None:
        """Send a message of ours to a socket."""

    async def drained(self, sid: str) -> bool:
        """Wait until what was sent to a socket is on its way; False where it is gone or does not read."""

    def close(self, sid: str) -> None:
        """Close a socket's connection, so that its client connects again."""


class Recent(Protocol):
    """The recent events of every tenant, shared by all instances."""

    async def publish(self, batch: Batch) -> None:
        """Keep events and tell every instance that listens; what is known already is done.

        Raises:
            RecentUnavailableError: not all of it was done; do all of it again.
        """

    async def after(self, tenant_id: UUID, stream: str, position: int) -> list[LiveEvent]:
        """Read what is kept past a position, in order, up to a page, holes and all.

        Raises:
            RecentUnavailableError: it can't be read now.
        """

    async def last(self, streams: Sequence[tuple[UUID, str]]) -> list[int]:
        """Read the position of the last event kept of each stream, 0 where none is.

        Raises:
            RecentUnavailableError: it can't be read now.
        """


class Owners(Protocol):
    """The services that own the streams; each call is made with the token of somebody who may read."""

    async def heads(self, token: str) -> dict[str, Head]:
        """Read how far the streams of the token's tenant are, in the order of `events.STREAMS`.

        Raises:
            ProblemError: what an owner answered, or `unavailable`.
        """

    async def after(self, stream: str, position: int, token: str) -> list[LiveEvent]:
        """Read the events past a position, in order, up to a page.

        Raises:
            ProblemError: what the owner answered, or `unavailable`.
        """


class Channel(Protocol):
    """Which tenants' events this instance hears."""

    def listen(self, tenant_id: UUID) -> None:
        """Hear a tenant from now on."""

    def forget(self, tenant_id: UUID) -> None:
        """Hear a tenant no more."""
