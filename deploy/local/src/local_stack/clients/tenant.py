"""A tenant that nobody else uses, and its people."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from local_stack.clients.caller import Caller
from local_stack.clients.nights import night
from local_stack.clients.watcher import Watcher
from local_stack.environment import NAMESPACE
from local_stack.system import SystemAddresses


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """A tenant of a running system; each of its people is somebody with a token."""

    name: str
    at: SystemAddresses
    session: aiohttp.ClientSession

    @property
    def id(self) -> uuid.UUID:
        """The id under which the system knows it: as the contract derives it from the organisation's."""
        return uuid.uuid5(uuid.UUID(NAMESPACE), f"org_{self.name}")

    def token(self, user: str = "ana", role: str = "admin", **words: Any) -> str:  # noqa: ANN401 - as Issuer.token
        """Mint a token of one of its people; `words` as `Issuer.token` takes them."""
        return self.at.token(tenant=self.name, user=user, role=role, **words)

    def caller(self, user: str = "ana", role: str = "admin", *, url: str | None = None, **words: Any) -> Caller:  # noqa: ANN401 - as Issuer.token
        """Let one of its people call the gateway, or another URL."""
        return Caller(session=self.session, url=url or self.at.gateway_url, token=self.token(user, role, **words))

    def watcher(
        self,
        user: str = "ana",
        role: str = "admin",
        *,
        instance: int = 0,
        after: Mapping[str, int] | None = None,
        **words: Any,  # noqa: ANN401 - as Issuer.token
    ) -> Watcher:
        """Let one of its people watch at an instance of notifications; not connected yet."""
        return Watcher(self.at.notifications_urls[instance], self.token(user, role, **words), after=after)

    async def artist(self, name: str = "Rosa Quintet", **more: Any) -> Any:  # noqa: ANN401 - JSON
        """Add an artist and give it."""
        return await self.caller().make("/v1/artists", name=name, **more)

    async def booking(self, artist: Any, number: int = 0, **more: Any) -> Any:  # noqa: ANN401 - JSON
        """Book a numbered night of an artist and give the booking."""
        return await self.caller().make("/v1/bookings", **wish(artist, number, **more))


def wish(artist: Any, number: int = 0, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Write the body that asks for a numbered night of an artist."""
    return {"artist_id": artist["id"], "title": f"Night {number}", **night(number), **more}
