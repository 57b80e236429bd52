"""Commands that somebody wrote to the topic past the gateway: the service that decides authorises each again."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import aiohttp
import pytest
from tests.poison.mail import location, publish, recorded

from local_stack import clerk
from local_stack.clerk import Clerk
from local_stack.clients.nights import FIRST
from local_stack.clients.tenant import Tenant
from local_stack.clients.waiting import until
from production_contracts import commands
from production_contracts.commands import COMMAND_TYPES, Author, Command, CommandBody, CommandType
from production_contracts.records import Record
from production_contracts.roles import Role, may

NOW = datetime.now(UTC).replace(microsecond=0)
LATER = FIRST + timedelta(hours=3)


def data_of(kind: CommandType, artist: UUID) -> Record:
    """Write data that its type takes; a type without a line here fails."""
    written: dict[type[Record], Callable[[], Record]] = {
        commands.CreateBooking: lambda: commands.CreateBooking(
            artist_id=artist, start_time=FIRST, end_time=LATER, status="pencil", title="Forged"
        ),
        commands.ConfirmBooking: commands.ConfirmBooking,
        commands.CancelBooking: commands.CancelBooking,
        commands.RescheduleBooking: lambda: commands.RescheduleBooking(start_time=FIRST, end_time=LATER),
        commands.AmendBooking: lambda: commands.AmendBooking(title="Forged"),
        commands.CreateArtist: lambda: commands.CreateArtist(name="Forged"),
        commands.AmendArtist: lambda: commands.AmendArtist(name="Forged"),
        commands.ArchiveArtist: commands.ArchiveArtist,
        commands.RecordTenant: lambda: commands.RecordTenant(org_id="org_forged", as_of=NOW),
        commands.DeleteTenant: lambda: commands.DeleteTenant(as_of=NOW),
        commands.RecordMember: lambda: commands.RecordMember(sub="user_forged", role=Role.ADMIN, as_of=NOW),
        commands.RemoveMember: lambda: commands.RemoveMember(sub="user_forged", as_of=NOW),
        commands.RecordInvitation: lambda: commands.RecordInvitation(invitation="i", status="pending", as_of=NOW),
        commands.RecordPerson: lambda: commands.RecordPerson(sub="user_forged", as_of=NOW),
        commands.ForgetPerson: lambda: commands.ForgetPerson(sub="user_forged", as_of=NOW),
        commands.CloseTenant: commands.CloseTenant,
        commands.RefusedBookingCall: lambda: commands.RefusedBookingCall(operation="POST /v1/bookings"),
        commands.RefusedTenancyCall: lambda: commands.RefusedTenancyCall(operation="POST /v1/artists"),
    }
    return written[kind.data]()


def forged(
    tenant: Tenant,
    kind: CommandType,
    *,
    role: Role,
    artist: UUID,
    of: UUID | None = None,
    sub: str = "user_mallory",
    iat: datetime = NOW,
) -> Command:
    body = CommandBody(
        author=Author(sub=sub, role=role, iat=int(iat.timestamp())),
        expires_at=datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5),
        data=data_of(kind, artist),
    )
    return Command(id=uuid4(), type=kind, tenant_id=tenant.id, aggregate_id=of or uuid4(), body=body)


async def outcome(tenant: Tenant, command: Command) -> tuple[int, str]:
    await publish(tenant, recorded(command))
    decided = await tenant.caller().decided(location(tenant, command))
    return decided["outcome"]["status"], str(decided["outcome"]["body"].get("type", ""))


GRANTED = [(kind, role) for kind in COMMAND_TYPES for role in Role]
ENDS = [commands.BY_DATA[data] for data in (commands.DeleteTenant, commands.CloseTenant)]


@pytest.mark.parametrize("end", ENDS, ids=lambda kind: kind.name)
async def test_the_end_of_a_tenant_is_commanded_by_who_may(end: CommandType, tenant: Tenant) -> None:
    await publish(tenant, recorded(forged(tenant, end, role=Role.ADMIN, artist=uuid4())))

    async def is_out() -> bool:
        return (await tenant.caller().get("/v1/bookings")).slug == "forbidden"

    await until(is_out, "nobody of a deleted tenant gets in")


@pytest.mark.parametrize(
    ("kind", "role"),
    [(kind, role) for kind, role in GRANTED if kind not in ENDS or role is not Role.ADMIN],  # nobody is left: above
    ids=lambda part: getattr(part, "name", str(part)),
)
async def test_each_command_of_each_role_is_authorised_again(kind: CommandType, role: Role, tenant: Tenant) -> None:
    status, problem = await outcome(tenant, forged(tenant, kind, role=role, artist=uuid4()))
    allowed = may(role, kind.permission) and not kind.is_refusal  # which is refused already, whoever's it was
    assert (problem == "/problems/forbidden") == (not allowed)
    assert status in {200, 201, 404} if allowed else status == 403


@pytest.mark.parametrize(
    "kind",
    [kind for kind in COMMAND_TYPES if kind.service == "booking" and not kind.is_refusal],
    ids=lambda kind: kind.name,
)
async def test_a_command_reaches_no_booking_or_artist_of_a_tenant_but_its_keys(
    kind: CommandType, tenant: Tenant, other_tenant: Tenant
) -> None:
    artist = await other_tenant.artist()
    booking = await other_tenant.booking(artist)
    command = forged(tenant, kind, role=Role.ADMIN, artist=UUID(artist["id"]), of=UUID(booking["id"]))
    assert await outcome(tenant, command) == (404, "/problems/not-found")
    assert await other_tenant.caller().every("/v1/bookings") == [booking]


async def test_who_was_removed_commands_nothing_by_a_token_of_before(
    tenant: Tenant, session: aiohttp.ClientSession
) -> None:
    user = f"mallory-{tenant.name}"
    told = Clerk(
        session=session, gateway_url=tenant.at.gateway_url, secret=tenant.at.engines.credentials.webhook_secret
    )
    artist = UUID((await tenant.artist())["id"])
    assert await told.tell("organizationMembership.deleted", clerk.membership(tenant.name, user)) == 200
    before = datetime.now(UTC) - timedelta(minutes=1)
    for kind in COMMAND_TYPES:
        if kind.permission is commands.BY_DATA[commands.DeleteTenant].permission:
            continue  # those are the identity provider's, which nobody removes
        command = forged(tenant, kind, role=Role.ADMIN, artist=artist, sub=f"user_{user}", iat=before)
        assert await outcome(tenant, command) == (403, "/problems/forbidden")
    assert await tenant.caller().every("/v1/bookings") == []


async def test_a_command_too_late_does_nothing(tenant: Tenant) -> None:
    kind = commands.BY_DATA[commands.CreateBooking]
    artist = UUID((await tenant.artist())["id"])
    command = forged(tenant, kind, role=Role.ADMIN, artist=artist)
    stale = command.body.model_copy(update={"expires_at": NOW - timedelta(minutes=5)})
    late = Command(id=command.id, type=kind, tenant_id=tenant.id, aggregate_id=command.aggregate_id, body=stale)
    assert await outcome(tenant, late) == (504, "/problems/expired")
    assert await tenant.caller().every("/v1/bookings") == []


async def test_a_command_sent_again_under_another_body_has_the_outcome_that_it_had(tenant: Tenant) -> None:
    """Whoever can write to the topic can't turn a decided command into another."""
    artist = UUID((await tenant.artist())["id"])
    first = forged(tenant, commands.BY_DATA[commands.CreateBooking], role=Role.MEMBER, artist=artist)
    assert (await outcome(tenant, first))[0] == 201
    for kind, role in ((commands.CancelBooking, Role.MEMBER), (commands.CreateBooking, Role.VIEWER)):
        again = forged(tenant, commands.BY_DATA[kind], role=role, artist=artist, of=first.aggregate_id)
        same = Command(
            id=first.id, type=again.type, tenant_id=tenant.id, aggregate_id=again.aggregate_id, body=again.body
        )
        assert (await outcome(tenant, same))[0] == 201
    (booking,) = await tenant.caller().every("/v1/bookings")
    assert booking["status"] == "pencil"
