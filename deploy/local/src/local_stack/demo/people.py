"""The scene of people: an owner invites, an agent books, is removed, and is out."""

import asyncio
import time
from datetime import timedelta
from typing import Any

from local_stack import clerk
from local_stack.clerk import Clerk
from local_stack.clients.caller import expect
from local_stack.clients.waiting import until
from local_stack.demo.cast import Agency, Person
from local_stack.demo.stage import Stage
from local_stack.demo.story import NIGHT, night

A_WEEK_LATER = NIGHT + timedelta(days=7)


class Membership:
    """Plays with what Clerk tells: it stands in for the pages on which an owner invites and removes."""

    def __init__(self, stage: Stage, agency: Agency, owner: Person, told: Clerk, *, at_once: float) -> None:
        """Play with the owner, who is connected; ``at_once`` is how many seconds a removal may take."""
        self._at_once = at_once
        self._stage = stage
        self._agency = agency
        self._owner = owner
        self._clerk = told

    async def invite(self, name: str, role: str) -> Person:
        """Let the owner invite somebody, who accepts, joins and connects."""
        tenant, user = self._agency.tenant, name.lower()
        await self._tell("organization.created", clerk.organization(tenant, name="The Agency"), "tenant:amended")
        owner = clerk.membership(tenant, self._owner.name.lower(), "admin")
        await self._tell("organizationMembership.created", owner, "member:added")
        self._stage.speak(self._owner.name, f"invites {name}, as {role}, on a page of Clerk's")
        invitation = clerk.invitation(tenant, user, role)
        await self._tell("organizationInvitation.created", invitation, "invitation:sent")
        await self._tell("organizationInvitation.accepted", invitation, "invitation:accepted")
        await self._tell("organizationMembership.created", clerk.membership(tenant, user, role), "member:added")
        members = await self._owner.caller.every("/v1/members")
        rows = [(one["id"], one["role"], one["name"], one["email"]) for one in members]
        self._stage.table("GET /v1/members", ("id", "role", "name", "address"), rows)
        listed = [one["name"] for one in members]
        self._stage.hold(f"{self._owner.name} and {name} are listed by name", listed == [self._owner.name, name])
        events = str(await self._owner.caller.events("tenancy"))
        self._stage.hold("no event holds an address", "example.org" not in events)
        person = await self._agency.person(name, role)
        await person.watcher.connect()
        return person

    async def book(self, agent: Person, artist: Any) -> Any:  # noqa: ANN401 - JSON
        """Let an agent book."""
        wish = {"artist_id": artist["id"]} | night(f"{agent.name}'s night", A_WEEK_LATER)
        answer = await agent.caller.post("/v1/bookings", wish)
        self._stage.answered(agent.name, "books a night a week later", answer)
        return expect(answer, 201).body

    async def remove(self, agent: Person, booking: Any) -> None:  # noqa: ANN401 - JSON
        """Let the owner remove an agent, who is out at once, though the token lives for hours."""
        user = agent.name.lower()
        self._stage.speak(self._owner.name, f"removes {agent.name}, on a page of Clerk's")
        began = time.monotonic()
        gone = asyncio.create_task(self._clerk.tell("organizationMembership.deleted", self._membership(user)))

        async def is_refused() -> float | None:
            answer = await agent.caller.get(f"/v1/bookings/{booking['id']}")
            return time.monotonic() - began if answer.slug == "forbidden" else None

        async def is_closed() -> float | None:
            return time.monotonic() - began if agent.watcher.disconnects else None

        refused, closed = await asyncio.gather(
            until(is_refused, f"{agent.name} is refused"), until(is_closed, f"{agent.name}'s socket is closed")
        )
        self._stage.hold(f"Clerk's webhook was answered with {await gone}", await gone in {200, 202})
        answer = await agent.caller.post(f"/v1/bookings/{booking['id']}/confirm")
        self._stage.answered(agent.name, "confirms the night, with the token that still lives", answer)
        self._stage.hold("that is refused", answer.slug == "forbidden")
        self._stage.speak(agent.name, f"is refused {refused * 1000:.0f} ms after the webhook was sent")
        self._stage.speak(agent.name, f"finds the socket closed after {closed * 1000:.0f} ms")
        self._stage.hold(f"both within {self._at_once:g} s", max(refused, closed) < self._at_once)
        kept = expect(await self._owner.caller.get(f"/v1/bookings/{booking['id']}"), 200).body
        self._stage.hold(f"what {agent.name} has booked stands", kept == booking)
        await agent.watcher.disconnect()

    def _membership(self, user: str) -> dict[str, Any]:
        return clerk.membership(self._agency.tenant, user)

    async def _tell(self, kind: str, data: dict[str, Any], heard: str) -> None:
        """Tell something as Clerk does, and let the owner hear what comes of it."""
        before = len(self._owner.watcher.heard)
        status = await self._clerk.tell(kind, data)
        self._stage.speak("Clerk", f"tells {kind}, and is answered {status}")
        watcher = self._owner.watcher
        await watcher.until(lambda: any(one.name == heard for one in watcher.heard[before:]), heard)
        self._stage.speak(self._owner.name, f"hears {heard} on the socket")
