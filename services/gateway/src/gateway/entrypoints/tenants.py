"""The tenant that a token is for: ``/v1/tenant``."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from gateway.application.reader import Reader
from gateway.entrypoints import answers, bodies, queries
from gateway.entrypoints.admission import Admission
from gateway.entrypoints.bookings import NoBody
from gateway.entrypoints.changes import Change, Changes
from production_contracts.commands import CloseTenant
from production_contracts.roles import Permission
from servicekit.problems import invalid_request

PATH: Final = "/v1/tenant"


class Tenants:
    """The operations on the tenant itself."""

    def __init__(self, admission: Admission, changes: Changes, reader: Reader) -> None:
        """Let in, change and read through these."""
        self._admission = admission
        self._changes = changes
        self._reader = reader

    async def show(self, request: Request) -> Response:
        """``GET /v1/tenant``."""
        principal = await self._admission.admit(request, Permission.ROSTER_READ)
        inquiry = queries.inquiry(request, PATH, queries.read(request, queries.NoQuery))
        return answers.single(request, await self._reader.pass_on(principal, "tenancy", inquiry))

    async def delete(self, request: Request) -> Response:
        """``DELETE /v1/tenant``: only for who names the tenant, so that a token of another one deletes nothing."""
        principal = await self._admission.admit(request, Permission.TENANT_DELETE)
        if queries.read(request, queries.DeletionQuery).confirm != principal.tenant_id:
            detail = "this must be the id of the tenant that the token is for, as GET /v1/tenant tells it"
            raise invalid_request([{"pointer": "#/query/confirm", "detail": detail}])
        asked = await bodies.read(request, NoBody, may_be_absent=True)
        change = Change(principal=principal, aggregate_id=principal.tenant_id, asked=asked, data=CloseTenant())
        return await self._changes.carry_out(request, change, PATH)
