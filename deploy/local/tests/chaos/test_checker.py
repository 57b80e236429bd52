"""The checker on doctored histories: what is right passes, each kind of breach is found, named, and cut out small."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_stack.chaos.checker import CHECKS, Verdict, check
from local_stack.chaos.checks import calendar, commands, streams, trail, watchers
from local_stack.chaos.checks.finding import Breach
from local_stack.chaos.checks.streams import told
from local_stack.chaos.evidence import Command, DeadLetter, Event, Evidence, Head, Outcome, Published
from local_stack.chaos.history import Action, Call, Fault, Line, Settled, Told
from local_stack.clients.nights import night
from production_contracts import events as contract
from servicekit.audit import chain

ANYTHING = UUID(int=0)
TENANT, OTHER = str(uuid5(ANYTHING, "tenant")), str(uuid5(ANYTHING, "other"))
ARTIST = str(uuid5(ANYTHING, "artist"))
AT = "2027-01-01T00:00:00.000Z"


def named(what: object) -> str:
    return str(uuid5(ANYTHING, str(what)))


@dataclass
class World:
    """A small run that went well, to be doctored: its lines, and what is left of it."""

    lines: list[Line] = field(default_factory=list)
    events: dict[tuple[str, str], list[Event]] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    rows: dict[tuple[str, str], dict[str, dict[str, Any]]] = field(default_factory=dict)
    dead: list[DeadLetter] = field(default_factory=list)
    published: dict[tuple[str, str], list[Published]] = field(default_factory=dict)
    roster: dict[str, dict[str, tuple[str, str | None, int]]] = field(default_factory=dict)
    heads: dict[tuple[str, str], Head] = field(default_factory=dict)
    clock: float = 0.0
    doctor_trail: Callable[[dict[tuple[str, str], list[dict[str, Any]]]], object] = len

    def act(self, action: Action, path: str, asked: Mapping[str, Any], kind: str, data: dict[str, Any]) -> Call:
        """Let a client ask for something, once, and be told that it happened."""
        stream = "tenancy" if action == "create-artist" else "booking"
        key = f"key-{len(self.outcomes)}"
        event = self.happen(stream, TENANT, kind, data, command=named(key))
        self.commands.append(
            Command(
                stream=stream, tenant_id=TENANT, command_id=named(key), type=f"{action}.v1", sub="user_ana", key=key
            )
        )
        status = 201 if kind.endswith("Created") else 200
        self.outcomes.append(
            Outcome(
                stream=stream,
                tenant_id=TENANT,
                command_id=named(key),
                actor="user_ana",
                key=key,
                status=status,
                body=event.data,
                position=event.position,
            )
        )
        self.clock += 1
        call = Call(
            client="ana",
            tenant_id=TENANT,
            sub="user_ana",
            key=key,
            attempt=1,
            action=action,
            method="POST",
            path=path,
            asked=dict(asked),
            began=self.clock,
            ended=self.clock + 0.5,
            status=status,
            answered=event.data,
            position=event.position,
        )
        self.lines.append(call)
        return call

    def happen(self, stream: str, tenant: str, kind: str, data: dict[str, Any], *, command: str) -> Event:
        """Store an event, publish it and let the rows follow."""
        place = (stream, tenant)
        events = self.events.setdefault(place, [])
        position = len(events) + 1
        version = 1 + sum(event.aggregate_id == data["id"] for event in events)
        whole = {**data, "version": version, "position": position}
        event = Event(
            stream=stream,
            tenant_id=tenant,
            position=position,
            id=named(("event", place, position)),
            type=kind,
            aggregate_id=data["id"],
            version=version,
            occurred_at=AT,
            actor="user_ana",
            command_id=command,
            data=whole,
        )
        events.append(event)
        self.published.setdefault(place, []).append(
            Published(partition=1, offset=position, position=position, event=told(event))
        )
        self.rows.setdefault(place, {})[data["id"]] = whole
        self.heads[place] = Head(position=position, published=position)
        if "time_zone" in data:
            self.roster.setdefault(tenant, {})[data["id"]] = (data["status"], data["time_zone"], version)
        return event

    def hear(self, watcher: str, connection: int, kind: Any, **fields: Any) -> None:  # noqa: ANN401 - as Told takes them
        """Let a watcher be told something."""
        self.clock += 1
        self.lines.append(
            Told(
                watcher=watcher,
                tenant_id=TENANT,
                connection=connection,
                url="",
                at=self.clock,
                kind=kind,
                **fields,
            )
        )

    def hear_event(self, watcher: str, connection: int, event: Event) -> None:
        """Let a watcher be told of an event, as sockets are."""
        message = contract.socket_message(told(event))
        self.hear(
            watcher,
            connection,
            "event",
            stream=event.stream,
            position=event.position,
            event_id=event.id,
            name=contract.BY_NAME[event.type].socket,
            data=message["data"],
        )

    def trails(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        """Chain an entry for each outcome; ``doctor_trail`` changes them."""
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for outcome in self.outcomes:
            place = (outcome.stream, outcome.tenant_id)
            entries = found.setdefault(place, [])
            begin = chain.begin(outcome.stream, UUID(outcome.tenant_id), 0)
            link, _ = chain.examine(begin, entries)
            entry = {
                "sequence": len(entries) + 1,
                "command_id": outcome.command_id,
                "status": outcome.status,
                "position": outcome.position,
            }
            entries.append({**entry, "digest": chain.digest_of(link.digest, entry).hex()})
        self.doctor_trail(found)
        return found

    def verdict(self) -> Verdict:
        """Ask the checker."""
        evidence = Evidence(
            heads=self.heads,
            events=self.events,
            published=self.published,
            rows=self.rows,
            roster=self.roster,
            outcomes=self.outcomes,
            trails=self.trails(),
            commands=self.commands,
            dead_letters=self.dead,
        )
        return check(self.lines, evidence)


def booking(number: int, **other: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "id": named(("booking", number)),
        "artist_id": ARTIST,
        **night(number),
        "status": "pencil",
        "title": f"Night {number}",
        "venue": None,
        "notes": None,
        "contact": None,
        "fee": None,
        "created_by": "user_ana",
        "created_at": AT,
        "updated_at": AT,
        **other,
    }


def artist(**other: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    told_of_it = {"id": ARTIST, "name": "Rosa", "time_zone": None, "status": "active", "created_by": "user_ana"}
    return {**told_of_it, "created_at": AT, "updated_at": AT, **other}


def create(world: World, number: int) -> Call:
    one = booking(number)
    asked = {name: one[name] for name in ("artist_id", "start_time", "end_time", "title")}
    return world.act("create", "/v1/bookings", asked, "BookingCreated", one)


@pytest.fixture
def world() -> World:
    """An artist, three bookings of which one is confirmed, a watcher who came twice, a fault early and one late."""
    world = World()
    world.lines.append(Fault(number=1, kind="kill", target="booking-1", began=0, ended=2.2))
    world.hear("watcher", 1, "connected")
    world.hear("watcher", 1, "ready", heads={"tenant_id": TENANT, "epoch": "one", "booking": 0, "tenancy": 0})
    world.act("create-artist", "/v1/artists", {"name": "Rosa"}, "ArtistCreated", artist())
    for number in (1, 2, 3):
        create(world, number)
    path = f"/v1/bookings/{booking(1)['id']}/confirm"
    world.act("confirm", path, {}, "BookingConfirmed", booking(1, status="confirmed"))
    stored = world.events["booking", TENANT]
    world.hear_event("watcher", 1, world.events["tenancy", TENANT][0])
    world.hear_event("watcher", 1, stored[0])
    world.hear("watcher", 1, "closed")
    world.hear("watcher", 2, "connected", after={"booking": 1, "tenancy": 1})
    world.hear("watcher", 2, "ready", heads={"tenant_id": TENANT, "epoch": "one", "booking": 4, "tenancy": 1})
    for event in stored[1:]:
        world.hear_event("watcher", 2, event)
    world.lines.append(Fault(number=2, kind="flush", target="redis", began=900, ended=901))
    return world


def only(verdict: Verdict, *names: str) -> Breach:
    """Hold that exactly these checks found something, the first of them one thing, and give it."""
    assert verdict.broken == set(names), verdict.render()
    found = next(finding for finding in verdict.findings if finding.name == names[0])
    assert len(found.breaches) == 1, verdict.render()
    return found.breaches[0]


def test_a_run_that_went_well_passes(world: World) -> None:
    verdict = world.verdict()
    assert not verdict.breaches, verdict.render()
    assert all(finding.count for finding in verdict.findings)


def test_a_check_that_looked_at_nothing_says_so() -> None:
    assert World().verdict().broken == set(CHECKS)


def test_an_overlap_in_the_rows_is_found_with_the_history_of_both_bookings_alone(world: World) -> None:
    of = world.rows["booking", TENANT]
    moved = named(("booking", 2))
    of[moved] = {**of[moved], **night(3)}
    breach = only(world.verdict(), calendar.NO_OVERLAP, commands.ANSWERED_STANDS, streams.REPLAY)
    assert "in the rows" in breach.what
    assert {event.aggregate_id for event in breach.events} == {moved, named(("booking", 3))}
    assert {line.key for line in breach.told if isinstance(line, Call)} == {"key-2", "key-3"}


def test_an_overlap_that_was_mended_later_is_found_in_the_events(world: World) -> None:
    one = world.happen("booking", TENANT, "BookingCreated", booking(9, **night(3)), command=named("key-3"))
    world.happen("booking", TENANT, "BookingCancelled", booking(9, status="cancelled"), command=named("key-2"))
    assert "in the events" in only_of(world.verdict(), calendar.NO_OVERLAP).what
    assert one.aggregate_id in only_of(world.verdict(), calendar.NO_OVERLAP).render()


def only_of(verdict: Verdict, name: str) -> Breach:
    """Give the one thing that a check found, whatever others did."""
    (breach,) = next(finding for finding in verdict.findings if finding.name == name).breaches
    return breach


def test_touching_bookings_do_not_overlap(world: World) -> None:
    end, until = night(3)["end_time"], night(4)["start_time"]
    event = world.happen(
        "booking", TENANT, "BookingCreated", booking(4, start_time=end, end_time=until), command=named("key-9")
    )
    world.outcomes.append(replace(world.outcomes[-1], command_id=named("key-9"), key=None, status=201))
    world.hear_event("watcher", 2, event)
    assert not world.verdict().breaches, world.verdict().render()


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6)), max_size=12))
def test_overlaps_in_the_rows_are_found_where_any_two_overlap(ranges: list[tuple[int, int]]) -> None:
    rows = {
        str(number): booking(number, id=str(number), start_time=f"{begin:03}", end_time=f"{begin + length:03}")
        for number, (begin, length) in enumerate(ranges)
    }
    overlap = any(
        one < other + length and other < one + its
        for index, (one, its) in enumerate(ranges)
        for other, length in ranges[:index]
    )
    evidence = World(rows={("booking", TENANT): rows})
    found = next(one for one in evidence.verdict().findings if one.name == calendar.NO_OVERLAP)
    assert any("overlap" in breach.what for breach in found.breaches) == overlap


def test_another_outcome_than_the_one_that_was_told_is_found(world: World) -> None:
    world.outcomes[1] = replace(world.outcomes[1], status=409, body={"type": "/problems/booking-conflict"})
    breach = only(world.verdict(), commands.ONE_OUTCOME, commands.APPLIED_ONCE)
    assert "was told 201" in breach.what
    assert [line.key for line in breach.told if isinstance(line, Call)] == ["key-1"]


def test_two_tries_that_were_told_different_things_are_found(world: World) -> None:
    first = next(line for line in world.lines if isinstance(line, Call) and line.key == "key-1")
    problem = {"type": "/problems/booking-conflict", "status": 409}
    world.lines.append(replace(first, attempt=2, status=409, answered=problem, began=50, ended=51))
    assert len(only(world.verdict(), commands.ONE_OUTCOME).told) == 2


@pytest.mark.parametrize("slug", ["unavailable", "forbidden"])
def test_a_refusal_that_is_not_remembered_may_be_followed_by_another_outcome(world: World, slug: str) -> None:
    first = next(line for line in world.lines if isinstance(line, Call) and line.key == "key-1")
    world.lines.append(replace(first, attempt=2, status=503, answered={"type": f"/problems/{slug}"}))
    assert not world.verdict().breaches


def test_what_the_gateway_itself_refuses_is_no_outcome(world: World) -> None:
    first = next(line for line in world.lines if isinstance(line, Call) and line.key == "key-1")
    problem = {"type": "/problems/rate-limited"}
    world.lines.append(replace(first, attempt=2, status=429, answered=problem, position=None))
    assert not world.verdict().breaches


def acknowledged(world: World, command: UUID) -> None:
    text = f"booking-{base64.urlsafe_b64encode(command.bytes + bytes(14)).decode()}"
    first = next(line for line in world.lines if isinstance(line, Call) and line.key == "key-1")
    unknown = {"key": "key-async", "position": None, "answered": None, "began": 60.0, "ended": 61.0}
    world.lines.append(replace(first, status=202, command_id=text, **unknown))  # type: ignore[arg-type]
    world.lines.append(
        Settled(
            tenant_id=TENANT,
            sub="user_ana",
            key="key-async",
            command_id=text,
            at=90,
            state="pending",
            status=None,
        )
    )


def test_an_acknowledged_command_without_an_outcome_is_found(world: World) -> None:
    acknowledged(world, UUID(int=7))
    breach = only(world.verdict(), commands.ONE_OUTCOME, commands.NOTHING_DROPPED)
    assert "has no outcome" in breach.what
    assert "pending" in only_of(world.verdict(), commands.NOTHING_DROPPED).what


def test_a_command_on_its_topic_that_was_never_decided_is_found_once(world: World) -> None:
    acknowledged(world, UUID(int=7))
    command = world.commands[0]
    world.commands.append(replace(command, stream="booking", command_id=str(UUID(int=7)), key="key-async"))
    assert "never decided" in only_of(world.verdict(), commands.NOTHING_DROPPED).what


def test_a_dead_letter_is_found_with_the_intent_it_belongs_to(world: World) -> None:
    world.dead.append(DeadLetter(topic="a.dlq", tenant_id=TENANT, reason="it broke", command_id=named("key-2")))
    breach = only(world.verdict(), commands.NOTHING_DROPPED)
    assert [line.key for line in breach.told if isinstance(line, Call)] == ["key-2"]


def lose_event(world: World) -> None:
    world.events["booking", TENANT].pop()


def change_event(world: World) -> None:
    event = world.events["booking", TENANT][-1]
    world.events["booking", TENANT][-1] = replace(event, data={**event.data, "title": "Another"})


def lose_row(world: World) -> None:
    del world.rows["booking", TENANT][booking(1)["id"]]


def forget_change(world: World) -> None:
    world.rows["booking", TENANT][booking(1)["id"]] = world.events["booking", TENANT][0].data


def ask_otherwise(world: World) -> None:
    place = next(at for at, line in enumerate(world.lines) if isinstance(line, Call) and line.key == "key-1")
    call = world.lines[place]
    assert isinstance(call, Call)
    world.lines[place] = replace(call, asked={**call.asked, **night(30)})


def ask_for_more(world: World, **asked: Any) -> None:  # noqa: ANN401 - JSON
    """Let the first booking have been asked for with something that its answer does not say."""
    place = next(at for at, line in enumerate(world.lines) if isinstance(line, Call) and line.key == "key-1")
    call = world.lines[place]
    assert isinstance(call, Call)
    world.lines[place] = replace(call, asked={**call.asked, **asked})


def ask_for_notes(world: World) -> None:
    ask_for_more(world, notes="Gate 7")


def ask_for_a_contact(world: World) -> None:
    ask_for_more(world, contact={"phone": "110"})


def ask_for_a_fee(world: World) -> None:
    ask_for_more(world, fee={"amount": 1, "currency": "EUR"})


SAID = [
    lose_event,
    change_event,
    lose_row,
    forget_change,
    ask_otherwise,
    ask_for_notes,
    ask_for_a_contact,
    ask_for_a_fee,
]


@pytest.mark.parametrize("doctor", SAID)
def test_what_was_answered_and_does_not_stand_is_found(world: World, doctor: Callable[[World], None]) -> None:
    doctor(world)
    breach = only_of(world.verdict(), commands.ANSWERED_STANDS)
    assert booking(1)["id"] in breach.what
    assert {event.aggregate_id for event in breach.events} == {booking(1)["id"]}


def test_what_is_sealed_behind_the_gateway_and_open_before_it_is_no_breach(world: World) -> None:
    place = next(at for at, line in enumerate(world.lines) if isinstance(line, Call) and line.key == "key-1")
    call = world.lines[place]
    assert isinstance(call, Call)
    contact = {"name": "Ana", "email": None, "phone": "110"}
    asked = {**call.asked, "contact": {"phone": "110", "email": None}}
    world.lines[place] = replace(call, asked=asked, answered={**call.answered, "contact": contact})
    assert world.verdict().breaches == ()


def test_an_event_of_a_rejected_command_is_found(world: World) -> None:
    world.outcomes[1] = replace(world.outcomes[1], status=409, body={})
    assert "was rejected" in only_of(world.verdict(), commands.APPLIED_ONCE).what


def test_an_event_of_no_command_is_found(world: World) -> None:
    world.happen("booking", TENANT, "BookingCreated", booking(9), command=named("nobody's"))
    assert "has no outcome" in only_of(world.verdict(), commands.APPLIED_ONCE).what


def test_a_command_that_was_applied_twice_is_found(world: World) -> None:
    world.happen("booking", TENANT, "BookingCreated", booking(9), command=named("key-1"))
    assert "applied 2 times" in only_of(world.verdict(), commands.APPLIED_ONCE).what


def test_an_intent_that_two_commands_carried_out_is_found(world: World) -> None:
    world.happen("booking", TENANT, "BookingCreated", booking(9), command=named("again"))
    again = replace(world.commands[1], command_id=named("again"))
    world.commands.append(again)
    world.outcomes.append(replace(world.outcomes[1], command_id=again.command_id, key=None))
    assert "by 2 commands" in only_of(world.verdict(), commands.APPLIED_ONCE).what


def test_a_gap_is_found_between_its_two_neighbours(world: World) -> None:
    del world.events["booking", TENANT][1]
    breach = only_of(world.verdict(), streams.GAP_FREE)
    assert [event.position for event in breach.events] == [1, 3]


def test_a_head_beyond_the_events_is_found(world: World) -> None:
    world.heads["tenancy", TENANT] = Head(position=2, published=2)
    assert "end at 1, its head is 2" in only_of(world.verdict(), streams.GAP_FREE).what


def republish(world: World, order: Sequence[int]) -> None:
    records = world.published["booking", TENANT]
    world.published["booking", TENANT] = [records[position - 1] for position in order]


@pytest.mark.parametrize("order", [[1, 2, 3, 1, 2, 3, 4], [1, 1, 2, 3, 4, 4], [1, 2, 1, 2, 3, 2, 4]])
def test_repeats_on_the_topic_are_no_breach(world: World, order: list[int]) -> None:
    republish(world, order)
    assert not world.verdict().breaches


@pytest.mark.parametrize("order", [[1, 3, 2, 4], [1, 2, 4], [2, 3, 4], [1, 2, 3]])
def test_events_out_of_order_or_missing_on_the_topic_are_found(world: World, order: list[int]) -> None:
    republish(world, order)
    assert world.verdict().broken == {streams.TOPIC_IS_STORE}


@given(st.permutations([1, 2, 3, 4]), st.lists(st.integers(1, 4), max_size=4))
def test_the_topic_is_the_store_where_a_consumer_that_drops_repeats_reads_the_store(
    first: list[int], more: list[int]
) -> None:
    world = World()
    for number in (1, 2, 3, 4):
        create(world, number)
    order = [*first, *more]
    republish(world, order)
    read: list[int] = []
    for position in order:
        if not read or position > read[-1]:
            read.append(position)
    assert (streams.TOPIC_IS_STORE in world.verdict().broken) == (read != [1, 2, 3, 4])


def test_another_content_on_the_topic_is_found_also_in_a_repeat(world: World) -> None:
    records = world.published["booking", TENANT]
    records.append(replace(records[0], offset=99, event={**records[0].event, "actor": "somebody else"}))
    assert "not what the store has" in only(world.verdict(), streams.TOPIC_IS_STORE).what


def test_an_event_that_is_marked_published_too_late_is_found(world: World) -> None:
    world.heads["booking", TENANT] = Head(position=4, published=3)
    assert "published to 3 only" in only(world.verdict(), streams.TOPIC_IS_STORE).what


def test_a_row_that_its_events_do_not_tell_is_found_with_its_events_alone(world: World) -> None:
    row = world.rows["booking", TENANT][booking(2)["id"]]
    world.rows["booking", TENANT][booking(2)["id"]] = {**row, "created_by": "nobody"}
    breach = only_of(world.verdict(), streams.REPLAY)
    assert {event.aggregate_id for event in breach.events} == {booking(2)["id"]}


def test_a_row_of_no_event_is_found(world: World) -> None:
    world.rows["booking", TENANT][named("stray")] = booking(20, id=named("stray"))
    assert named("stray") in only(world.verdict(), streams.REPLAY).what


@pytest.mark.parametrize("known", [{}, {ARTIST: ("archived", None, 1)}, {ARTIST: ("active", None, 2)}])
def test_a_roster_that_differs_is_found(world: World, known: dict[str, tuple[str, str | None, int]]) -> None:
    world.roster[TENANT] = known
    assert ARTIST in only(world.verdict(), streams.ROSTER).what


def heard(world: World) -> list[int]:
    return [
        place
        for place, line in enumerate(world.lines)
        if isinstance(line, Told) and line.kind == "event" and line.stream == "booking"
    ]


def test_a_watcher_that_missed_an_event_is_found_with_the_event(world: World) -> None:
    del world.lines[heard(world)[2]]
    breach = only(world.verdict(), watchers.WATCHERS)
    assert "booking 4 where 3 should be" in breach.what
    assert [event.position for event in breach.events] == [3]


def test_a_watcher_that_missed_the_last_event_is_found(world: World) -> None:
    del world.lines[heard(world)[-1]]
    assert "came to booking 3, the head is 4" in only(world.verdict(), watchers.WATCHERS).what


def test_a_watcher_that_heard_an_event_twice_is_found(world: World) -> None:
    place = heard(world)[2]
    world.lines.insert(place + 1, world.lines[place])
    assert "again" in only(world.verdict(), watchers.WATCHERS).what


def test_a_watcher_that_heard_events_out_of_order_is_found(world: World) -> None:
    first, second = heard(world)[1:3]
    world.lines[first], world.lines[second] = world.lines[second], world.lines[first]
    assert world.verdict().broken == {watchers.WATCHERS}


def test_a_watcher_that_heard_of_another_tenant_is_found(world: World) -> None:
    event = world.happen("tenancy", OTHER, "ArtistCreated", artist(id=named("theirs")), command=named("their key"))
    world.outcomes.append(
        replace(world.outcomes[0], tenant_id=OTHER, command_id=named("their key"), key=None, actor="user_zoe")
    )
    world.hear_event("watcher", 2, event)
    assert f"of tenant {OTHER}" in only(world.verdict(), watchers.WATCHERS).what


def test_a_watcher_that_was_told_otherwise_than_it_is_is_found(world: World) -> None:
    place = heard(world)[0]
    line = world.lines[place]
    assert isinstance(line, Told)
    world.lines[place] = replace(line, data={**line.data, "title": "Another"})
    assert "otherwise" in only(world.verdict(), watchers.WATCHERS).what


def test_a_resync_without_a_need_is_found_and_one_with_a_need_is_not(world: World) -> None:
    ready = next(
        place
        for place, one in enumerate(world.lines)
        if isinstance(one, Told) and (one.kind, one.connection) == ("ready", 2)
    )
    line = world.lines[ready]
    assert isinstance(line, Told)
    events = heard(world)[1:]
    resync = replace(line, kind="resync", stream="booking", position=4)
    world.lines = [one for place, one in enumerate(world.lines) if place not in events]
    world.lines.insert(ready + 1, resync)
    assert "start over" in only(world.verdict(), watchers.WATCHERS).what
    world.lines[ready] = replace(line, heads={**(line.heads or {}), "epoch": "another"})
    assert not world.verdict().breaches, world.verdict().render()


def unknown_artist(world: World, began: float) -> None:
    first = next(line for line in world.lines if isinstance(line, Call) and line.key == "key-1")
    problem = {"type": "/problems/not-found"}
    refused = replace(first, key="key-late", status=404, answered=problem, position=None, began=began, ended=99)
    world.lines.append(refused)


def test_an_artist_that_was_refused_as_unknown_after_it_was_answered_is_found(world: World) -> None:
    unknown_artist(world, began=50)
    breach = only(world.verdict(), commands.CAUSE_BEFORE_EFFECT)
    assert [line.key for line in breach.told if isinstance(line, Call)] == ["key-0", "key-late"]


def test_an_artist_that_was_refused_as_unknown_while_it_was_being_made_is_no_breach(world: World) -> None:
    unknown_artist(world, began=3.2)
    assert not world.verdict().breaches


def test_an_entry_that_was_changed_is_found(world: World) -> None:
    world.doctor_trail = lambda trails: trails["booking", TENANT][1].update(actor="user_eve")
    assert "entry 2 of the trail of booking: it is not what was chained" in only(world.verdict(), trail.TRAIL).what


def test_an_outcome_without_an_entry_is_found_with_what_its_client_was_told(world: World) -> None:
    world.doctor_trail = lambda trails: trails["booking", TENANT].pop()
    breach = only(world.verdict(), trail.TRAIL)
    assert "has 0 entries in the trail of booking" in breach.what
    assert [line.action for line in breach.told if isinstance(line, Call)] == ["confirm"]


def test_an_entry_of_a_command_that_has_no_such_outcome_is_found(world: World) -> None:
    def doctor(trails: dict[tuple[str, str], list[dict[str, Any]]]) -> None:
        last = trails["booking", TENANT][-1]
        entry = {"sequence": 5, "command_id": named("never asked"), "status": 200, "position": 4}
        digest = chain.digest_of(bytes.fromhex(last["digest"]), entry).hex()
        trails["booking", TENANT].append({**entry, "digest": digest})

    world.doctor_trail = doctor
    assert "tells what the command log does not" in only(world.verdict(), trail.TRAIL).what


def test_a_printed_breach_tells_calls_faults_that_overlapped_events_and_outcomes_and_nothing_else(world: World) -> None:
    world.lines.append(Fault(number=3, kind="pause", target="kafka", began=4.2, ended=4.4))
    world.outcomes[1] = replace(world.outcomes[1], status=409, body={"type": "/problems/booking-conflict"})
    text = only_of(world.verdict(), commands.APPLIED_ONCE).render()
    assert "FAULT 3 pause at kafka" in text
    assert "FAULT 1" not in text
    assert "FAULT 2" not in text
    assert "try 1 of key-1" in text
    assert "booking 1: BookingCreated" in text
    assert "logged: command" in text
    assert "key-2" not in text
