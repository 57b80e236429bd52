"""Names, numbers and rights that outside code relies on: a change here breaks somebody."""

from copy import deepcopy
from uuid import UUID

import pytest

from production_contracts import commands, events, members, problems, topics
from production_contracts.bookings import Booking
from production_contracts.events import socket_message
from production_contracts.members import Member
from production_contracts.outcomes import is_accepted
from production_contracts.roles import Permission, Role, may
from production_contracts.sealed import sensitive_fields, withheld


@pytest.mark.parametrize(
    ("store", "kafka", "socket", "stream"),
    [
        ("BookingCreated", "production.booking.created.v1", "booking:created", "booking"),
        ("BookingConfirmed", "production.booking.confirmed.v1", "booking:confirmed", "booking"),
        ("BookingCancelled", "production.booking.cancelled.v1", "booking:cancelled", "booking"),
        ("BookingRescheduled", "production.booking.rescheduled.v1", "booking:rescheduled", "booking"),
        ("BookingAmended", "production.booking.amended.v1", "booking:amended", "booking"),
        ("ArtistCreated", "production.artist.created.v1", "artist:created", "tenancy"),
        ("ArtistAmended", "production.artist.amended.v1", "artist:amended", "tenancy"),
        ("ArtistArchived", "production.artist.archived.v1", "artist:archived", "tenancy"),
        ("TenantAmended", "production.tenant.amended.v1", "tenant:amended", "tenancy"),
        ("TenantDeleted", "production.tenant.deleted.v1", "tenant:deleted", "tenancy"),
        ("MemberAdded", "production.member.added.v1", "member:added", "tenancy"),
        ("MemberChanged", "production.member.changed.v1", "member:changed", "tenancy"),
        ("MemberRemoved", "production.member.removed.v1", "member:removed", "tenancy"),
        ("InvitationSent", "production.invitation.sent.v1", "invitation:sent", "tenancy"),
        ("InvitationAccepted", "production.invitation.accepted.v1", "invitation:accepted", "tenancy"),
        ("InvitationRevoked", "production.invitation.revoked.v1", "invitation:revoked", "tenancy"),
    ],
)
def test_an_event_has_three_names(store: str, kafka: str, socket: str, stream: str) -> None:
    kind = events.BY_NAME[store]
    assert (kind.kafka, kind.socket, kind.stream) == (kafka, socket, stream)
    assert events.BY_KAFKA[kafka] is kind


def test_no_two_events_share_a_name() -> None:
    for name in ("name", "kafka", "socket"):
        assert len({getattr(kind, name) for kind in events.EVENT_TYPES}) == len(events.EVENT_TYPES)


def test_no_two_commands_share_a_name_or_data_and_none_is_named_like_an_event() -> None:
    assert len(commands.BY_NAME) == len(commands.BY_DATA) == len(commands.COMMAND_TYPES)
    assert not commands.BY_NAME.keys() & events.BY_KAFKA.keys()


def test_topics_are_those_of_the_design_and_each_has_its_dead_letters() -> None:
    assert [topic.name for topic in topics.TOPICS] == [
        "booking.commands.v1",
        "booking.events.v1",
        "tenancy.commands.v1",
        "tenancy.events.v1",
        "gateway.replies.v1",
    ]
    assert {topic.name for topic in topics.DEAD_LETTER_TOPICS} == {f"{topic.name}.dlq" for topic in topics.TOPICS}
    assert topics.DEAD_LETTER_AUDIT.name == "deadletters.audit.v1"
    assert topics.DEAD_LETTER_AUDIT.retention_ms == -1
    assert topics.BOOKING_EVENTS.retention_ms == topics.TENANCY_EVENTS.retention_ms == -1
    assert topics.BOOKING_COMMANDS.retention_ms == 7 * 24 * 60 * 60 * 1000
    assert topics.GATEWAY_REPLIES.retention_ms == 60 * 60 * 1000
    for stream in events.STREAMS:
        assert topics.COMMANDS_OF[stream].name == f"{stream}.commands.v1"
        assert topics.EVENTS_OF[stream].name == f"{stream}.events.v1"


@pytest.mark.parametrize(
    ("slug", "status"),
    [
        ("unauthenticated", 401),
        ("forbidden", 403),
        ("not-found", 404),
        ("method-not-allowed", 405),
        ("not-acceptable", 406),
        ("booking-conflict", 409),
        ("invalid-transition", 409),
        ("artist-archived", 409),
        ("version-mismatch", 412),
        ("payload-too-large", 413),
        ("unsupported-media-type", 415),
        ("invalid-request", 422),
        ("idempotency-key-reused", 422),
        ("rate-limited", 429),
        ("headers-too-large", 431),
        ("unavailable", 503),
        ("expired", 504),
    ],
)
def test_a_problem_has_its_slug_and_status(slug: str, status: int) -> None:
    body = problems.problem_body(problems.PROBLEM_TYPES[slug], "why", command_id="c")
    assert body == {
        "type": f"/problems/{slug}",
        "title": problems.PROBLEM_TYPES[slug].title,
        "status": status,
        "detail": "why",
        "command_id": "c",
    }
    assert problems.Problem.model_validate(body).model_dump(exclude_none=True) == body
    assert not is_accepted(status)


def test_only_a_success_is_accepted() -> None:
    assert [status for status in (200, 201, 202, 399, 400, 409, 504) if is_accepted(status)] == [200, 201, 202, 399]


def test_an_admin_may_everything_a_member_book_and_a_viewer_look() -> None:
    read = {Permission.BOOKINGS_READ, Permission.ROSTER_READ, Permission.MEMBERS_READ}
    granted = {role: {permission for permission in Permission if may(role, permission)} for role in Role}
    assert granted == {
        Role.ADMIN: set(Permission),
        Role.MEMBER: read | {Permission.BOOKINGS_WRITE},
        Role.VIEWER: read,
    }


def test_commands_on_bookings_need_to_write_bookings_those_on_artists_the_roster_and_all_others_the_tenant() -> None:
    needed = {"booking": Permission.BOOKINGS_WRITE, "artist": Permission.ROSTER_WRITE}
    for kind in commands.COMMAND_TYPES:
        if not kind.is_refusal and kind.data is not commands.CloseTenant:
            assert kind.permission is needed.get(kind.name.split(".")[1], Permission.TENANT_WRITE)


def test_the_order_to_delete_a_tenant_needs_a_permission_of_its_own_which_admins_alone_hold() -> None:
    assert [k.data for k in commands.COMMAND_TYPES if k.permission is Permission.TENANT_DELETE] == [
        commands.CloseTenant
    ]
    assert [role for role in Role if may(role, Permission.TENANT_DELETE)] == [Role.ADMIN]


def test_a_refused_call_is_named_for_the_service_that_it_was_for() -> None:
    refused = {kind.service: kind.name for kind in commands.COMMAND_TYPES if kind.is_refusal}
    assert refused == {"booking": "production.booking.refuse.v1", "tenancy": "production.tenancy.refuse.v1"}


def test_no_event_of_a_person_has_a_place_for_a_name_or_an_address() -> None:
    private = sensitive_fields(Member).keys()
    assert private == {"name", "email"}
    for kind in (events.MEMBER_ADDED, events.MEMBER_CHANGED, events.MEMBER_REMOVED, events.INVITATION_SENT):
        assert not private & kind.data.model_fields.keys()


def test_ids_of_tenants_people_and_memberships_never_meet() -> None:
    namespace = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
    tenant = members.tenant_id(namespace, "x")
    assert len({tenant, members.person_id(namespace, "x"), members.member_id(tenant, "x")}) == 3


SEALED = {"kid": "k", "ct": "secret"}


def test_a_socket_gets_an_event_without_its_actor_and_without_sensitive_fields() -> None:
    event = {
        "stream": "booking",
        "position": 7,
        "id": "e",
        "type": "BookingCreated",
        "aggregate_id": "b",
        "version": 1,
        "occurred_at": "2027-05-08T20:00:00.000Z",
        "actor": "user_ana",
        "data": {
            "id": "b",
            "title": "A night",
            "notes": SEALED,
            "contact": {"name": SEALED, "email": None, "phone": None},
            "fee": {"amount": SEALED, "currency": SEALED},
        },
    }
    original = deepcopy(event)
    message = socket_message(event)
    assert message == {
        "stream": "booking",
        "position": 7,
        "id": "e",
        "type": "BookingCreated",
        "occurred_at": "2027-05-08T20:00:00.000Z",
        "data": {"id": "b", "title": "A night"},
    }
    assert withheld(Booking) == {"notes", "contact", "fee"}, "what a message is without"
    assert event == original, "the event itself is left alone"
