"""The reader: passes reads on to the owning service with the caller's token, and opens what comes back."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import orjson
import structlog

from gateway.application.people import People
from gateway.application.ports import OwnerAnswer, OwnerAwayError, Owners
from gateway.application.sealing import Sealing
from gateway.domain.command_ids import CommandIds
from production_contracts import problems
from production_contracts.outcomes import is_accepted
from production_contracts.problems import MEDIA_TYPE
from servicekit.problems import NOT_THERE, ProblemError
from servicekit.tokens import Principal

Open = Callable[[UUID, dict[str, Any]], Awaitable[None]]
OK: Final = 200
NOT_FOUND: Final = 404
_SEALED_MARK: Final = b'"ct"'

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What was read, as JSON, and the position that it was read at (None: there is none to tell)."""

    body: bytes
    position: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Inquiry:
    """A read, as the owning service is asked it."""

    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class OwnerProblemError(Exception):
    """The owning service answered with a problem, which is the caller's to see as it is."""

    def __init__(self, answer: OwnerAnswer) -> None:
        """Carry the answer."""
        super().__init__(answer.status)
        self.answer = answer


class Reader:
    """Reads for a caller."""

    def __init__(self, owners: Owners, sealing: Sealing, people: People, ids: CommandIds) -> None:
        """Read from ``owners`` and open with ``sealing`` and ``people``."""
        self._owners = owners
        self._sealing = sealing
        self._people = people
        self._ids = ids

    async def booking(self, principal: Principal, inquiry: Inquiry) -> Found:
        """Read one booking; raises as `pass_on`."""
        return await self.pass_on(principal, "booking", inquiry, self._sealing.open_booking)

    async def bookings(self, principal: Principal, inquiry: Inquiry) -> Found:
        """Read a page of bookings; raises as `pass_on`."""
        return await self.pass_on(principal, "booking", inquiry, self._sealing.open_page)

    async def events(self, principal: Principal, stream: str, inquiry: Inquiry) -> Found:
        """Read events of a stream; raises as `pass_on`."""
        return await self.pass_on(principal, stream, inquiry, self._sealing.open_events)

    async def members(self, principal: Principal, inquiry: Inquiry) -> Found:
        """Read a page of members; raises as `pass_on`."""

        async def open_(_: UUID, page: dict[str, Any]) -> None:
            await self._people.open_page(principal.issuer, page)

        return await self.pass_on(principal, "tenancy", inquiry, open_)

    async def pass_on(self, principal: Principal, service: str, inquiry: Inquiry, open_: Open | None = None) -> Found:
        """Read from a service, and open the sealed fields of what comes back.

        Raises:
            OwnerProblemError: the service answered with a problem.
            ProblemError: `unavailable`: it did not answer, or a field can't be opened.
        """
        answer = await self._ask(principal, service, inquiry)
        if answer.status != OK:
            raise OwnerProblemError(answer)
        body = answer.body
        if open_ is not None and _SEALED_MARK in body:
            document = orjson.loads(body)
            await open_(principal.tenant_id, document)
            body = orjson.dumps(document)
        return Found(body=body, position=answer.headers.get("position"))

    async def command(self, principal: Principal, text: str) -> Found:
        """Tell what became of a command, as `outcomes.CommandStatus`, at the position that it was decided at.

        Raises:
            OwnerProblemError: the service answered with a problem.
            ProblemError: `not-found`: this id was not issued to this tenant; `unavailable`: as `pass_on`.
        """
        known = self._ids.read(text, principal.tenant_id)
        if known is None:
            raise ProblemError(problems.NOT_FOUND, NOT_THERE)
        command_id, service = known
        answer = await self._ask(principal, service, Inquiry(path=f"/v1/commands/{command_id}"))
        if answer.status == NOT_FOUND:
            return _status(text, "pending", None)
        if answer.status != OK:
            raise OwnerProblemError(answer)
        decided = orjson.loads(answer.body)
        outcome = decided["outcome"]
        accepted = is_accepted(outcome["status"])
        if accepted and service == "booking":
            await self._sealing.open_booking(principal.tenant_id, outcome["body"])
        return _status(text, "accepted" if accepted else "rejected", outcome, str(decided["position"]))

    async def _ask(self, principal: Principal, service: str, inquiry: Inquiry) -> OwnerAnswer:
        credentials = {"Authorization": f"Bearer {principal.token}", "Accept": "application/json"}
        try:
            answer = await self._owners.get(service, inquiry.path, inquiry.query, {**inquiry.headers, **credentials})
        except OwnerAwayError as error:
            _log.warning("owner does not answer", owner=service, reason=str(error))
            raise _away() from error
        if answer.status != OK and not answer.headers.get("content-type", "").startswith(MEDIA_TYPE):
            _log.error("owner answered neither well nor with a problem", owner=service, status=answer.status)
            raise _away()
        return answer


def _status(text: str, status: str, outcome: dict[str, Any] | None, position: str | None = None) -> Found:
    return Found(body=orjson.dumps({"id": text, "status": status, "outcome": outcome}), position=position)


def _away() -> ProblemError:
    detail = "The service that owns this does not answer for the moment."
    return ProblemError(problems.UNAVAILABLE, detail, headers={"Retry-After": "2"})
