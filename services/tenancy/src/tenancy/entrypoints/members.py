"""The read API of members: who belongs to the tenant, names and addresses sealed; asked by the gateway."""

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from production_contracts.members import person_id
from production_contracts.roles import Permission
from servicekit.database import open_to
from servicekit.owner_api import MinPosition, Owner
from tenancy.adapters import members, people
from tenancy.application.representation import sealed_member_json

LARGEST_PAGE = 200
LONGEST_CURSOR = 255


def member_routes(owner: Owner, namespaces: Mapping[str, UUID]) -> APIRouter:
    """Serve the members; ``namespaces`` are those of the issuers, from which people's ids follow."""
    router = APIRouter(prefix="/v1")

    @router.get("/members")
    async def list_members(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 50,
        cursor: Annotated[str, Query(max_length=LONGEST_CURSOR, pattern=r"^[!-~]*$")] = "",
        min_position: MinPosition = 0,
    ) -> Response:
        async with owner.snapshot(request, min_position, needs=Permission.MEMBERS_READ) as snapshot:
            found = await members.page(snapshot.connection, snapshot.tenant_id, after=cursor, limit=limit + 1)
            page = found[:limit]
            namespace = namespaces[snapshot.principal.issuer]
            ids = {member.id: person_id(namespace, member.id) for member in page}
            await open_to(snapshot.connection, [snapshot.tenant_id, *ids.values()])
            known = await people.load(snapshot.connection, ids.values())
            items = [sealed_member_json(member, known.get(ids[member.id])) for member in page]
            more = page[-1].id if len(found) > limit else None
            return snapshot.answer({"items": items, "next_cursor": more})

    return router
