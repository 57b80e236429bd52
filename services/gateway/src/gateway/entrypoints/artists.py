"""Artists: ``/v1/artists``, the roster."""

from typing import Final
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from uuid_utils.compat import uuid7

from gateway.application.reader import Reader
from gateway.entrypoints import answers, bodies, conditions, queries
from gateway.entrypoints.admission import Admission
from gateway.entrypoints.bookings import NoBody
from gateway.entrypoints.changes import Change, Changes
from gateway.entrypoints.pages import Pages
from production_contracts.artists import ArtistPatch, ArtistRequest
from production_contracts.commands import AmendArtist, ArchiveArtist, CreateArtist
from production_contracts.records import Record
from production_contracts.records import Request as Asked
from production_contracts.roles import Permission
from servicekit.tokens import Principal

COLLECTION: Final = "/v1/artists"


class Artists:
    """The operations on artists."""

    def __init__(self, admission: Admission, changes: Changes, reader: Reader, pages: Pages) -> None:
        """Let in, change, read and answer through these."""
        self._admission = admission
        self._changes = changes
        self._reader = reader
        self._pages = pages

    async def create(self, request: Request) -> Response:
        """``POST /v1/artists``."""
        principal = await self._admission.admit(request, Permission.ROSTER_WRITE)
        asked = await bodies.read(request, ArtistRequest)
        return await self._change(request, principal, uuid7(), asked, CreateArtist, creates=True)

    async def amend(self, request: Request) -> Response:
        """``PATCH /v1/artists/{id}``."""
        principal = await self._admission.admit(request, Permission.ROSTER_WRITE)
        artist_id = conditions.path_id(request)
        asked = await bodies.read(request, ArtistPatch)
        return await self._change(request, principal, artist_id, asked, AmendArtist)

    async def archive(self, request: Request) -> Response:
        """``POST /v1/artists/{id}/archive``."""
        principal = await self._admission.admit(request, Permission.ROSTER_WRITE)
        artist_id = conditions.path_id(request)
        asked = await bodies.read(request, NoBody, may_be_absent=True)
        return await self._change(request, principal, artist_id, asked, ArchiveArtist)

    async def _change(
        self,
        request: Request,
        principal: Principal,
        artist_id: UUID,
        asked: Asked,
        data: type[Record],
        *,
        creates: bool = False,
    ) -> Response:
        stated = {name: getattr(asked, name) for name in asked.model_fields_set}
        change = Change(principal=principal, aggregate_id=artist_id, asked=asked, data=data(**stated), creates=creates)
        return await self._changes.carry_out(request, change, COLLECTION)

    async def find(self, request: Request) -> Response:
        """``GET /v1/artists``."""
        principal = await self._admission.admit(request, Permission.ROSTER_READ)
        inquiry = queries.inquiry(request, COLLECTION, queries.read(request, queries.ArtistQuery))
        return self._pages.answer(request, principal, await self._reader.pass_on(principal, "tenancy", inquiry))

    async def show(self, request: Request) -> Response:
        """``GET /v1/artists/{id}``."""
        principal = await self._admission.admit(request, Permission.ROSTER_READ)
        path = f"{COLLECTION}/{conditions.path_id(request)}"
        inquiry = queries.inquiry(request, path, queries.read(request, queries.NoQuery))
        return answers.single(request, await self._reader.pass_on(principal, "tenancy", inquiry))
