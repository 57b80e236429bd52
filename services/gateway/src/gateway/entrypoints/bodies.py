"""Bodies of requests: bounded, JSON to the letter, and as the contract asks."""

import asyncio
import json
from typing import Any, Final, NoReturn, TypeVar

import orjson
from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request

from production_contracts import problems
from production_contracts.records import Request as Asked
from servicekit.problems import ProblemError, field_errors, invalid_request

LARGEST_BODY: Final = 256 * 1024
BODY_SECONDS: Final = 10.0
JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"

A = TypeVar("A", bound=Asked)


async def read(request: Request, model: type[A], *, may_be_absent: bool = False) -> A:
    """Read a body; one that may be absent and is counts as ``{}``.

    Raises:
        ProblemError: `unsupported-media-type`, `invalid-request`, and as `read_bytes`.
    """
    raw = await read_bytes(request)
    if not raw and may_be_absent:
        return model()
    _check_media_type(request)
    document = parse_object(raw)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise invalid_request(field_errors(found)) from None


def parse_object(raw: bytes) -> dict[str, Any]:
    """Parse a JSON object (RFC 8259, strictly: UTF-8, no NaN, no lone surrogates), in which no name stands twice.

    Raises:
        ProblemError: `invalid-request`.
    """
    try:
        document = orjson.loads(raw)
        _NAMES.decode(raw.decode())
    except _RepeatedError as error:
        _refuse(f"the name {error.args[0]!r} stands twice in one object")
    except (ValueError, RecursionError):
        _refuse("this is not JSON, or nested too deep")
    if not isinstance(document, dict):
        _refuse("the body must be a JSON object")
    return document


class _RepeatedError(ValueError):
    """A name stands twice in one object."""


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> None:
    names = set()
    for name, _ in pairs:
        if name in names:
            raise _RepeatedError(name[:100])
        names.add(name)


_NAMES: Final = json.JSONDecoder(object_pairs_hook=_refuse_repeated)
"""Made once: `json.loads` would make one for each body."""


def _refuse(detail: str) -> NoReturn:
    raise invalid_request([{"pointer": "#", "detail": detail}])


def _check_media_type(request: Request) -> None:
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    allowed = (JSON, MERGE_PATCH) if request.method == "PATCH" else (JSON,)
    stated = (piece.strip().lower() for piece in parameters.split(";"))
    charsets = {piece.removeprefix("charset=").strip('"') for piece in stated if piece.startswith("charset=")}
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if media_type.strip().lower() in allowed and charsets <= {"utf-8"} and encoding == "identity":
        return
    detail = f"A body here is {' or '.join(allowed)} in UTF-8, without a content encoding."
    headers = {"Accept-Patch": ", ".join(allowed)} if request.method == "PATCH" else {}
    raise ProblemError(problems.UNSUPPORTED_MEDIA_TYPE, detail, headers=headers)


async def read_bytes(request: Request) -> bytes:
    """Read a body as it is.

    Raises:
        ProblemError: `payload-too-large`; `invalid-request`: it ended too early; `unavailable`: it took too long.
    """
    stated = request.headers.get("content-length", "0")
    if not stated.isdecimal() or int(stated[:20]) > LARGEST_BODY:
        raise _too_large()
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > LARGEST_BODY:
                    raise _too_large()
                chunks.append(chunk)
    except ClientDisconnect:
        _refuse("the body ended before it was complete")
    except TimeoutError:
        headers = {"Connection": "close", "Retry-After": "1"}
        detail = f"The body did not arrive within {BODY_SECONDS:.0f} s; nothing was done."
        raise ProblemError(problems.UNAVAILABLE, detail, headers=headers) from None
    return b"".join(chunks)


def _too_large() -> ProblemError:
    detail = f"A body is at most {LARGEST_BODY} bytes."
    return ProblemError(problems.PAYLOAD_TOO_LARGE, detail, headers={"Connection": "close"})
