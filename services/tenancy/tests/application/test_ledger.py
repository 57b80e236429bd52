"""Whole batches decided in memory: what is told, what is numbered and what a replay makes of it."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4, uuid5

from hypothesis import given
from hypothesis import strategies as st

from production_contracts import commands
from production_contracts.commands import (
    AmendArtist,
    ArchiveArtist,
    Author,
    CloseTenant,
    Command,
    CommandBody,
    CreateArtist,
    DeleteTenant,
    ForgetPerson,
    RecordInvitation,
    RecordMember,
    RecordPerson,
    RecordTenant,
    RemoveMember,
)
from production_contracts.members import invitation_id, member_id
from production_contracts.records import Record
from production_contracts.roles import Role
from production_contracts.sealed import Sealed
from servicekit.deciding import Decision, NewEvent
from tenancy.application.artists import ArtistLedger
from tenancy.application.ledger import TenancyLedger
from tenancy.application.members import MemberLedger
from tenancy.application.people import PeopleLedger
from tenancy.application.projection import TenancyProjection
from tenancy.application.representation import artist_json, invitation_json, member_json, tenant_json

NOON = datetime(2027, 5, 8, 12, tzinfo=UTC)
PEOPLE = UUID(int=99)
TENANTS = [UUID(int=1), UUID(int=2)]
ARTISTS = [UUID(int=11), UUID(int=12), UUID(int=13)]

times = st.integers(0, 2).map(lambda minutes: NOON + timedelta(minutes=minutes))
users = st.sampled_from(["user_ana", "user_ben"])
roles = st.sampled_from([None, Role.ADMIN, Role.VIEWER])
sealed = st.none() | st.builds(Sealed, kid=st.just("k"), ct=st.sampled_from(["a", "b"]))
facts: st.SearchStrategy[Record] = st.one_of(
    st.builds(
        RecordTenant,
        org_id=st.just("org"),
        name=st.sampled_from([None, "Acme", "Apex"]),
        slug=st.sampled_from([None, "acme"]),
        as_of=times,
    ),
    st.builds(DeleteTenant, as_of=times),
    st.builds(RecordMember, sub=users, role=roles, joined_at=st.none() | times, as_of=times),
    st.builds(RemoveMember, sub=users, as_of=times),
    st.builds(
        RecordInvitation,
        invitation=st.sampled_from(["inv_1", "inv_2"]),
        role=roles,
        status=st.sampled_from(["pending", "accepted", "revoked"]),
        as_of=times,
    ),
)
people: st.SearchStrategy[Record] = st.one_of(
    st.builds(RecordPerson, sub=users, name=sealed, email=sealed, as_of=times),
    st.builds(RecordPerson, sub=users, name=sealed, as_of=times),
    st.builds(ForgetPerson, sub=users, as_of=times),
)
on_artists: st.SearchStrategy[Record] = st.one_of(
    st.builds(CreateArtist, name=st.sampled_from(["Ana", "Bea"])),
    st.builds(AmendArtist, name=st.sampled_from(["Ana", "Bea"])),
    st.builds(AmendArtist, time_zone=st.sampled_from([None, "Europe/Berlin"])),
    st.builds(ArchiveArtist),
)


def _batches(bodies: st.SearchStrategy[Record]) -> st.SearchStrategy[list[tuple[UUID, UUID, Record]]]:
    return st.lists(st.tuples(st.sampled_from(TENANTS), st.sampled_from(ARTISTS), bodies), max_size=30)


batches = _batches(on_artists | facts | people)
artist_batches = _batches(on_artists)


def _command(tenant: UUID, artist: UUID, data: Record, versions: list[int] | None = None) -> Command:
    return Command(
        id=uuid4(),
        type=commands.BY_DATA[type(data)],
        tenant_id=tenant,
        aggregate_id=artist,
        body=CommandBody(
            author=Author(sub="user_ana", role=Role.ADMIN, iat=1),
            expires_at=NOON,
            expected_versions=versions,
            data=data,
        ),
    )


class _Worker:
    """Numbers events as the command worker does."""

    def __init__(self) -> None:
        self.ledger = TenancyLedger({}, ArtistLedger({}), MemberLedger({}, {}), PeopleLedger({}))
        self.events: defaultdict[UUID, list[NewEvent]] = defaultdict(list)

    def decide(self, tenant: UUID, artist: UUID, data: Record, *, versions: list[int] | None = None) -> Decision:
        if isinstance(data, RecordPerson | ForgetPerson):
            tenant = uuid5(PEOPLE, data.sub)
        stream = self.events[tenant]
        decision = self.ledger.decide(_command(tenant, artist, data, versions), position=len(stream) + 1, now=NOON)
        stream.extend(decision.events)
        return decision

    def rows(self, tenant: UUID) -> dict[UUID, dict[str, Any]]:
        """Give what would be stored of a tenant, as the projection reads it."""
        artists, members, _ = self.ledger._parts
        rows = {one.id: {"kind": "tenant", **tenant_json(one)} for one in self._of(self.ledger._changed, tenant)}
        for artist in self._of(artists._changed, tenant):
            rows[artist.id] = {"kind": "artist", **artist_json(artist)}
        for member in self._of(members._changed, tenant):
            rows[member_id(tenant, member.id)] = {"kind": "member", **member_json(member)}
        for invitation in self._of(members._changed_invitations, tenant):
            rows[invitation_id(tenant, invitation.id)] = {"kind": "invitation", **invitation_json(invitation)}
        return rows

    def _of(self, changed: dict[Any, Any], tenant: UUID) -> list[Any]:
        return [one for key, one in changed.items() if (key if isinstance(key, UUID) else key[0]) == tenant]


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
    worker, projection = _Worker(), TenancyProjection()
    for one in asked:
        worker.decide(*one)
    for tenant, stream in worker.events.items():
        rows: dict[UUID, dict[str, Any]] = {}
        for event in stream:
            projection.fold(rows, {"type": event.type, "aggregate_id": str(event.aggregate_id), "data": event.data})
        assert rows == worker.rows(tenant)


@given(st.lists(facts | people, max_size=12), st.data())
def test_facts_in_any_order_and_number_leave_the_same_behind(told: list[Record], data: st.DataObject) -> None:
    first, second = _Worker(), _Worker()
    for fact in told:
        first.decide(TENANTS[0], ARTISTS[0], fact)
    repeated = told + data.draw(st.lists(st.sampled_from(told), max_size=5) if told else st.just([]))
    for fact in data.draw(st.permutations(repeated)):
        second.decide(TENANTS[0], ARTISTS[0], fact)
    by_order = {"version", "position", "updated_at", "created_at"}
    states = []
    for worker in (first, second):
        rows = worker.rows(TENANTS[0])
        known = worker.ledger._people._people
        told_of = {key: {n: v for n, v in row.items() if n not in by_order} for key, row in rows.items()}
        if told_of.get(TENANTS[0], {}).get("status") == "deleted":
            told_of = {TENANTS[0]: {"status": "deleted"}}  # what had been heard of it by then does not matter any more
        states.append((told_of, known))
    assert states[0] == states[1]


@given(st.lists(facts, min_size=1, max_size=12))
def test_a_fact_told_again_changes_nothing_and_makes_no_event(told: list[Record]) -> None:
    worker = _Worker()
    for fact in told:
        worker.decide(TENANTS[0], ARTISTS[0], fact)
    before = worker.rows(TENANTS[0])
    for fact in told:
        again = worker.decide(TENANTS[0], ARTISTS[0], fact)
        assert (again.status, again.events) == (200, ())
    assert worker.rows(TENANTS[0]) == before


def test_a_member_is_added_changed_removed_and_added_again() -> None:
    worker, later = _Worker(), [NOON + timedelta(minutes=n) for n in range(5)]
    for fact in (
        RecordMember(sub="user_ana", role=Role.MEMBER, joined_at=NOON, as_of=later[0]),
        RecordMember(sub="user_ana", role=Role.ADMIN, joined_at=NOON, as_of=later[1]),
        RemoveMember(sub="user_ana", as_of=later[3]),
        RecordMember(sub="user_ana", role=Role.ADMIN, joined_at=NOON, as_of=later[2]),
        RecordMember(sub="user_ana", role=Role.VIEWER, joined_at=later[4], as_of=later[4]),
    ):
        worker.decide(TENANTS[0], ARTISTS[0], fact)
    told = [(event.type, event.data.get("role"), event.data.get("removed_at")) for event in worker.events[TENANTS[0]]]
    assert told == [
        ("TenantCreated", None, None),
        ("MemberAdded", "org:member", None),
        ("MemberChanged", "org:admin", None),
        ("MemberRemoved", None, "2027-05-08T12:03:00.000Z"),
        ("MemberAdded", "org:viewer", None),
    ]


@given(batches, st.sampled_from([DeleteTenant(as_of=NOON), CloseTenant()]))
def test_nothing_happens_to_a_tenant_after_its_end(asked: list[tuple[UUID, UUID, Record]], ending: Record) -> None:
    worker = _Worker()
    for one in asked[: len(asked) // 2]:
        worker.decide(*one)
    ended = worker.decide(TENANTS[0], ARTISTS[0], ending)
    assert ended.body["status"] == "deleted" or ended.status == 403
    before = list(worker.events[TENANTS[0]])
    assert before[-1].type == "TenantDeleted"
    for _, artist, data in asked[len(asked) // 2 :]:
        worker.decide(TENANTS[0], artist, data)
    assert worker.events[TENANTS[0]] == before


def test_an_owner_deletes_a_tenant_that_is_as_it_was_seen() -> None:
    worker = _Worker()
    worker.decide(TENANTS[0], ARTISTS[0], RecordTenant(org_id="org", name="Acme", as_of=NOON))
    refused = worker.decide(TENANTS[0], ARTISTS[0], CloseTenant(), versions=[1])
    assert (refused.status, refused.body["type"]) == (412, "/problems/version-mismatch")
    deleted = worker.decide(TENANTS[0], ARTISTS[0], CloseTenant(), versions=[2])
    assert (deleted.status, deleted.body["name"], deleted.body["version"]) == (200, "Acme", 3)
    assert [event.type for event in deleted.events] == ["TenantDeleted"]
    assert worker.decide(TENANTS[0], ARTISTS[0], CloseTenant()).status == 403


def test_of_a_tenant_that_was_never_heard_of_a_tombstone_is_left() -> None:
    worker = _Worker()
    assert worker.decide(TENANTS[0], ARTISTS[0], CloseTenant()).status == 200
    assert [event.type for event in worker.events[TENANTS[0]]] == ["TenantCreated", "TenantDeleted"]


def test_a_deleted_tenant_stays_deleted_and_refuses_its_users() -> None:
    worker = _Worker()
    worker.decide(TENANTS[0], ARTISTS[0], DeleteTenant(as_of=NOON))
    worker.decide(TENANTS[0], ARTISTS[0], RecordTenant(org_id="org", name="Acme", as_of=NOON + timedelta(days=1)))
    refused = worker.decide(TENANTS[0], ARTISTS[0], CreateArtist(name="Ana"))
    assert (refused.status, refused.remember, refused.events) == (403, False, ())
    assert worker.rows(TENANTS[0])[TENANTS[0]]["status"] == "deleted"


def test_a_forgotten_person_leaves_neither_name_nor_address_and_no_event() -> None:
    worker = _Worker()
    name = Sealed(kid="k", ct="c")
    for fact in (
        RecordPerson(sub="user_ana", name=name, email=name, as_of=NOON),
        RecordPerson(sub="user_ana", name=None, as_of=NOON + timedelta(minutes=1)),
    ):
        told = worker.decide(TENANTS[0], ARTISTS[0], fact)
        assert "c" not in told.body.values()
    person = uuid5(PEOPLE, "user_ana")
    known = worker.ledger._people._people
    assert (known[person].name.sealed, known[person].email.sealed) == (None, {"kid": "k", "ct": "c"})
    worker.decide(TENANTS[0], ARTISTS[0], ForgetPerson(sub="user_ana", as_of=NOON))
    worker.decide(TENANTS[0], ARTISTS[0], RecordPerson(sub="user_ana", name=name, as_of=NOON + timedelta(days=1)))
    assert (known[person].name.sealed, known[person].email.sealed, known[person].forgotten) == (None, None, True)
    assert not worker.events[person]


@given(artist_batches)
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
