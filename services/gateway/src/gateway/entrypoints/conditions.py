"""Headers and ids that come with a request."""

import re
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from starlette.requests import Request

from gateway.domain.preconditions import LONGEST_LIST, MalformedTagsError, expected_versions
from production_contracts import problems
from servicekit.problems import NOT_THERE, ProblemError, invalid_request, json_pointer

_IDEMPOTENCY_KEY: Final = "idempotency-key"
_IF_MATCH: Final = "if-match"
_MIN_POSITION: Final = "min-position"
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}\Z")
_POSITION: Final = re.compile(r"[0-9]{1,18}\Z")


def path_id(request: Request) -> UUID:
    """Read the id in a path.

    Raises:
        ProblemError: `not-found`: it is no id, so nothing is there.
    """
    named = id_in_path(request)
    if named is None:
        raise ProblemError(problems.NOT_FOUND, NOT_THERE)
    return named


def id_in_path(request: Request) -> UUID | None:
    """Read the id in a path; None where there is none that is one."""
    text = request.path_params.get("id", "")
    return None if _UUID.match(text) is None else UUID(text)


def idempotency_key(request: Request) -> str | None:
    """Read ``Idempotency-Key``: 1 to 255 visible ASCII characters.

    Raises:
        ProblemError: `invalid-request`.
    """
    stated = request.headers.getlist(_IDEMPOTENCY_KEY)
    if not stated:
        return None
    if len(stated) > 1 or _KEY.match(stated[0]) is None:
        must = "stand once, with 1 to 255 visible ASCII characters"
        raise _bad_header(_IDEMPOTENCY_KEY, must)
    return stated[0]


def if_match(request: Request) -> tuple[str | None, list[int] | None]:
    """Read ``If-Match``: as it was stated, and the versions that it allows (None: any).

    Raises:
        ProblemError: `invalid-request`.
    """
    lines = request.headers.getlist(_IF_MATCH)
    if not lines:
        return None, None
    stated = ", ".join(lines)
    try:
        return stated, expected_versions(stated)
    except MalformedTagsError:
        must = f'be * or a list of at most {LONGEST_LIST} entity tags, such as "3"'
        raise _bad_header(_IF_MATCH, must) from None


def min_position(request: Request) -> Mapping[str, str]:
    """Read ``Min-Position``, to be passed on to whoever answers.

    Raises:
        ProblemError: `invalid-request`.
    """
    stated = request.headers.getlist(_MIN_POSITION)
    if not stated:
        return {}
    if len(stated) > 1 or _POSITION.match(stated[0]) is None:
        must = "stand once, as a position in digits"
        raise _bad_header(_MIN_POSITION, must)
    return {"Min-Position": stated[0]}


def _bad_header(name: str, must: str) -> ProblemError:
    return invalid_request([{"pointer": json_pointer(("header", name)), "detail": f"this must {must}"}])
