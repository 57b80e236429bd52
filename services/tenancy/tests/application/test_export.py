"""The export on a gateway of paper: what it asks, what it writes, and what it does when things move under it."""

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tenancy.adapters.archive import Archive
from tenancy.application.export import Export, ExportError, Page

TENANT = {"id": "t", "name": "Acme", "version": 2}
Record = dict[str, Any]


def event(stream: str, position: int) -> Record:
    return {"stream": stream, "position": position, "occurred_at": f"2027-01-01T00:00:{position:02}.000Z"}


class Paper:
    """A gateway that has a few things of everything, in pages of two; ``before`` may change it before an answer."""

    def __init__(self) -> None:
        self.positions = {"booking": 5, "tenancy": 3}
        self.lists: dict[str, list[Record]] = {
            "/v1/bookings": [{"id": n} for n in range(5)],
            "/v1/artists": [{"id": n} for n in range(3)],
            "/v1/members": [{"id": "ana"}],
        }
        self.trail: dict[str, list[Record]] | None = None
        self.asked: list[tuple[str, Mapping[str, str | int], int]] = []
        self.before: Callable[[str], None] = lambda _: None

    async def get(self, path: str, query: Mapping[str, str | int], *, at_least: int = 0) -> Page | None:
        self.asked.append((path, dict(query), at_least))
        self.before(path)
        if path == "/v1/tenant":
            return Page(body=TENANT, position=self.positions["tenancy"])
        if path == "/v1/events":
            stream, after, limit = str(query["stream"]), int(query["after"]), int(query["limit"])
            numbers = range(after + 1, min(after + min(limit, 2), self.positions[stream]) + 1)
            items = [event(stream, number) for number in numbers]
            return Page(body={"items": items, "position": after + len(items)}, position=self.positions[stream])
        if path == "/v1/audit":
            if self.trail is None:
                return None
            after = int(query["after"])
            lines = self.trail[str(query["stream"])][after : after + 2]
            return Page(body={"items": lines, "sequence": after + len(lines), "begins_at": 0}, position=9)
        first = int(query.get("cursor", 0))
        found = self.lists[path]
        stream = "booking" if path == "/v1/bookings" else "tenancy"
        more = str(first + 2) if first + 2 < len(found) else None
        return Page(body={"items": found[first : first + 2], "next_cursor": more}, position=self.positions[stream])


async def export(paper: Paper, out: Path) -> tuple[dict[str, list[Any]], Any, list[str]]:
    """Export it; gives the files, the manifest and what was told."""
    told: list[str] = []
    with Archive.at(out) as archive:
        await Export(paper, archive, gateway="https://x", tell=told.append).run()
    with zipfile.ZipFile(out) as zipped:
        manifest = json.loads(zipped.read("manifest.json"))
        names = [name for name in zipped.namelist() if name != "manifest.json"]
        assert names == [file["name"] for file in manifest["files"]]
        return {name: list(map(json.loads, zipped.read(name).splitlines())) for name in names}, manifest, told


async def test_everything_is_written_up_to_the_position_it_was_read_at(tmp_path: Path) -> None:
    paper = Paper()
    files, manifest, told = await export(paper, tmp_path / "x.zip")
    assert files == {
        "tenant.jsonl": [TENANT],
        "artists.jsonl": paper.lists["/v1/artists"],
        "members.jsonl": paper.lists["/v1/members"],
        "bookings.jsonl": paper.lists["/v1/bookings"],
        "events/booking.jsonl": [event("booking", n) for n in range(1, 6)],
        "events/tenancy.jsonl": [event("tenancy", n) for n in range(1, 4)],
    }
    assert manifest["streams"] == {
        "booking": {"position": 5, "as_of": "2027-01-01T00:00:05.000Z"},
        "tenancy": {"position": 3},
    }
    assert [(file["name"], file["records"], file["position"]) for file in manifest["files"][3:5]] == [
        ("bookings.jsonl", 5, 5),
        ("events/booking.jsonl", 5, 5),
    ]
    assert [part["name"] for part in manifest["left_out"]] == ["audit/booking.jsonl", "audit/tenancy.jsonl"]
    assert "bookings.jsonl: 5 records" in told


async def test_bookings_are_listed_as_of_the_last_event_so_that_all_pages_are_of_one_state(tmp_path: Path) -> None:
    paper = Paper()
    await export(paper, tmp_path / "x.zip")
    listed = [query for path, query, _ in paper.asked if path == "/v1/bookings"]
    assert listed[0] == {"limit": 1}
    assert [(query["as_of"], query.get("cursor")) for query in listed[1:]] == [
        ("2027-01-01T00:00:05.000Z", cursor) for cursor in (None, "2", "4")
    ]


async def test_events_are_read_no_further_than_the_lists_and_of_no_older_copy(tmp_path: Path) -> None:
    paper = Paper()

    def happen(path: str) -> None:
        if path == "/v1/audit":
            paper.positions = {"booking": 50, "tenancy": 30}

    paper.before = happen
    files, _, _ = await export(paper, tmp_path / "x.zip")
    assert len(files["events/booking.jsonl"]) == 5
    asked = [(query["stream"], at_least) for path, query, at_least in paper.asked if path == "/v1/events"]
    assert set(asked) == {("booking", 5), ("tenancy", 3)}


async def test_a_roster_that_changes_between_two_pages_is_read_once_more(tmp_path: Path) -> None:
    paper, changes = Paper(), iter([0, 1, 1, 0, 0, 0, 0, 0])

    def happen(path: str) -> None:
        if path == "/v1/artists" and next(changes):
            paper.positions["tenancy"] += 1
            paper.lists["/v1/artists"].append({"id": "new"})

    paper.before = happen
    files, manifest, told = await export(paper, tmp_path / "x.zip")
    assert told.count("the roster has changed meanwhile: it is read once more") == 2
    assert files["artists.jsonl"] == paper.lists["/v1/artists"]
    assert manifest["streams"]["tenancy"]["position"] == paper.positions["tenancy"] == 5
    assert len(files["events/tenancy.jsonl"]) == 5


async def test_a_roster_that_never_rests_is_not_exported(tmp_path: Path) -> None:
    paper = Paper()

    def happen(path: str) -> None:
        paper.positions["tenancy"] += path == "/v1/members"

    paper.before = happen
    with pytest.raises(ExportError, match="changed while it was read"):
        await export(paper, tmp_path / "x.zip")
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - a folder in memory


async def test_a_gap_in_the_events_is_never_exported(tmp_path: Path) -> None:
    class Torn(Paper):
        async def get(self, path: str, query: Mapping[str, str | int], *, at_least: int = 0) -> Page | None:
            page = await super().get(path, query, at_least=at_least)
            if page is not None and path == "/v1/events":
                page.body["items"] = [one for one in page.body["items"] if one["position"] != 3]
            return page

    with pytest.raises(ExportError, match="the events of booking lack position 3"):
        await export(Torn(), tmp_path / "x.zip")
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - as above


async def test_a_tenant_without_bookings_is_exported_without(tmp_path: Path) -> None:
    paper = Paper()
    paper.positions["booking"], paper.lists["/v1/bookings"] = 0, []
    files, manifest, _ = await export(paper, tmp_path / "x.zip")
    assert (files["bookings.jsonl"], files["events/booking.jsonl"]) == ([], [])
    assert manifest["streams"]["booking"] == {"position": 0, "as_of": None}


async def test_a_trail_goes_along_where_there_is_one(tmp_path: Path) -> None:
    paper = Paper()
    paper.trail = {"booking": [{"sequence": n} for n in range(5)], "tenancy": []}
    files, manifest, _ = await export(paper, tmp_path / "x.zip")
    assert files["audit/booking.jsonl"] == paper.trail["booking"]
    assert files["audit/tenancy.jsonl"] == []
    assert manifest["left_out"] == []


async def test_a_page_that_is_empty_before_the_end_is_an_error_and_no_endless_loop(tmp_path: Path) -> None:
    class Empty(Paper):
        async def get(self, path: str, query: Mapping[str, str | int], *, at_least: int = 0) -> Page | None:
            page = await super().get(path, query, at_least=at_least)
            if page is not None and path == "/v1/events" and query["after"]:
                page.body["items"] = []
            return page

    with pytest.raises(ExportError, match="lack position"):
        await export(Empty(), tmp_path / "x.zip")
