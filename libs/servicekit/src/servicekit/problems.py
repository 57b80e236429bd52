"""Every error of an HTTP app as a problem (RFC 9457), mapped in this one place."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from production_contracts import problems
from production_contracts.problems import ProblemType, problem_body

_BY_STATUS: Final = {
    401: problems.UNAUTHENTICATED,
    403: problems.FORBIDDEN,
    404: problems.NOT_FOUND,
    405: problems.METHOD_NOT_ALLOWED,
    406: problems.NOT_ACCEPTABLE,
    413: problems.PAYLOAD_TOO_LARGE,
    415: problems.UNSUPPORTED_MEDIA_TYPE,
    429: problems.RATE_LIMITED,
    431: problems.HEADERS_TOO_LARGE,
    503: problems.UNAVAILABLE,
}
_DETAILS: Final = {
    404: "There is nothing at this address, or nothing that you may see.",
    405: "This address does not know this method; the Allow header names those that it knows.",
}
NOT_THERE: Final = _DETAILS[404]
"""The detail of every `not-found` about an address: what is absent and what is another tenant's read alike."""


class ProblemError(Exception):
    """An error that answers as the problem it carries."""

    def __init__(
        self,
        kind: ProblemType,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,  # noqa: ANN401 - extension members of the problem
    ) -> None:
        """Carry a problem: ``members`` are its extension members, ready for JSON; ``headers`` go with the response."""
        super().__init__(kind.slug, detail)
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members

    @property
    def body(self) -> dict[str, Any]:
        """The problem as a JSON object."""
        return problem_body(self.kind, self.detail, **self.members)

    def response(self) -> Response:
        """Write the problem as a response."""
        return problem_response(self.kind, self.detail, headers=self.headers, **self.members)


def problem_response(
    kind: ProblemType,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    **members: Any,  # noqa: ANN401 - extension members of the problem
) -> Response:
    """Write a problem as a response: status, media type and body."""
    return Response(
        orjson.dumps(problem_body(kind, detail, **members)),
        status_code=kind.status,
        headers=dict(headers or {}),
        media_type=problems.MEDIA_TYPE,
    )


def json_pointer(parts: Iterable[str | int]) -> str:
    """Write a JSON pointer as a URI fragment (RFC 6901, section 6): ``#/title``, ``#/query/limit``."""
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in parts)
    return "#" + "".join("/" + quote(part.encode("utf-8", "replace"), safe="!$&'()*+,;=:@~-._") for part in escaped)


def field_errors(errors: Sequence[Mapping[str, Any]], *, within: Sequence[str | int] = ()) -> list[dict[str, str]]:
    """Say what pydantic found wrong as the ``errors`` of an `invalid-request`, below the location ``within``."""
    return [
        {
            "pointer": json_pointer([*within, *error["loc"]]),
            "detail": str(error["msg"]).removeprefix("Value error, "),
        }
        for error in errors
    ]


def invalid_request(errors: list[dict[str, str]]) -> ProblemError:
    """Make the problem of a request that breaks the contract; ``errors`` are objects ``{pointer, detail}``."""
    return ProblemError(problems.INVALID_REQUEST, "The request is not as the contract asks; see errors.", errors=errors)


def install(app: FastAPI) -> None:
    """Let every error of an app answer as a problem: ours, the framework's, the router's, and the unexpected."""
    app.add_exception_handler(ProblemError, _answer_problem)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(Exception, _answer_unexpected)


async def _answer_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101 - Starlette hands over what it was registered for
    return error.response()


async def _answer_validation(_request: Request, error: Exception) -> Response:
    """Answer what FastAPI refused; a malformed id in the path is an address at which nothing is."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - Starlette hands over what it was registered for
    found = error.errors()
    if any(item["loc"][:1] == ("path",) for item in found):
        return problem_response(problems.NOT_FOUND, NOT_THERE)
    for item in found:
        if item["type"] == "json_invalid":
            item["loc"] = ("body",)
    inside = [{**item, "loc": item["loc"][1:] if item["loc"][:1] == ("body",) else item["loc"]} for item in found]
    return invalid_request(field_errors(inside)).response()


async def _answer_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette hands over what it was registered for
    kind = _BY_STATUS.get(error.status_code)
    if kind is None:
        kind = problems.INVALID_REQUEST if error.status_code < problems.INTERNAL.status else problems.INTERNAL
    detail = _DETAILS.get(error.status_code, kind.title + ".")
    return problem_response(kind, detail, headers=error.headers)


async def _answer_unexpected(_request: Request, _error: Exception) -> Response:
    """Answer for a fault of ours; Starlette raises it again afterwards, and the server logs it."""
    return problem_response(problems.INTERNAL, "Something went wrong on our side; it has been logged.")
