"""The read API: the tenant and its roster; asked by the gateway with the caller's token."""

import base64
import binascii
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from production_contracts import problems
from production_contracts.artists import ArtistStatus
from servicekit.owner_api import MinPosition, Owner
from servicekit.problems import NOT_THERE, ProblemError, invalid_request
from tenancy.adapters import roster
from tenancy.application.representation import artist_json, tenant_json
from tenancy.domain.artist import Artist

LARGEST_PAGE = 200
LONGEST_CURSOR = 2_000


def _cursor(artist: Artist) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([artist.name, str(artist.id)])).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[str, UUID]:
    try:
        name, artist_id = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if isinstance(name, str) and "\x00" not in name:
            return name, UUID(artist_id)
    except (ValueError, TypeError, AttributeError, binascii.Error):
        pass
    detail = "not a cursor of ours: take next_cursor of the page before"
    raise invalid_request([{"pointer": "#/query/cursor", "detail": detail}])


def roster_routes(owner: Owner) -> APIRouter:
    """Serve the tenant and its artists."""
    router = APIRouter(prefix="/v1")

    @router.get("/artists")
    async def list_artists(
        request: Request,
        status: ArtistStatus | None = None,
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 50,
        cursor: Annotated[str | None, Query(max_length=LONGEST_CURSOR)] = None,
        min_position: MinPosition = 0,
    ) -> Response:
        after = roster.BEFORE_ALL if cursor is None else _read_cursor(cursor)
        values = {"after_name": after[0], "after_id": after[1], "status": status, "limit": limit + 1}
        sight = await owner.look(request, roster.PAGE, values, min_position)
        page = [roster.artist_of(row) for row in sight.rows[:limit]]
        more = _cursor(page[-1]) if len(sight.rows) > limit else None
        return sight.answer({"items": [artist_json(artist) for artist in page], "next_cursor": more})

    @router.get("/artists/{artist_id}")
    async def get_artist(request: Request, artist_id: UUID, min_position: MinPosition = 0) -> Response:
        sight = await owner.look(request, roster.ARTIST, {"id": artist_id}, min_position)
        if not sight.rows:
            raise ProblemError(problems.NOT_FOUND, NOT_THERE)
        return sight.answer(artist_json(roster.artist_of(sight.rows[0])))

    @router.get("/tenant")
    async def get_tenant(request: Request, min_position: MinPosition = 0) -> Response:
        sight = await owner.look(request, roster.TENANT, {}, min_position)
        if not sight.rows:
            raise ProblemError(problems.NOT_FOUND, NOT_THERE)
        return sight.answer(tenant_json(roster.tenant_of(sight.rows[0])))

    return router
