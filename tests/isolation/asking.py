"""Asking what a row of the matrix describes, and comparing answers."""

from collections.abc import Mapping
from typing import Final

from tests.isolation.estates import Estate, vars_of
from tests.isolation.rows import Ids, Route

from local_stack.clients.caller import Answer, Caller

CHANGING: Final = {"date", "ratelimit"}
"""Headers that differ from one answer to the next, whoever asks for whatever."""


def url_of(row: Route, estate: Estate) -> str:
    at = estate.tenant.at
    return {
        "gateway": at.gateway_url,
        "booking": at.booking_url,
        "tenancy": at.tenancy_url,
        "notifications": at.notifications_urls[0],
    }[row.service]


def caller_of(row: Route, estate: Estate, role: str) -> Caller:
    return estate.tenant.caller("ana", role, url=url_of(row, estate))


async def ask(row: Route, caller: Caller, ids: Ids, *, method: str | None = None, **headers: str) -> Answer:
    query = {} if row.query is None else {name: str(value) for name, value in row.query(ids).items()}
    body = None if row.body is None else dict(row.body(ids))
    return await caller.call(method or row.method, row.address(ids), body, query=query, headers=headers)


def without(answer: Answer, ids: Ids) -> tuple[int, bytes, Mapping[str, str]]:
    """An answer, without the ids that the caller named himself and what differs every time."""
    headers = {
        name.lower(): nameless(value, ids) for name, value in answer.headers.items() if name.lower() not in CHANGING
    }
    return answer.status, nameless(answer.raw.decode(), ids).encode(), headers


def nameless(text: str, ids: Ids) -> str:
    for named in vars_of(ids).values():
        text = text.replace(named, "-")
    return text


def headers_of(answer: Answer) -> str:
    return "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
