"""The concerts of the Grateful Dead, 1965 to 1995; see the README beside the data."""

import csv
import html
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from local_stack.checkout import ROOT

DATA = ROOT / "deploy" / "local" / "data"
BEGINS = time(20)
ENDS = time(23, 30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Concert:
    """One night: 20:00 to 23:30 in the venue's own time zone."""

    day: date
    venue: str
    town: str
    time_zone: str

    @property
    def start(self) -> datetime:
        """When it begins, in UTC."""
        return datetime.combine(self.day, BEGINS, ZoneInfo(self.time_zone)).astimezone(UTC)

    @property
    def end(self) -> datetime:
        """When it ends, in UTC."""
        return datetime.combine(self.day, ENDS, ZoneInfo(self.time_zone)).astimezone(UTC)

    def request(self, artist_id: str) -> dict[str, Any]:
        """Write what is asked of the gateway for it."""
        return {
            "artist_id": artist_id,
            "start_time": self.start.isoformat(),
            "end_time": self.end.isoformat(),
            "status": "confirmed",
            "title": f"Grateful Dead at {self.venue}",
            "venue": ", ".join(filter(None, (self.venue, self.town))),
        }


def read_concerts(folder: Path = DATA) -> list[Concert]:
    """Read all concerts in order of their dates.

    Raises:
        KeyError: a date has no place.
    """
    with (folder / "grateful-dead-places.csv").open(newline="") as file:
        places = {row["date"]: row for row in csv.DictReader(file)}
    with (folder / "grateful-dead-shows.csv").open(newline="") as file:
        shows = list(csv.DictReader(file))
    return [_concert(show, places[show["date"]]) for show in shows]


def _concert(show: dict[str, str], place: dict[str, str]) -> Concert:
    # Some venues are listed with their ampersand escaped for HTML, twice.
    venue = html.unescape(html.unescape(show["venue"]))
    town = ", ".join(filter(None, (place["city"], place["state"])))
    return Concert(day=date.fromisoformat(show["date"]), venue=venue, town=town, time_zone=place["time_zone"])
