"""Clients that book: each asks one thing after the other, insists on an answer, and writes both down."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import aiohttp

from local_stack.chaos.history import Action, Call, History, Settled
from local_stack.clients.caller import Answer
from local_stack.clients.nights import FIRST, stamp
from local_stack.clients.tenant import Tenant
from local_stack.clients.waiting import until

PATIENCE_SECONDS = 15.0
"""How long a client waits for an answer; the gateway answers within 10 s, one way or the other."""

UNANSWERED = frozenset({429, 502, 503})
"""Answers that tell a client to try again with the same key."""

ARTISTS_IN_USE = 3
UNIT = timedelta(hours=6)
UNITS = 160
"""The calendar that clients fight for, 40 days."""

_WEIGHTS: dict[Action, float] = {
    "create": 46,
    "confirm": 12,
    "cancel": 24,
    "reschedule": 10,
    "amend": 7,
    "create-artist": 1,
}


@dataclass(kw_only=True)
class Intent:
    """Something that a client wants done once, however often it has to ask."""

    key: str
    action: Action
    method: str
    path: str
    asked: dict[str, Any]
    asynchronous: bool
    attempts: int = 0
    command_id: str | None = None
    status: int | None = None
    settled: bool = False


@dataclass(kw_only=True)
class Calendar:
    """What the clients of a tenant know of each other's work."""

    tenant: Tenant
    artists: deque[str] = field(default_factory=lambda: deque(maxlen=ARTISTS_IN_USE))
    bookings: deque[str] = field(default_factory=lambda: deque(maxlen=90))

    async def begin(self) -> None:
        """Add the first artists."""
        for number in range(ARTISTS_IN_USE):
            self.artists.append((await self.tenant.artist(f"Artist {number}"))["id"])


@dataclass(kw_only=True)
class Log:
    """Where clients write down, and by which clock."""

    history: History
    clock: Callable[[], float]
    commands: int = 0
    answered: int = 0


class Client:
    """One who asks and waits, then asks the next; the same seed makes the same choices of the same knowledge."""

    def __init__(
        self, name: str, calendar: Calendar, gateways: Sequence[str], log: Log, *, seed: int, rest: float
    ) -> None:
        """Describe the client; it rests up to ``rest`` seconds between two commands."""
        self.name = name
        self.calendar = calendar
        self.log = log
        self.rest = rest
        self.chance = random.Random(f"{seed} {name}")  # noqa: S311 - it must be the same again
        self.tenant_id = str(calendar.tenant.id)
        self.sub = f"user_{name}"
        # Issued a while ago, so that a service whose clock is behind takes it.
        issued: dict[str, Any] = dict.fromkeys(("iat", "nbf"), int(time.time()) - 600)
        self.callers = [calendar.tenant.caller(name, url=url, **issued) for url in gateways]
        self.open: list[Intent] = []

    async def work(self, end: float) -> None:
        """Ask until the clock says ``end``; what has no outcome by then is left in `open`."""
        while self.log.clock() < end:
            intent = self._intend()
            self.log.commands += 1
            self.open.append(intent)
            while not await self._ask(intent):
                if self.log.clock() >= end:
                    break
                await asyncio.sleep(self.chance.uniform(0.1, 1.5))
            if intent.status == 202 and self.chance.random() < 0.5:  # noqa: PLR2004 - the rest is asked for in the end
                await self._learn(intent, seconds=min(10.0, end - self.log.clock()))
            self.open = [one for one in self.open if not one.settled]
            await asyncio.sleep(self.chance.uniform(0, self.rest))

    async def settle(self, seconds: float) -> int:
        """Learn what became of what is open, within ``seconds``, and give how much of it is undecided still."""
        deadline = self.log.clock() + seconds
        for intent in self.open:
            while intent.status is None or intent.status in UNANSWERED:
                if await self._ask(intent) or self.log.clock() > deadline:
                    break
                await asyncio.sleep(0.3)
            if not intent.settled:
                await self._learn(intent, seconds=max(1.0, deadline - self.log.clock()), last=True)
        self.open = [one for one in self.open if not one.settled]
        return len(self.open)

    async def served(self, seconds: float) -> bool:
        """Ask for something new until it is answered with its outcome, and tell whether that was within ``seconds``."""
        deadline = self.log.clock() + seconds
        while self.log.clock() < deadline:
            intent = self._intend()
            intent.asynchronous = False
            self.log.commands += 1
            if await self._ask(intent) and intent.settled:
                return True
            self.open.append(intent)
            await asyncio.sleep(0.3)
        return False

    async def _ask(self, intent: Intent) -> bool:
        """Ask once, and tell whether there is nothing more to ask with this key."""
        intent.attempts += 1
        headers = {"Idempotency-Key": intent.key} | ({"Prefer": "respond-async"} if intent.asynchronous else {})
        patience = 0.4 if self.chance.random() < 0.02 else PATIENCE_SECONDS  # noqa: PLR2004 - some hang up early
        began, answer = self.log.clock(), None
        try:
            async with asyncio.timeout(patience):
                answer = await self.chance.choice(self.callers).call(
                    intent.method, intent.path, intent.asked or None, headers=headers
                )
        except (TimeoutError, aiohttp.ClientError, OSError):
            pass
        self._write(intent, began, answer)
        if answer is None or answer.status in UNANSWERED:
            return False
        self.log.answered += 1
        if answer.status != 202:  # noqa: PLR2004
            self._take(intent, answer.status, answer.body)
        return True

    def _write(self, intent: Intent, began: float, answer: Answer | None) -> None:
        intent.status = None if answer is None else answer.status
        body = _body(answer)
        position = None if answer is None else answer.headers.get("Position")
        if answer is not None and answer.status == 202:  # noqa: PLR2004
            command_id: str | None = answer.headers["Location"].rpartition("/")[2]
        else:
            command_id = body.get("command_id") if isinstance(body, dict) else None
        intent.command_id = command_id or intent.command_id
        self.log.history.add(
            Call(
                client=self.name,
                tenant_id=self.tenant_id,
                sub=self.sub,
                key=intent.key,
                attempt=intent.attempts,
                action=intent.action,
                method=intent.method,
                path=intent.path,
                asked=intent.asked,
                began=began,
                ended=self.log.clock(),
                status=intent.status,
                answered=body,
                command_id=command_id,
                position=None if position is None else int(position),
            )
        )

    async def _learn(self, intent: Intent, *, seconds: float, last: bool = False) -> None:
        """Ask for a command until it is decided; at the ``last`` time, write down also that it is not."""

        async def look() -> Any:  # noqa: ANN401 - JSON
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    answer = await self.chance.choice(self.callers).get(f"/v1/commands/{intent.command_id}")
            except (TimeoutError, aiohttp.ClientError, OSError):
                return None
            body = _body(answer)
            return body if answer.status == 200 and body["status"] != "pending" else None  # noqa: PLR2004

        found = None
        if intent.command_id is not None:
            try:
                found = await until(look, "decided", seconds=seconds)
            except TimeoutError:
                found = None
        if found is None and (not last or intent.command_id is None):
            return
        outcome = (found or {}).get("outcome") or {}
        self.log.history.add(
            Settled(
                tenant_id=self.tenant_id,
                sub=self.sub,
                key=intent.key,
                command_id=str(intent.command_id),
                at=self.log.clock(),
                state=found["status"] if found else "pending",
                status=outcome.get("status"),
                answered=outcome.get("body"),
            )
        )
        if found:
            self._take(intent, outcome["status"], outcome["body"])

    def _take(self, intent: Intent, status: int, body: Any) -> None:  # noqa: ANN401 - JSON
        intent.settled = True
        if status not in {200, 201}:
            return
        if intent.action == "create-artist":
            self.calendar.artists.append(body["id"])
        elif intent.action == "create":
            self.calendar.bookings.append(body["id"])
        elif intent.action == "cancel" and self.chance.random() < 0.8 and body["id"] in self.calendar.bookings:  # noqa: PLR2004
            self.calendar.bookings.remove(body["id"])  # some are left, so that what is cancelled is changed as well

    def _intend(self) -> Intent:
        chance = self.chance
        action = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0] if self.calendar.bookings else "create"
        method, path, asked = "POST", "/v1/bookings", self._range()
        if action == "create-artist":
            path, asked = "/v1/artists", {"name": f"Artist {chance.randrange(10**6)}"}
        elif action == "create":
            asked |= {
                "artist_id": chance.choice(self.calendar.artists),
                "title": f"Night {chance.randrange(10**6)}",
                "status": chance.choice(("pencil", "pencil", "confirmed")),
            }
            if chance.random() < 0.2:  # noqa: PLR2004
                asked |= {"notes": f"Gate {chance.randrange(10**6)}"} | self._confidence()
        else:
            path = f"/v1/bookings/{chance.choice(self.calendar.bookings)}"
            if action == "amend":
                method, asked = "PATCH", {"venue": f"Hall {chance.randrange(10**6)}"}
                if chance.random() < 0.3:  # noqa: PLR2004
                    asked = self._confidence()
            else:
                path += f"/{action}"
            if action == "confirm":
                asked = {}
            elif action == "cancel":
                asked = {"reason": f"Rain {chance.randrange(10**6)}"}
        return Intent(
            key=str(UUID(int=chance.getrandbits(128), version=4)),
            action=action,
            method=method,
            path=path,
            asked=asked,
            asynchronous=chance.random() < 0.1,  # noqa: PLR2004
        )

    def _confidence(self) -> dict[str, Any]:
        """Say whom to call, which merges into what was said before, or what it pays; now and then clear it."""
        chance = self.chance
        member = chance.choice(("name", "email", "phone"))
        number = chance.randrange(10**6)
        told = {"name": f"Crew {number}", "email": f"crew{number}@example.org", "phone": f"+49 30 {number:06d}"}[member]
        if chance.random() < 0.5:  # noqa: PLR2004
            return {"contact": {member: told if chance.random() < 0.8 else None}}  # noqa: PLR2004
        fee = {"amount": number, "currency": chance.choice(("EUR", "JPY", "KWD"))}
        return {"fee": fee if chance.random() < 0.8 else None}  # noqa: PLR2004

    def _range(self) -> dict[str, Any]:
        begin = self.chance.randrange(UNITS)
        end = begin + self.chance.randint(1, 5)
        return {"start_time": stamp(FIRST + begin * UNIT), "end_time": stamp(FIRST + end * UNIT)}


def _body(answer: Answer | None) -> Any:  # noqa: ANN401 - JSON
    if answer is None or not answer.raw:
        return None
    try:
        return answer.body
    except ValueError:
        return answer.raw.decode(errors="replace")
