"""The internal API of data keys: the gateway reads and offers them, wrapped; see `servicekit.key_api`."""

from collections.abc import Sequence
from typing import Final, TypeVar

from fastapi import APIRouter, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from production_contracts import problems
from servicekit import key_api
from servicekit.keyring import Shelf
from servicekit.problems import ProblemError, field_errors, invalid_request

_NO_STORE: Final = {"Cache-Control": "no-store"}

M = TypeVar("M", bound=BaseModel)


def key_routes(shelf: Shelf, secrets: Sequence[str]) -> APIRouter:
    """Serve what is kept on ``shelf`` to whoever shows one of the secrets; without any, to nobody."""
    router = APIRouter()

    async def read(request: Request, model: type[M]) -> M:
        if not key_api.shows(request.headers.get("authorization"), secrets):
            detail = "This is for services, who show a secret of their own."
            raise ProblemError(problems.UNAUTHENTICATED, detail, headers={"WWW-Authenticate": "Bearer"})
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > key_api.LARGEST_BODY:
                detail = f"A body is at most {key_api.LARGEST_BODY} bytes."
                raise ProblemError(problems.PAYLOAD_TOO_LARGE, detail, headers={"Connection": "close"})
        try:
            return model.model_validate_json(bytes(body))
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False, include_context=False)
            raise invalid_request(field_errors(found)) from None

    @router.post(key_api.READ)
    async def read_keys(request: Request) -> Response:
        asked = await read(request, key_api.ReadKeys)
        found = key_api.KeysRead(items=list(await shelf.read(asked.tenants)))
        return Response(found.model_dump_json(), headers=_NO_STORE, media_type="application/json")

    @router.post(key_api.OFFER)
    async def offer_key(request: Request) -> Response:
        asked = await read(request, key_api.OfferKey)
        kept = await shelf.offer(asked.key)
        return Response(kept.model_dump_json(), headers=_NO_STORE, media_type="application/json")

    return router
