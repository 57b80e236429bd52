"""The export of a tenant: its events, what stands now, and its trail, read through the gateway's public API.

No account sees all (TDR-009), so it is a member who takes the tenant along, with a token of the tenant's own. Each
stream is read up to one position, and what stands now as of that very position: replaying the events gives the lists.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from tempfile import TemporaryFile
from typing import Any, Final, Protocol

import orjson

from production_contracts.events import STREAMS, Stream
from production_contracts.times import format_timestamp
from servicekit import clock
from tenancy.adapters.archive import Archive

FORMAT: Final = "production-tool-export/1"
LARGEST_PAGE: Final = 200
LARGEST_EVENT_PAGE: Final = 500
TRIES: Final = 10
TOLD_EVERY: Final = 10_000

Record = dict[str, Any]


class ExportError(Exception):
    """The tenant can't be exported; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """What the gateway answered, and the position that it was read at."""

    body: dict[str, Any]
    position: int


class Source(Protocol):
    """Where the tenant is read."""

    async def get(self, path: str, query: Mapping[str, str | int], *, at_least: int = 0) -> Page | None:
        """Read a page that holds at least a position; None where there is no such address.

        Raises:
            ExportError: it can't be had.
        """
        ...


class _MovedError(Exception):
    """Something has happened between two pages of what stands now."""


@dataclass(kw_only=True, slots=True)
class _Cut:
    """The position that all pages of a list must have been read at: that of the first."""

    position: int | None = None

    def hold(self, position: int) -> None:
        """Hold that a page is of that position."""
        if self.position is None:
            self.position = position
        elif self.position != position:
            raise _MovedError


class Export:
    """Reads a tenant and writes it down."""

    def __init__(self, source: Source, archive: Archive, *, gateway: str, tell: Callable[[str], None]) -> None:
        """Read from ``source``, the ``gateway`` of that address; ``tell`` hears how far it got."""
        self._source = source
        self._archive = archive
        self._gateway = gateway
        self._tell = tell
        self._files: list[dict[str, Any]] = []
        self._left_out: list[dict[str, str]] = []

    async def run(self) -> None:
        """Export everything, the manifest last.

        Raises:
            ExportError: it can't be had, or is not whole.
        """
        began = clock.now()
        tenancy, tenant = await self._standing()
        booking, moment = await self._calendar()
        await self._events("booking", booking)
        await self._events("tenancy", tenancy)
        for stream in STREAMS:
            await self._trail(stream)
        manifest = {
            "format": FORMAT,
            "tenant": {"id": tenant["id"], "name": tenant["name"]},
            "gateway": self._gateway,
            "began_at": format_timestamp(began),
            "finished_at": format_timestamp(clock.now()),
            "streams": {"booking": {"position": booking, "as_of": moment}, "tenancy": {"position": tenancy}},
            "files": self._files,
            "left_out": self._left_out,
        }
        self._archive.document("manifest.json", manifest)

    async def _standing(self) -> tuple[int, Record]:
        """Export the tenant, its artists and its members as they stand at one position; gives it, and the tenant."""
        for _ in range(TRIES):
            with TemporaryFile() as artists, TemporaryFile() as members:
                try:
                    cut = _Cut()
                    tenant = await self._get("/v1/tenant", {})
                    cut.hold(tenant.position)
                    for kept, path in ((artists, "/v1/artists"), (members, "/v1/members")):
                        async for one in self._list(path, {}, cut):
                            kept.write(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE))
                except _MovedError:
                    self._tell("the roster has changed meanwhile: it is read once more")
                    continue
                await self._write("tenant.jsonl", _each([tenant.body]), "tenancy", tenant.position)
                for kept, name in ((artists, "artists.jsonl"), (members, "members.jsonl")):
                    kept.seek(0)
                    await self._write(name, _each(map(orjson.loads, kept)), "tenancy", tenant.position)
                return tenant.position, tenant.body
        message = f"the roster changed while it was read, {TRIES} times: try again when less happens to it"
        raise ExportError(message)

    async def _calendar(self) -> tuple[int, str | None]:
        """Export the bookings as they stood when the last of them was changed; gives the position, and that moment."""
        head = (await self._get("/v1/bookings", {"limit": 1})).position
        if head == 0:
            await self._write("bookings.jsonl", _each([]), "booking", 0)
            return 0, None
        newest = await self._get("/v1/events", {"stream": "booking", "after": head - 1, "limit": 1}, at_least=head)
        if not newest.body["items"]:
            message = f"the events of booking lack position {head}"
            raise ExportError(message)
        moment, cut = str(newest.body["items"][0]["occurred_at"]), _Cut()
        await self._write("bookings.jsonl", self._list("/v1/bookings", {"as_of": moment}, cut), "booking", head)
        assert cut.position is not None  # noqa: S101 - a list has a page, and a page a position
        self._files[-1]["position"] = cut.position
        return cut.position, moment

    async def _events(self, stream: Stream, until: int) -> None:
        """Export a stream's events up to a position, in order and without a gap."""

        async def events() -> AsyncIterator[Record]:
            after = 0
            while after < until:
                asked = {"stream": stream, "after": after, "limit": min(LARGEST_EVENT_PAGE, until - after)}
                found = (await self._get("/v1/events", asked, at_least=until)).body["items"]
                for event in found or [{"position": None}]:
                    after += 1
                    if event["position"] != after:
                        message = f"the events of {stream} lack position {after}"
                        raise ExportError(message)
                    yield event

        await self._write(f"events/{stream}.jsonl", events(), stream, until)

    async def _trail(self, stream: Stream) -> None:
        """Export what the trail of a stream tells, where there is one."""
        name, asked = f"audit/{stream}.jsonl", {"stream": stream, "limit": LARGEST_PAGE}
        first = await self._source.get("/v1/audit", {**asked, "after": 0})
        if first is None:
            self._left_out.append({"name": name, "reason": "this gateway has no audit trail"})
            return

        async def lines(page: Page) -> AsyncIterator[Record]:
            while page.body["items"]:
                for line in page.body["items"]:
                    yield line
                page = await self._get("/v1/audit", {**asked, "after": page.body["sequence"]})

        await self._write(name, lines(first), stream, first.position)

    async def _list(self, path: str, query: Mapping[str, str | int], cut: _Cut) -> AsyncIterator[Record]:
        """Read a list to its end, all of it at one position."""
        asked: dict[str, str | int] = {**query, "limit": LARGEST_PAGE}
        while True:
            page = await self._get(path, asked)
            cut.hold(page.position)
            for one in page.body["items"]:
                yield one
            if page.body["next_cursor"] is None:
                return
            asked["cursor"] = page.body["next_cursor"]

    async def _get(self, path: str, query: Mapping[str, str | int], *, at_least: int = 0) -> Page:
        page = await self._source.get(path, query, at_least=at_least)
        if page is None:
            message = f"{path} is not there: either nothing has happened in this tenant yet, or this is no gateway"
            raise ExportError(message)
        return page

    async def _write(self, name: str, records: AsyncIterator[Record], stream: Stream, position: int) -> None:
        async def told() -> AsyncIterator[Record]:
            count = 0
            async for record in records:
                count += 1
                if count % TOLD_EVERY == 0:
                    self._tell(f"{name}: {count:,} so far")
                yield record

        written = await self._archive.lines(name, told())
        self._tell(f"{name}: {written.records:,} records")
        self._files.append({**asdict(written), "stream": stream, "position": position})


async def _each(records: Iterable[Record]) -> AsyncIterator[Record]:
    for record in records:
        yield record
