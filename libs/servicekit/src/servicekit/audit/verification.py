"""Verification: each tenant's trail, followed from its begin and held against everything else that tells of it.

What is looked at: the chain itself; its end, which ``streams`` keeps; the events, each of which was made by the command
of the entry that covers its position; the command log; and heads that were kept elsewhere, which alone show a history
that was written anew from its begin, by somebody who may change every table.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from production_contracts.events import Stream
from production_contracts.outcomes import is_accepted
from servicekit import journal
from servicekit.audit import chain, store
from servicekit.audit.chain import Entry, Flaw, Link
from servicekit.clock import now
from servicekit.database import Database
from servicekit.jobs import COMMAND_LOG_DAYS, each_tenant

PAGE: Final = 1_000
MOST_EVENTS: Final = 100
"""More than a command ever makes: an entry that covers so many positions covers those of entries that are removed."""
MOST_TOLD: Final = 50
"""Flaws of one tenant's trail that are told."""
_BEFORE_ALL: Final = -(2**63)
_REMEMBERED: Final = timedelta(days=COMMAND_LOG_DAYS - 1)
"""So old may an entry be, and its outcome must still be in the command log."""


@dataclass(kw_only=True)
class Report:
    """What was verified: how many trails and entries, where each trail ends, and what is wrong, by tenant."""

    tenants: int = 0
    entries: int = 0
    ends: dict[UUID, Link] = field(default_factory=dict)
    flaws: dict[UUID, list[Flaw]] = field(default_factory=dict)


async def verify(
    database: Database,
    stream: Stream,
    *,
    tenant_id: UUID | None = None,
    kept: Mapping[UUID, Link] | None = None,
    only_new: bool = False,
) -> Report:
    """Verify the trail of each tenant, or of one, each in one snapshot; nothing is changed.

    ``kept`` are heads of before, which must still stand. With ``only_new`` entries up to them are not looked at again.
    """
    report = Report()
    heads = kept or {}
    async for tenant in _tenants(database, tenant_id, heads):
        async with database.reading(tenant) as connection:
            trail = _Trail(connection, stream, tenant)
            await trail.verify(heads.get(tenant), only_new=only_new)
        report.tenants += 1
        report.entries += trail.entries
        if trail.end.sequence:
            report.ends[tenant] = trail.end
        if trail.flaws:
            report.flaws[tenant] = trail.flaws
    return report


async def _tenants(database: Database, only: UUID | None, kept: Mapping[UUID, Link]) -> AsyncIterator[UUID]:
    """Name the tenants to verify: those that were there when heads were kept, and are not any more, too."""
    if only is not None:
        yield only
        return
    seen = set()
    async for tenant in each_tenant(database):
        seen.add(tenant)
        yield tenant
    for tenant in sorted(kept.keys() - seen):
        yield tenant


class _Trail:
    """One tenant's trail, as one snapshot shows it."""

    def __init__(self, connection: AsyncConnection, stream: Stream, tenant_id: UUID) -> None:
        self._connection = connection
        self._stream = stream
        self._tenant = tenant_id
        self.entries = 0
        self.flaws: list[Flaw] = []
        self.end = chain.begin(stream, tenant_id, 0)

    async def verify(self, kept: Link | None, *, only_new: bool) -> None:
        stands = await store.standing(self._connection, self._stream, self._tenant)
        link, after = stands.begins, _BEFORE_ALL
        if kept is not None:
            await self._hold_kept(kept)
            if only_new:
                link, after = kept, kept.sequence
        begun = link.sequence
        while page := await store.entries_after(self._connection, self._stream, self._tenant, after, PAGE):
            self.entries += len(page)
            await self._hold_events(link, page)
            await self._hold_outcomes(page)
            link, flaws = chain.examine(link, page)
            self.flaws += flaws
            after = link.sequence
        self._hold_end(link, stands.end)
        for sequence, command in await store.unentered(self._connection, self._tenant, begun, MOST_TOLD):
            self._flaw(sequence, f"command {command} has an outcome that names this entry, which is not its own")
        self.end = link
        self.flaws.sort(key=lambda flaw: flaw.sequence or 0)

    def _flaw(self, sequence: int | None, what: str) -> None:
        self.flaws.append(Flaw(sequence=sequence, what=what))

    async def _hold_kept(self, kept: Link) -> None:
        """Hold that a head of before still stands."""
        found = await store.entry_at(self._connection, self._stream, self._tenant, kept.sequence)
        if found is None:
            self._flaw(kept.sequence, "it was the last one when its digest was kept, and is removed")
        elif found[chain.DIGEST] != kept.digest.hex():
            self._flaw(kept.sequence, "it is not the one whose digest was kept: the trail was written anew")

    def _hold_end(self, link: Link, end: Link) -> None:
        """Hold that a trail ends where ``streams`` says, and that no event lies beyond it."""
        if link.sequence < end.sequence:
            self._flaw(
                link.sequence + 1, f"the trail is cut off: it ends at {link.sequence}, and did at {end.sequence}"
            )
        elif link.sequence > end.sequence:
            self._flaw(end.sequence + 1, f"the trail ended at {end.sequence}: what follows is inserted")
        elif link.digest != end.digest:
            self._flaw(link.sequence, "its digest is not the one that the stream's head keeps")
        if link.position < end.position:
            self._flaw(None, f"the events at positions {link.position + 1} to {end.position} are in no entry")
        elif link.position > end.position:
            self._flaw(link.sequence, f"its position {link.position} lies beyond the stream's head at {end.position}")

    async def _hold_events(self, start: Link, page: Sequence[Entry]) -> None:
        """Hold that the events up to each entry's position, past that of the entry before, are those that it made."""
        ranges: list[tuple[Entry, range]] = []
        position = start.position
        for entry in page:
            ranges.append((entry, range(position + 1, entry["position"] + 1)))
            position = entry["position"]
        covered = [positions for _, positions in ranges if 0 < len(positions) <= MOST_EVENTS]
        if covered:
            events = await journal.audited_events(
                self._connection,
                self._stream,
                self._tenant,
                after=min(positions[0] for positions in covered) - 1,
                until=max(positions[-1] for positions in covered),
            )
        else:
            events = {}
        for entry, positions in ranges:
            self._hold_events_of(entry, positions, events)

    def _hold_events_of(
        self, entry: Entry, positions: range, events: Mapping[int, tuple[UUID, dict[str, Any]]]
    ) -> None:
        sequence = entry["sequence"]
        if len(positions) > MOST_EVENTS:
            self._flaw(sequence, f"it covers positions {positions[0]} to {positions[-1]}: more than one command makes")
            return
        missing = [position for position in positions if position not in events]
        if missing:
            self._flaw(sequence, f"of the events that it covers, the one at position {missing[0]} is removed")
            return
        own, others = [], []
        for position in positions:
            command, event = events[position]
            if str(command) == entry["command_id"]:
                own.append(event)
            else:
                others.append(position)
        if others:
            self._flaw(sequence, f"the event at position {others[0]} was made by a command that has no entry there")
        elif chain.events_digest(own) != entry["events_digest"]:
            told = f"the events at positions {positions[0]} to {positions[-1]}" if positions else "its events"
            self._flaw(sequence, f"{told} are not those that it made: they, or it, were changed")

    async def _hold_outcomes(self, page: Sequence[Entry]) -> None:
        """Hold that the command log tells of each entry's command what the entry tells."""
        commands = [entry["command_id"] for entry in page]
        known = await store.outcomes_of(self._connection, self._tenant, commands)
        oldest = now() - _REMEMBERED
        for entry in page:
            found = known.get(entry["command_id"])
            if found is None:
                if datetime.fromisoformat(entry["at"]) > oldest:
                    self._flaw(entry["sequence"], f"its command {entry['command_id']} has no outcome in the log")
                continue
            stated = (entry["sequence"], entry["actor"], entry["status"], entry["position"])
            if (found.sequence, found.actor, found.status, found.position) != stated:
                what = f"the log says of command {entry['command_id']}: {found}, which the entry does not"
                self._flaw(entry["sequence"], what)
            if is_accepted(entry["status"]) != (entry["outcome"] == "accepted"):
                self._flaw(entry["sequence"], f"its outcome {entry['outcome']} does not fit its status")
