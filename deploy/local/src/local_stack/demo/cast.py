"""Who plays: people with a token, who call the gateway and watch a socket."""

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from local_stack.clients.caller import Caller
from local_stack.clients.watcher import Watcher


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where the system is."""

    gateway: str
    notifications: str
    issuer: str


@dataclass(frozen=True, kw_only=True)
class Person:
    """One of the people of the story."""

    name: str
    caller: Caller
    watcher: Watcher


class Agency:
    """The tenant of this performance, and how its people come on stage."""

    def __init__(self, tenant: str, at: Addresses, session: aiohttp.ClientSession) -> None:
        """Play as `tenant` against the system at these addresses."""
        self.tenant = tenant
        self.at = at
        self.session = session

    async def person(self, name: str, role: str, *, after: Mapping[str, int] | None = None) -> Person:
        """Get somebody a token from the local issuer; `after` is where their socket begins."""
        words = {"tenant": self.tenant, "user": name.lower(), "role": role}
        async with self.session.post(f"{self.at.issuer}/token", json=words) as response:
            response.raise_for_status()
            token = (await response.json())["token"]
        return Person(
            name=name,
            caller=Caller(session=self.session, url=self.at.gateway, token=token),
            watcher=Watcher(self.at.notifications, token, after=after),
        )
