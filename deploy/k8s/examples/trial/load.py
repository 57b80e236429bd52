"""Book and read at a steady rate, and tell what was refused and what was lost; 1 where anything was.

Every other connection is a new one, as those of new clients are: what is refused while a pod goes shows there. It ends
after ``SECONDS``, or when somebody writes the file ``/tmp/enough``.
"""

import asyncio
import collections
import json
import os
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp

GATEWAY: Final = os.environ["GATEWAY"]
ISSUER: Final = os.environ["ISSUER"]
RATE: Final = float(os.environ["RATE"])
SECONDS: Final = float(os.environ["SECONDS"])
ENOUGH: Final = Path("/tmp/enough")  # noqa: S108 - the pod's own
_CREATED: Final = 201
_OK: Final = 200
_FIRST: Final = datetime(2030, 1, 1, tzinfo=UTC)


class Load:
    """The caller of one tenant of its own."""

    def __init__(self, session: aiohttp.ClientSession, fresh: aiohttp.ClientSession) -> None:
        """Call through one session that keeps its connections, and one that does not."""
        self._sessions = session, fresh
        self._artist = ""
        self._headers: dict[str, str] = {}
        self.refused: collections.Counter[str] = collections.Counter()
        self.booked: set[str] = set()
        self.seconds: list[float] = []

    async def begin(self) -> None:
        """Become an administrator of a new tenant with one artist."""
        asked = {"tenant": f"load{time.time_ns()}", "role": "admin", "user": "ana"}
        async with self._sessions[0].post(f"{ISSUER}/token", json=asked) as answer:
            self._headers = {"Authorization": f"Bearer {(await answer.json())['token']}"}
        _, artist = await self._ask("POST", "/v1/artists", 0, {"name": "Load"})
        self._artist = artist["id"]

    async def _ask(self, method: str, path: str, number: int, body: object = None) -> tuple[int, Any]:
        headers = {**self._headers, "Idempotency-Key": str(uuid.uuid4())} if method == "POST" else self._headers
        session = self._sessions[number % 2]
        async with session.request(method, GATEWAY + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def call(self, number: int) -> None:
        """Read, or book a night that nobody else wants."""
        begun = time.monotonic()
        try:
            if number % 3 == 0:
                status, _ = await self._ask("GET", "/v1/bookings?limit=20", number)
                passed = status == _OK
            else:
                start = _FIRST + timedelta(hours=number)
                end = start + timedelta(minutes=30)
                night = {"artist_id": self._artist, "title": f"Night {number}"}
                night |= {"start_time": start.isoformat(), "end_time": end.isoformat()}
                status, booking = await self._ask("POST", "/v1/bookings", number, night)
                passed = status == _CREATED
                if passed:
                    self.booked.add(booking["id"])
            if not passed:
                self._refuse(f"status {status}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._refuse(repr(error))
        self.seconds.append(time.monotonic() - begun)

    def _refuse(self, why: str) -> None:
        self.refused[why] += 1
        sys.stdout.write(f"{datetime.now(UTC):%T} {why}\n")
        sys.stdout.flush()

    async def found(self) -> set[str]:
        """Read every booking."""
        found: set[str] = set()
        cursor = ""
        while True:
            _, page = await self._ask("GET", f"/v1/bookings?limit=200{cursor}", 0)
            found |= {booking["id"] for booking in page["items"]}
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"


async def run() -> bool:
    """Call until it is enough; tells whether nothing was refused or lost."""
    patience = aiohttp.ClientTimeout(total=40)
    kept, fresh = aiohttp.TCPConnector(limit=0), aiohttp.TCPConnector(limit=0, force_close=True)
    async with (
        aiohttp.ClientSession(connector=kept, timeout=patience) as session,
        aiohttp.ClientSession(connector=fresh, timeout=patience) as anew,
    ):
        load = Load(session, anew)
        await load.begin()
        begun = time.monotonic()
        calls: list[asyncio.Task[None]] = []
        while time.monotonic() - begun < SECONDS and not ENOUGH.exists():
            calls.append(asyncio.create_task(load.call(len(calls))))
            await asyncio.sleep(max(0.0, begun + len(calls) / RATE - time.monotonic()))
        await asyncio.gather(*calls)
        lost = load.booked - await load.found()
    quantile = sorted(load.seconds)
    told = {
        "calls": len(calls),
        "refused": dict(load.refused),
        "booked": len(load.booked),
        "lost": len(lost),
        "p50_seconds": round(quantile[len(quantile) // 2], 3),
        "longest_seconds": round(quantile[-1], 3),
    }
    sys.stdout.write(json.dumps(told) + "\n")
    return not load.refused and not lost


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(run()) else 1)
