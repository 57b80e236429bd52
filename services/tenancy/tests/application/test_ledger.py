"""Whole batches decided in memory: what is told, what is numbered and what a replay makes of it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from production_contracts import commands
from production_contracts.commands import AmendArtist, ArchiveArtist, Author, Command, CommandBody, CreateArtist
from production_contracts.records import Record
from production_contracts.roles import Role
from servicekit.deciding import Decision, NewEvent
from tenancy.application.ledger import RosterLedger
from tenancy.application.projection import RosterProjection
from tenancy.application.representation import artist_json

NOON = datetime(2027, 5, 8, 12, tzinfo=UTC)
TENANTS = [UUID(int=1), UUID(int=2)]
ARTISTS = [UUID(int=11), UUID(int=12), UUID(int=13)]

bodies: st.SearchStrategy[Record] = st.one_of(
    st.builds(CreateArtist, name=st.sampled_from(["Ana", "Bea"])),
    st.builds(AmendArtist, name=st.sampled_from(["Ana", "Bea"])),
    st.builds(AmendArtist, time_zone=st.sampled_from([None, "Europe/Berlin"])),
    st.builds(ArchiveArtist),
)
batches = st.lists(st.tuples(st.sampled_from(TENANTS), st.sampled_from(ARTISTS), bodies), max_size=30)


def _command(tenant: UUID, artist: UUID, data: Record) -> Command:
    return Command(
        id=uuid4(),
        type=commands.BY_DATA[type(data)],
        tenant_id=tenant,
        aggregate_id=artist,
        body=CommandBody(author=Author(sub="user_ana", role=Role.ADMIN, iat=1), expires_at=NOON, data=data),
    )


class _Worker:
    """Numbers events as the command worker does."""

    def __init__(self) -> None:
        self.ledger = RosterLedger(set(), {})
        self.events: dict[UUID, list[NewEvent]] = {tenant: [] for tenant in TENANTS}

    def decide(self, tenant: UUID, artist: UUID, data: Record) -> Decision:
        stream = self.events[tenant]
        decision = self.ledger.decide(_command(tenant, artist, data), position=len(stream) + 1, now=NOON)
        stream.extend(decision.events)
        return decision


@given(batches)
def test_positions_and_versions_are_those_of_the_stream(asked: list[tuple[UUID, UUID, Record]]) -> None:
    worker = _Worker()
    for one in asked:
        worker.decide(*one)
    for stream in worker.events.values():
        assert [event.type == "TenantCreated" for event in stream] == [n == 0 for n in range(len(stream))]
        assert [event.data["position"] for event in stream] == list(range(1, len(stream) + 1))
        versions: dict[UUID, int] = {}
        for event in stream:
            versions[event.aggregate_id] = versions.get(event.aggregate_id, 0) + 1
            assert event.version == event.data["version"] == versions[event.aggregate_id]


@given(batches)
def test_a_replay_of_the_events_gives_what_would_be_stored(asked: list[tuple[UUID, UUID, Record]]) -> None:
    worker, projection = _Worker(), RosterProjection()
    for one in asked:
        worker.decide(*one)
    for tenant, stream in worker.events.items():
        rows: dict[UUID, dict[str, Any]] = {}
        for event in stream:
            projection.fold(rows, {"type": event.type, "aggregate_id": str(event.aggregate_id), "data": event.data})
        rows.pop(tenant, None)
        changed = worker.ledger._changed
        assert rows == {key[1]: artist_json(artist) for key, artist in changed.items() if key[0] == tenant}


@given(batches)
def test_a_refusal_makes_no_event_and_what_is_accepted_tells_the_artist(
    asked: list[tuple[UUID, UUID, Record]],
) -> None:
    worker = _Worker()
    there: set[tuple[UUID, UUID]] = set()
    for tenant, artist, data in asked:
        decision = worker.decide(tenant, artist, data)
        created = isinstance(data, CreateArtist)
        if created == ((tenant, artist) in there):
            assert (decision.status, decision.events) == (409 if created else 404, ())
            continue
        there.add((tenant, artist))
        assert (decision.status, decision.body["id"]) == (201 if created else 200, str(artist))
        if decision.events:
            assert decision.events[-1].data == decision.body
