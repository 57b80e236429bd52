"""A gateway's public API, read as any client of it would: with a token, patiently, and no faster than it likes."""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self

import aiohttp

from servicekit.tls import client_context
from tenancy.application.export import ExportError, Page

TRIES: Final = 8
LONGEST_WAIT_S: Final = 120.0
RENEWAL_S: Final = 30.0
"""How long a new token is waited for, once the one at hand is refused."""
_FIRST_WAIT_S: Final = 0.5
_RENEWAL_POLL_S: Final = 0.5
_FIRST_FAULT: Final = 500
_DEADLINE: Final = aiohttp.ClientTimeout(total=60, connect=10)


class Token:
    """A token; one that stands in a file may be renewed by somebody else, who writes a new one there."""

    def __init__(self, text: str, file: Path | None = None) -> None:
        """Begin with ``text``; ``file`` is read again when it is refused."""
        self.text = text.strip()
        self._file = file

    @classmethod
    def in_file(cls, file: Path) -> Self:
        """Read it from a file.

        Raises:
            OSError: it can't be read.
        """
        return cls(file.read_text(encoding="utf-8"), file)

    async def renewed(self, within_s: float) -> bool:
        """Read it anew until it is another one; False where it is not in time, or stands in no file."""
        if self._file is None:
            return False
        deadline = asyncio.get_running_loop().time() + within_s
        while (text := self._file.read_text(encoding="utf-8").strip()) in {"", self.text}:
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(_RENEWAL_POLL_S)
        self.text = text
        return True


class GatewayApi:
    """Reads from a gateway; an async context manager. See `export.Source`."""

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        tell: Callable[[str], None],
        renewal_s: float = RENEWAL_S,
        longest_wait_s: float = LONGEST_WAIT_S,
    ) -> None:
        """Read at ``url``; nobody is waited for longer than ``longest_wait_s`` at a time, and ``tell`` hears of it."""
        self._tell = tell
        self._url = url.rstrip("/")
        self._token = token
        self._renewal = renewal_s
        self._longest_wait = longest_wait_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the HTTP client."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=client_context()),
            timeout=_DEADLINE,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, query: Mapping[str, str | int], *, at_least: int = 0) -> Page | None:
        """Read a page; see `export.Source`."""
        wait = _FIRST_WAIT_S
        for tries_left in reversed(range(TRIES)):
            try:
                status, headers, body = await self._ask(path, query, at_least)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                complaint, pause = str(error) or type(error).__name__, wait
            else:
                if status == HTTPStatus.OK and isinstance(body, dict) and headers.get("Position", "").isdecimal():
                    return Page(body=body, position=int(headers["Position"]))
                if status == HTTPStatus.NOT_FOUND:
                    return None
                if status == HTTPStatus.UNAUTHORIZED:
                    await self._renew(body)
                    continue
                if status != HTTPStatus.TOO_MANY_REQUESTS and status < _FIRST_FAULT:
                    message = f"{path}: {status} {_detail(body)}"
                    raise ExportError(message)
                stated = headers.get("Retry-After", "")
                complaint, pause = f"{status} {_detail(body)}", float(stated) if stated.isdecimal() else wait
            if not tries_left:
                break
            pause = min(pause, self._longest_wait)
            self._tell(f"{path}: {complaint}; asked again in {pause:g} s")
            await asyncio.sleep(pause)
            wait *= 2
        else:
            complaint = "every token was refused"
        message = f"{path}: {complaint}"
        raise ExportError(message)

    async def _ask(
        self, path: str, query: Mapping[str, str | int], at_least: int
    ) -> tuple[int, Mapping[str, str], Any]:
        if self._session is None:
            message = "the client is not open"
            raise ExportError(message)
        headers = {
            "Authorization": f"Bearer {self._token.text}",
            "Accept": "application/json",
            "Min-Position": str(at_least),
        }
        # A redirect is not followed: the token is for this gateway alone.
        async with self._session.get(
            self._url + path, params=query, headers=headers, allow_redirects=False
        ) as response:
            is_json = response.content_type in {"application/json", "application/problem+json"}
            return response.status, response.headers, await response.json(content_type=None) if is_json else None

    async def _renew(self, body: Any) -> None:  # noqa: ANN401 - what the gateway answered
        if not await self._token.renewed(self._renewal):
            message = f"the token is refused, and there is no new one: {_detail(body)}"
            raise ExportError(message)


def _detail(body: Any) -> str:  # noqa: ANN401 - what the gateway answered
    return str(body.get("detail", "")) if isinstance(body, dict) else "and not the JSON that was asked for"
