"""Clerk's Backend API, read page by page (https://clerk.com/docs/reference/backend-api).

Lists answer ``{data, total_count}``. A 429 says in ``Retry-After`` when to ask again; what else may pass is tried a few
times. Times of answers are Clerk's own, from the header ``Date``.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, Self, TypeVar

import aiohttp
import structlog
from pydantic import BaseModel, ValidationError

from servicekit.clerk import Invitation, Membership, Organization
from servicekit.tls import client_context

PAGE: Final = 100
TRIES: Final = 6
LONGEST_WAIT_S: Final = 60.0
_FIRST_WAIT_S: Final = 0.5
_DEADLINE: Final = aiohttp.ClientTimeout(total=30, connect=5)
_FIRST_FAULT: Final = 500

M = TypeVar("M", bound=BaseModel)

log = structlog.get_logger(__name__)


class ClerkError(Exception):
    """Clerk does not answer, or not in a way that we understand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What Clerk answered, and when by its own clock."""

    status: int
    body: Any
    at: datetime


class ClerkApi:
    """Reads from Clerk; an async context manager."""

    def __init__(self, url: str, secret_key: str, *, longest_wait_s: float = LONGEST_WAIT_S) -> None:
        """Ask at ``url`` with the secret key; nobody is waited for longer than ``longest_wait_s`` at a time."""
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {secret_key}", "Accept": "application/json"}
        self._longest_wait = longest_wait_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the HTTP client."""
        self._session = aiohttp.ClientSession(
            headers=self._headers, timeout=_DEADLINE, connector=aiohttp.TCPConnector(ssl=client_context())
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        if self._session is not None:
            await self._session.close()

    async def organizations(self) -> AsyncIterator[tuple[Organization, datetime]]:
        """Read all organisations, each with when Clerk said so."""
        async for found in self._all("/v1/organizations", Organization, {"order_by": "+created_at"}):
            yield found

    async def memberships(self, org_id: str) -> AsyncIterator[tuple[Membership, datetime]]:
        """Read all memberships of an organisation."""
        path = f"/v1/organizations/{org_id}/memberships"
        async for found in self._all(path, Membership, {"order_by": "+created_at"}):
            yield found

    async def invitations(self, org_id: str) -> AsyncIterator[tuple[Invitation, datetime]]:
        """Read all invitations to an organisation, whatever became of them."""
        async for found in self._all(f"/v1/organizations/{org_id}/invitations", Invitation, {}):
            yield found

    async def lacks_member(self, org_id: str, user_id: str) -> bool:
        """Ask for one user's membership by name: whether there is none."""
        path = f"/v1/organizations/{org_id}/memberships"
        answer = await self._get(path, {"user_id": user_id, "limit": str(PAGE)})
        found = _read_list(answer, Membership)
        return all(membership.public_user_data.user_id != user_id for membership in found)

    async def lacks_organization(self, org_id: str) -> bool:
        """Ask for one organisation by name: whether there is none."""
        return (await self._get(f"/v1/organizations/{org_id}", {})).status == HTTPStatus.NOT_FOUND

    async def now(self) -> datetime:
        """Tell the time by Clerk's clock, cut to the second: never later than it is there."""
        return (await self._get("/v1/organizations", {"limit": "1"})).at

    async def _all(self, path: str, model: type[M], query: Mapping[str, str]) -> AsyncIterator[tuple[M, datetime]]:
        offset = 0
        while True:
            answer = await self._get(path, {**query, "limit": str(PAGE), "offset": str(offset)})
            page = _read_list(answer, model)
            for one in page:
                yield one, answer.at
            if len(page) < PAGE:
                return
            offset += len(page)

    async def _get(self, path: str, query: Mapping[str, str]) -> Answer:
        wait = _FIRST_WAIT_S
        for tries_left in reversed(range(TRIES)):
            complaint, pause = "", wait
            try:
                answer, retry_after = await self._ask(path, query)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                complaint = repr(error)
            else:
                if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
                    complaint, pause = "too many requests", max(wait, retry_after)
                elif answer.status >= _FIRST_FAULT:
                    complaint = f"status {answer.status}"
                else:
                    return _understood(answer, path)
            if not tries_left:
                message = f"{path}: {complaint}"
                raise ClerkError(message)
            log.info("clerk_asked_again", path=path, complaint=complaint, wait_s=pause)
            await asyncio.sleep(min(pause, self._longest_wait))
            wait *= 2
        raise AssertionError  # the last try has returned or raised

    async def _ask(self, path: str, query: Mapping[str, str]) -> tuple[Answer, float]:
        if self._session is None:
            message = "the client is not open"
            raise ClerkError(message)
        async with self._session.get(self._url + path, params=query, allow_redirects=False) as response:
            is_json = response.content_type == "application/json"
            try:
                body = await response.json() if is_json else None
            except ValueError:
                body = None
            stated = response.headers.get("Retry-After", "")
            at = _read_date(response.headers.get("Date", ""))
            return Answer(status=response.status, body=body, at=at), float(stated) if stated.isdecimal() else 0.0


def _understood(answer: Answer, path: str) -> Answer:
    if answer.status in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
        return answer
    message = f"{path}: status {answer.status}"
    raise ClerkError(message)


def _read_list(answer: Answer, model: type[M]) -> list[M]:
    listed = answer.body.get("data") if isinstance(answer.body, dict) else None
    if answer.status != HTTPStatus.OK or not isinstance(listed, list):
        message = f"status {answer.status}, and not the list that was asked for"
        raise ClerkError(message)
    try:
        return [model.model_validate(one) for one in listed]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        message = f"a {model.__name__} is not as documented at {first['loc']}: {first['msg']}"
        raise ClerkError(message) from None


def _read_date(text: str) -> datetime:
    """Read an HTTP date; where there is none, ours has to do."""
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return datetime.now(UTC).replace(microsecond=0)
