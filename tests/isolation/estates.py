"""Two tenants who have one of everything, each under a word that nobody else uses."""

import base64
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
from tests.isolation.rows import Ids

from local_stack import clerk
from local_stack.clerk import Clerk
from local_stack.clients.caller import expect
from local_stack.clients.tenant import Tenant, wish
from local_stack.system import SystemAddresses
from production_contracts.events import STREAMS


@dataclass(frozen=True, kw_only=True)
class Estate:
    """A tenant and what is its own. Its ``word`` stands in everything that it wrote and in all its names."""

    tenant: Tenant
    word: str
    ids: Ids

    @property
    def marks(self) -> frozenset[str]:
        """What gives away that something is of this tenant, in lower case."""
        return frozenset({self.word, *vars_of(self.ids).values()})

    def left_in(self, said: bytes | str, *named: str) -> set[str]:
        """Tell which marks stand in what was said, but for what the caller named."""
        text = (said if isinstance(said, str) else said.decode(errors="replace")).lower()
        for name in named:
            text = text.replace(name.lower(), "")
        return {mark for mark in self.marks if mark in text}

    async def more(self, number: int = 0) -> Ids:
        """Add an artist with a booking of a numbered night, and name what is new."""
        artist = await self.tenant.artist(f"Artist {self.word}")
        booking = await self.tenant.booking(artist, number, **self.texts())
        return Ids(**(vars_of(self.ids) | {"booking": booking["id"], "artist": artist["id"]}))

    def texts(self) -> dict[str, str]:
        """Write what a booking may say."""
        return {name: f"{name} {self.word}" for name in ("title", "venue", "notes")}


NewEstate = Callable[[], Awaitable[Estate]]


def vars_of(ids: Ids) -> dict[str, str]:
    """Give what is named, by its name."""
    return {name: getattr(ids, name) for name in Ids.__dataclass_fields__}


def absent() -> Ids:
    """Name what is nowhere."""
    booking, roster = (f"{name}-{base64.urlsafe_b64encode(secrets.token_bytes(30)).decode()}" for name in STREAMS)
    return Ids(
        tenant=str(uuid4()),
        booking=str(uuid4()),
        artist=str(uuid4()),
        member=f"user_{secrets.token_hex(8)}",
        command=booking,
        command_id=str(uuid4()),
        roster_command=roster,
        roster_command_id=str(uuid4()),
    )


async def settle(at: SystemAddresses, session: aiohttp.ClientSession) -> Estate:
    """Let a new tenant have one of everything."""
    word = secrets.token_hex(8)
    tenant = Tenant(name=f"t{word}", at=at, session=session)
    told = Clerk(session=session, gateway_url=at.gateway_url, secret=at.engines.credentials.webhook_secret)
    for kind, data in (
        ("organization.created", clerk.organization(tenant.name, name=f"House {word}")),
        ("organizationMembership.created", clerk.membership(tenant.name, f"ben-{word}")),
        ("organizationInvitation.created", clerk.invitation(tenant.name, f"cleo-{word}")),
    ):
        assert await told.tell(kind, data) in {200, 202}
    roster_command, artist = await commanded(tenant, "/v1/artists", {"name": f"Artist {word}"})
    texts = {name: f"{name} {word}" for name in ("title", "venue", "notes")}
    command, booking = await commanded(tenant, "/v1/bookings", wish({"id": artist}) | texts)
    ids = Ids(
        tenant=str(tenant.id),
        booking=booking,
        artist=artist,
        member=f"user_ben-{word}",
        command=command,
        command_id=id_in(command),
        roster_command=roster_command,
        roster_command_id=id_in(roster_command),
    )
    return Estate(tenant=tenant, word=word, ids=ids)


async def commanded(tenant: Tenant, path: str, asked: dict[str, Any]) -> tuple[str, str]:
    """Create something without waiting for it; gives the command, and the id of what was created."""
    caller = tenant.caller()
    taken = expect(await caller.post(path, asked, headers={"Prefer": "respond-async"}), 202)
    decided = await caller.decided(taken.headers["Location"])
    return taken.headers["Location"].rpartition("/")[2], decided["outcome"]["body"]["id"]


def id_in(command: str) -> str:
    """Read the id that the gateway wrapped for its clients."""
    return str(UUID(bytes=base64.urlsafe_b64decode(command.partition("-")[2])[:16]))


@asynccontextmanager
async def untouched(estate: Estate) -> AsyncIterator[None]:
    """Hold that nothing of an estate is changed meanwhile."""
    before = await inventory(estate)
    yield
    assert await inventory(estate) == before


async def inventory(estate: Estate) -> list[list[Any]]:
    """Read all that an estate has, through its own door."""
    caller = estate.tenant.caller()
    lists = [await caller.every(path) for path in ("/v1/bookings", "/v1/artists", "/v1/members")]
    return [*lists, *[await caller.events(stream) for stream in ("booking", "tenancy")]]
