"""Answers: outcomes and reads as HTTP responses."""

import hashlib
from typing import Final
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.application.desk import RETRY_AFTER, Taken
from gateway.application.reader import Found, OwnerProblemError
from gateway.domain.preconditions import is_unchanged, version_tag
from production_contracts.outcomes import Reply, is_accepted
from production_contracts.problems import MEDIA_TYPE

JSON: Final = "application/json"
CREATED: Final = 201
ACCEPTED: Final = 202
NOT_MODIFIED: Final = 304
UNAVAILABLE: Final = 503
_HASH_BYTES: Final = 16


def pending(taken: Taken, applied: str | None) -> Response:
    """Answer that a command was taken and is not decided yet, and where to ask for it."""
    headers = {"Location": f"/v1/commands/{taken.command_id}"} | _applied(applied)
    body = {"id": taken.command_id, "status": "pending", "outcome": None}
    return Response(orjson.dumps(body), status_code=ACCEPTED, headers=headers, media_type=JSON)


def outcome(reply: Reply, collection: str, applied: str | None) -> Response:
    """Answer with a command's outcome; ``collection`` is where what was created stands."""
    status, body = reply.outcome.status, reply.outcome.body
    headers = {"Position": str(reply.position)} | _applied(applied)
    if not is_accepted(status):
        if status == UNAVAILABLE:
            headers |= RETRY_AFTER
        return Response(orjson.dumps(body), status_code=status, headers=headers, media_type=MEDIA_TYPE)
    headers["ETag"] = version_tag(body["version"])
    if status == CREATED:
        headers["Location"] = f"{collection}/{UUID(body['id'])}"
    return Response(orjson.dumps(body), status_code=status, headers=headers, media_type=JSON)


def single(request: Request, found: Found) -> Response:
    """Answer with one booking or artist; its tag is its version."""
    return _found(request, found, version_tag(orjson.loads(found.body)["version"]))


def content(request: Request, found: Found) -> Response:
    """Answer with anything else; its tag is a hash of it."""
    digest = hashlib.blake2b(found.body, digest_size=_HASH_BYTES).hexdigest()
    return _found(request, found, f'"{digest}"')


def owner_problem(_request: Request, error: Exception) -> Response:
    """Pass on an owner's problem as it is."""
    assert isinstance(error, OwnerProblemError)  # noqa: S101 - Starlette hands over what it was registered for
    return Response(error.answer.body, status_code=error.answer.status, headers=dict(error.answer.headers))


def _found(request: Request, found: Found, tag: str) -> Response:
    headers = {"ETag": tag}
    if found.position is not None:
        headers["Position"] = found.position
    if_none_match = request.headers.getlist("if-none-match")
    if if_none_match and is_unchanged(", ".join(if_none_match), tag):
        return Response(status_code=NOT_MODIFIED, headers=headers)
    return Response(found.body, headers=headers, media_type=JSON)


def _applied(applied: str | None) -> dict[str, str]:
    return {} if applied is None else {"Preference-Applied": applied}
