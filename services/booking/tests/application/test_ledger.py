"""A batch of commands decided in memory."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from services.booking.tests.bench import ask, move, night

from booking.application.ledger import BookingLedger
from booking.domain.booking import Status
from booking.domain.calendar import Calendar
from production_contracts import commands
from production_contracts.bookings import SealedContact, SealedFee
from production_contracts.commands import Command
from production_contracts.sealed import Sealed
from servicekit.deciding import Decision

TENANT = UUID(int=1)
ARTIST = UUID(int=2)
ARCHIVED = UUID(int=3)
NOW = datetime(2027, 1, 1, tzinfo=UTC)
CONTACT = SealedContact(email=Sealed(kid="k", ct="m"))
FEE = SealedFee(amount=Sealed(kid="k", ct="a"), currency=Sealed(kid="k", ct="e"))


class Decisions:
    """Decides command after command, as the worker would in one batch."""

    def __init__(self, doubtful: frozenset[tuple[UUID, UUID]] = frozenset()) -> None:
        self.ledger = BookingLedger(doubtful)
        self.ledger._artists = {(TENANT, ARTIST): "active", (TENANT, ARCHIVED): "archived"}
        self.position = 0

    def __call__(self, command: Command) -> Decision:
        decision = self.ledger.decide(command, position=self.position + 1, now=NOW)
        self.position += len(decision.events)
        return decision


@pytest.fixture
def decide() -> Decisions:
    return Decisions()


def slug(decision: Decision) -> str:
    assert not decision.accepted
    assert decision.events == ()
    assert decision.body["status"] == decision.status
    return str(decision.body["type"]).removeprefix("/problems/")


def created(decide: Decisions, day: int = 0, status: str = "pencil", **changes: Any) -> UUID:  # noqa: ANN401
    command = ask(TENANT, night(ARTIST, day, status, **changes))
    assert decide(command).status == 201
    return command.aggregate_id


def test_a_new_booking_is_version_1_at_the_next_position(decide: Decisions) -> None:
    created(decide)
    said: dict[str, Any] = {"venue": "The hall", "notes": Sealed(kid="k", ct="c"), "contact": CONTACT, "fee": FEE}
    command = ask(TENANT, night(ARTIST, 1, "confirmed", **said))
    decision = decide(command)
    assert decision.body == {
        "id": str(command.aggregate_id),
        "artist_id": str(ARTIST),
        "start_time": "2027-05-09T20:00:00.000Z",
        "end_time": "2027-05-09T23:30:00.000Z",
        "status": "confirmed",
        "title": "A night",
        "venue": "The hall",
        "notes": {"kid": "k", "ct": "c"},
        "contact": {"name": None, "email": {"kid": "k", "ct": "m"}, "phone": None},
        "fee": {"amount": {"kid": "k", "ct": "a"}, "currency": {"kid": "k", "ct": "e"}},
        "version": 1,
        "position": 2,
        "created_by": "user_ana",
        "created_at": "2027-01-01T00:00:00.000Z",
        "updated_at": "2027-01-01T00:00:00.000Z",
    }
    (event,) = decision.events
    assert (event.type, event.aggregate_id, event.version) == ("BookingCreated", command.aggregate_id, 1)
    assert event.data == decision.body


def test_each_change_is_one_event_with_the_whole_booking_after_it(decide: Decisions) -> None:
    booking = created(decide)
    asked: list[tuple[Any, str, dict[str, Any]]] = [
        (commands.ConfirmBooking(), "BookingConfirmed", {}),
        (commands.AmendBooking(title="Another"), "BookingAmended", {}),
        (
            move(1),
            "BookingRescheduled",
            {"previous": {"start_time": "2027-05-08T20:00:00.000Z", "end_time": "2027-05-08T23:30:00.000Z"}},
        ),
        (commands.CancelBooking(reason="rain"), "BookingCancelled", {"reason": "rain"}),
    ]
    for version, (data, name, beside) in enumerate(asked, start=2):
        decision = decide(ask(TENANT, data, booking))
        assert decision.status == 200
        assert (decision.body["version"], decision.body["position"]) == (version, version)
        (event,) = decision.events
        assert (event.type, event.version, event.data) == (name, version, decision.body | beside)
    last = decide(ask(TENANT, commands.CancelBooking(), booking))
    assert (last.body["status"], last.body["title"]) == ("cancelled", "Another")


@pytest.mark.parametrize(
    ("status", "data"),
    [
        ("confirmed", commands.ConfirmBooking()),
        ("pencil", commands.AmendBooking(title="A night", venue=None)),
        ("pencil", commands.AmendBooking()),
        ("pencil", commands.AmendBooking(contact=None, fee=None)),
        ("pencil", commands.AmendBooking(contact=SealedContact())),
        ("pencil", commands.AmendBooking(contact=SealedContact(name=None))),
        ("pencil", move(0)),
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_is_so_already_is_accepted_without_an_event(decide: Decisions, status: str, data: Any) -> None:  # noqa: ANN401
    decision = decide(ask(TENANT, data, created(decide, status=status)))
    assert (decision.status, decision.events, decision.body["version"]) == (200, (), 1)


def test_a_booking_cancelled_twice_is_cancelled_once(decide: Decisions) -> None:
    booking = created(decide)
    assert len(decide(ask(TENANT, commands.CancelBooking(), booking)).events) == 1
    again = decide(ask(TENANT, commands.CancelBooking(reason="anew"), booking))
    assert (again.status, again.events) == (200, ())


def test_a_cancelled_booking_is_beyond_change(decide: Decisions) -> None:
    booking = created(decide)
    decide(ask(TENANT, commands.CancelBooking(), booking))
    for data in (commands.ConfirmBooking(), commands.AmendBooking(title="x"), move(4)):
        assert slug(decide(ask(TENANT, data, booking))) == "invalid-transition"


def test_an_amendment_clears_what_is_null_and_leaves_what_was_not_named(decide: Decisions) -> None:
    booking = created(decide, venue="The hall", notes=Sealed(kid="k", ct="c"))
    decision = decide(ask(TENANT, commands.AmendBooking(venue=None), booking))
    assert decision.body["venue"] is None
    assert decision.body["notes"] == {"kid": "k", "ct": "c"}
    assert decision.body["title"] == "A night"


def test_an_amendment_merges_into_the_contact_what_it_names_and_leaves_the_rest(decide: Decisions) -> None:
    booking = created(decide, contact=CONTACT, fee=FEE)
    name = Sealed(kid="k", ct="n")
    decision = decide(ask(TENANT, commands.AmendBooking(contact=SealedContact(name=name)), booking))
    assert decision.body["contact"] == {"name": name.model_dump(), "email": {"kid": "k", "ct": "m"}, "phone": None}
    decision = decide(ask(TENANT, commands.AmendBooking(contact=SealedContact(name=None, email=None)), booking))
    assert decision.body["contact"] is None, "nothing is left of it"
    assert decision.body["fee"] == FEE.model_dump()


def test_the_same_contact_and_fee_again_are_no_event(decide: Decisions) -> None:
    booking = created(decide, contact=CONTACT, fee=FEE)
    decision = decide(ask(TENANT, commands.AmendBooking(contact=CONTACT, fee=FEE), booking))
    assert (decision.status, decision.events, decision.body["version"]) == (200, (), 1)
    other = FEE.model_copy(update={"amount": Sealed(kid="k", ct="more")})
    decision = decide(ask(TENANT, commands.AmendBooking(fee=other), booking))
    assert (len(decision.events), decision.body["fee"]) == (1, other.model_dump())


def test_a_contact_without_members_is_none_from_the_first(decide: Decisions) -> None:
    command = ask(TENANT, night(ARTIST, 1, contact=SealedContact(name=None)))
    assert decide(command).body["contact"] is None


def test_a_taken_artist_is_refused_with_what_is_in_the_way(decide: Decisions) -> None:
    first, second = created(decide, 0), created(decide, 1, "confirmed")
    long = night(ARTIST).model_copy(update={"end_time": night(ARTIST, 2).end_time})
    decision = decide(ask(TENANT, long))
    assert slug(decision) == "booking-conflict"
    told = [(one["booking_id"], one["status"]) for one in decision.body["conflicts"]]
    assert told == [(str(first), "pencil"), (str(second), "confirmed")]


def test_a_booking_may_begin_when_the_one_before_ends(decide: Decisions) -> None:
    created(decide)
    right_after = night(ARTIST).model_copy(
        update={"start_time": night(ARTIST).end_time, "end_time": night(ARTIST, 1).start_time}
    )
    assert decide(ask(TENANT, right_after)).status == 201
    created(decide, 1)


def test_a_slot_left_in_this_batch_is_free_for_the_next_command(decide: Decisions) -> None:
    booking = created(decide)
    decide(ask(TENANT, commands.CancelBooking(), booking))
    booking = created(decide)
    decide(ask(TENANT, move(1), booking))
    created(decide)
    assert slug(decide(ask(TENANT, move(1), created(decide, 2)))) == "booking-conflict"


def test_a_move_over_its_own_slot_is_not_in_its_own_way(decide: Decisions) -> None:
    booking = created(decide)
    assert decide(ask(TENANT, move(0, hours=1), booking)).status == 200


def test_who_saw_another_version_is_told_so_before_anything_else(decide: Decisions) -> None:
    booking = created(decide)
    decide(ask(TENANT, commands.CancelBooking(), booking))
    assert slug(decide(ask(TENANT, commands.ConfirmBooking(), booking, versions=[1]))) == "version-mismatch"
    assert slug(decide(ask(TENANT, commands.ConfirmBooking(), booking, versions=[1, 2]))) == "invalid-transition"


def test_there_is_no_booking_where_none_was_created(decide: Decisions) -> None:
    for data in (commands.ConfirmBooking(), commands.CancelBooking(), commands.AmendBooking(title="x"), move(0)):
        assert slug(decide(ask(TENANT, data))) == "not-found"


def test_another_tenants_booking_and_artist_are_not_there(decide: Decisions) -> None:
    booking, other = created(decide), uuid4()
    mine, theirs = decide(ask(TENANT, commands.ConfirmBooking(), uuid4())), None
    theirs = decide(ask(other, commands.ConfirmBooking(), booking))
    assert theirs.body == mine.body
    assert decide(ask(other, night(ARTIST))).body == decide(ask(other, night(uuid4()))).body


def test_an_archived_artist_takes_no_new_bookings(decide: Decisions) -> None:
    assert slug(decide(ask(TENANT, night(ARCHIVED)))) == "artist-archived"


def test_an_unknown_artist_is_not_there_and_a_doubtful_one_may_be_soon(decide: Decisions) -> None:
    unknown = uuid4()
    assert slug(decide(ask(TENANT, night(unknown)))) == "not-found"
    doubt = Decisions(frozenset({(TENANT, unknown)}))(ask(TENANT, night(unknown)))
    assert slug(doubt) == "unavailable"
    assert not doubt.remember


def test_a_booking_is_not_created_twice(decide: Decisions) -> None:
    booking = created(decide)
    assert slug(decide(ask(TENANT, night(ARTIST, 1), booking))) == "invalid-transition"


def test_what_is_stored_does_not_overrule_what_this_batch_has_decided(decide: Decisions) -> None:
    booking = created(decide)
    stored = decide.ledger._current[TENANT, booking]
    decide(ask(TENANT, commands.CancelBooking(), booking))
    assert decide.ledger._current[TENANT, booking].status is Status.CANCELLED
    assert stored.status is Status.PENCIL
    assert decide.ledger._calendars[TENANT, ARTIST].in_the_way(stored.slot) == []
    assert isinstance(decide.ledger._calendars[TENANT, ARTIST], Calendar)
