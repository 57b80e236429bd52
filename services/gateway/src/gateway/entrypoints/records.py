"""What is on record: events of a stream, its audit trail, what became of a command, and the members of the tenant."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from gateway.application.reader import Reader
from gateway.entrypoints import answers, queries
from gateway.entrypoints.admission import Admission
from gateway.entrypoints.pages import Pages
from production_contracts.events import STREAMS
from production_contracts.roles import Permission

READ_STREAM: Final = {"booking": Permission.BOOKINGS_READ, "tenancy": Permission.ROSTER_READ}


class Records:
    """The operations on what is on record; every role may read it, and the audit trail those who may read that."""

    def __init__(self, admission: Admission, reader: Reader, pages: Pages) -> None:
        """Let in, read and answer through these."""
        self._admission = admission
        self._reader = reader
        self._pages = pages

    async def events(self, request: Request) -> Response:
        """``GET /v1/events``."""
        stated = request.query_params.get("stream", "")
        principal = await self._admission.admit(request, READ_STREAM.get(stated, Permission.BOOKINGS_READ))
        query = queries.read(request, queries.EventQuery)
        inquiry = queries.inquiry(request, "/v1/events", query)
        return answers.content(request, await self._reader.events(principal, query.stream, inquiry))

    async def audit(self, request: Request) -> Response:
        """``GET /v1/audit``: entries as they are chained, so that whoever reads them can verify them."""
        stated = request.query_params.get("stream")
        principal = await self._admission.admit(
            request, Permission.AUDIT_READ, stated if stated in STREAMS else "tenancy"
        )
        query = queries.read(request, queries.AuditQuery)
        inquiry = queries.inquiry(request, "/v1/audit", query)
        return answers.content(request, await self._reader.pass_on(principal, query.stream, inquiry))

    async def command(self, request: Request) -> Response:
        """``GET /v1/commands/{id}``."""
        principal = await self._admission.admit(request, Permission.BOOKINGS_READ)
        queries.read(request, queries.NoQuery)
        return answers.content(request, await self._reader.command(principal, request.path_params["id"]))

    async def members(self, request: Request) -> Response:
        """``GET /v1/members``."""
        principal = await self._admission.admit(request, Permission.MEMBERS_READ)
        inquiry = queries.inquiry(request, "/v1/members", queries.read(request, queries.MemberQuery))
        return self._pages.answer(request, principal, await self._reader.members(principal, inquiry))
