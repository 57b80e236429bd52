"""Reconciliation: what webhooks missed is mended from Clerk's Backend API, and nothing else is touched."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from uuid import UUID, uuid4

import pytest
from services.tenancy.tests.conftest import Service, ask, eventually

from local_stack import clerk
from local_stack.clerk_api import Books, ClerkServer
from local_stack.environment import NAMESPACE
from production_contracts.commands import (
    DeleteTenant,
    ForgetPerson,
    RecordMember,
    RecordPerson,
    RecordTenant,
    RemoveMember,
)
from production_contracts.members import person_id, tenant_id
from production_contracts.records import Record
from production_contracts.roles import Role
from servicekit.database import Database
from servicekit.keyring import Keyring
from servicekit.settings import IssuerSettings
from tenancy.adapters.clerk import ClerkApi, ClerkError
from tenancy.adapters.data_keys import DatabaseShelf
from tenancy.application.reconciliation import Summary
from tenancy.bootstrap import reconcile

KEY = "sk_test"
MASTERS = {"m": bytes(32)}


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
def server(books: Books) -> Iterator[ClerkServer]:
    with ClerkServer(books, secret_key=KEY) as server:
        yield server


def ms(ago: float = 0.0) -> int:
    return int((time.time() - ago) * 1000)


def moment(ago: float = 0.0) -> datetime:
    return datetime.fromtimestamp(ms(ago) // 1000, UTC)


class House:
    """An organisation in the books, and its tenant."""

    def __init__(self, books: Books, service: Service) -> None:
        self.name = uuid4().hex
        self.org_id = f"org_{self.name}"
        self.tenant = tenant_id(UUID(NAMESPACE), self.org_id)
        self.books, self.service = books, service
        books.organizations.append(clerk.organization(self.name, name="Acme", updated_at=ms(60)))
        books.memberships[self.org_id] = []
        books.invitations[self.org_id] = []

    def joins(self, user: str, role: str = "member", *, ago: float = 60) -> None:
        self.books.memberships[self.org_id].append(
            clerk.membership(self.name, user, role, created_at=ms(ago), updated_at=ms(ago))
        )

    async def told(self, *facts: Record) -> None:
        for fact in facts:
            assert (await self.service.desk.do(ask(self.tenant, fact))).outcome.status == 200

    def members(self) -> dict[str, tuple[str, str | None]]:
        rows = self.service.look("select id, status, role from members where tenant_id = %s", self.tenant)
        return {row[0]: (row[1], row[2]) for row in rows}

    def events(self) -> list[tuple[str, str]]:
        return [
            (row[0], row[1])
            for row in self.service.look(
                "select event_type, actor from events where tenant_id = %s order by position", self.tenant
            )
        ]


async def reconciled(service: Service, server: ClerkServer, **changes: object) -> Summary:
    settings = service.settings.model_copy(update={"clerk_api_url": server.url, "clerk_secret_key": KEY} | changes)
    return await reconcile(settings, KEY)


async def test_what_webhooks_missed_is_mended_and_a_second_look_finds_nothing(
    service: Service, books: Books, server: ClerkServer
) -> None:
    house = House(books, service)
    house.joins("user-ana", "admin")
    house.joins("user-ben", "viewer", ago=30)
    books.invitations[house.org_id].append(clerk.invitation(house.name, "cleo", status="pending", updated_at=ms(50)))
    await house.told(
        RecordMember(sub="user_user-ben", role=Role.MEMBER, joined_at=moment(100), as_of=moment(100)),
        RecordMember(sub="user_gone", role=Role.ADMIN, joined_at=moment(100), as_of=moment(100)),
    )
    summary = await reconciled(service, server)
    assert house.members() == {
        "user_user-ana": ("active", "org:admin"),
        "user_user-ben": ("active", "org:viewer"),
        "user_gone": ("removed", None),
    }
    assert dict(summary.mended) == {
        "TenantAmended": 1,
        "MemberAdded": 1,
        "MemberChanged": 1,
        "MemberRemoved": 1,
        "InvitationSent": 1,
    }
    assert {actor for _, actor in house.events()[3:]} == {"reconcile"}
    assert "no master key is set" in summary.lines()[-1]
    before = house.events()
    assert not (await reconciled(service, server)).mended
    assert house.events() == before


async def test_what_was_mended_is_published_by_the_running_service(
    service: Service, books: Books, server: ClerkServer
) -> None:
    house = House(books, service)
    await reconciled(service, server)

    async def published() -> bool:
        rows = service.look("select position = published from streams where tenant_id = %s", house.tenant)
        return rows == [(True,)]

    await eventually(published, "the events are on Kafka")


async def test_what_we_know_to_be_newer_stays(service: Service, books: Books, server: ClerkServer) -> None:
    house = House(books, service)
    house.joins("user-ana", "member", ago=60)
    house.joins("user-ben", "member", ago=60)
    await house.told(
        RecordMember(sub="user_user-ana", role=Role.ADMIN, joined_at=moment(100), as_of=moment(10)),
        RemoveMember(sub="user_user-ben", as_of=moment(10)),
        RecordMember(sub="user_new", role=Role.MEMBER, joined_at=None, as_of=moment(-3600)),
    )
    await reconciled(service, server)
    assert house.members() == {
        "user_user-ana": ("active", "org:admin"),
        "user_user-ben": ("removed", None),
        "user_new": ("active", "org:member"),
    }


async def test_an_organisation_that_is_gone_is_deleted_and_one_of_which_nothing_was_told_is_left(
    service: Service, books: Books, server: ClerkServer
) -> None:
    gone, unknown = House(books, service), House(books, service)
    books.organizations.clear()
    await gone.told(RecordTenant(org_id=gone.org_id, name="Gone", as_of=moment(100)))
    await unknown.told(RecordMember(sub="user_ana", role=Role.ADMIN, joined_at=None, as_of=moment(100)))
    summary = await reconciled(service, server)
    assert gone.events()[-1] == ("TenantDeleted", "reconcile")
    assert [event for event, _ in unknown.events()] == ["TenantCreated", "MemberAdded"]
    assert summary.nameless_tenants >= 1
    await gone.told(DeleteTenant(as_of=moment()))
    assert len(gone.events()) == 3


async def test_tenants_of_another_issuer_are_not_judged_by_this_ones_books(
    service: Service, books: Books, server: ClerkServer
) -> None:
    house = House(books, service)
    books.organizations.clear()
    await house.told(RecordTenant(org_id=house.org_id, name="Elsewhere", as_of=moment(100)))
    other = IssuerSettings(issuer="http://other", jwks_url="http://other", namespace=uuid4())
    issuers = [*service.settings.auth_issuers, other]
    await reconciled(service, server, auth_issuers=issuers, clerk_issuer="http://other")
    assert [event for event, _ in house.events()] == ["TenantCreated", "TenantAmended"]


async def test_names_are_mended_where_the_keys_are_known(service: Service, books: Books, server: ClerkServer) -> None:
    house, user = House(books, service), f"ben-{uuid4().hex}"
    house.joins(user)
    summary = await reconciled(service, server, master_keys=MASTERS)
    assert summary.mended["people named anew"] == 1
    person = person_id(UUID(NAMESPACE), f"user_{user}")
    reader = service.reader()
    reader.tenant = house.name
    _, page, _ = await reader.get("/v1/members")
    (member,) = page["items"]
    record = RecordPerson.model_validate({"sub": "x", "as_of": moment(), "name": member["name"]})
    assert record.name is not None
    database = Database(service.settings.database_url, pool_size=1)
    keyring = Keyring(DatabaseShelf(database), service.settings.model_copy(update={"master_keys": MASTERS}).masters())
    vault = (await keyring.opening({person: {record.name.kid}}))[person]
    await database.stop()
    assert vault is not None
    assert vault.open(person, person, "name", record.name) == user.title()
    assert not (await reconciled(service, server, master_keys=MASTERS)).mended


async def test_who_was_forgotten_is_not_named_again(service: Service, books: Books, server: ClerkServer) -> None:
    house, user = House(books, service), f"eve-{uuid4().hex}"
    house.joins(user)
    assert (await reconciled(service, server, master_keys=MASTERS)).mended["people named anew"] == 1
    person = person_id(UUID(NAMESPACE), f"user_{user}")
    assert service.look("select count(*) from data_keys where tenant_id = %s", person) == [(1,)]
    await service.desk.do(ask(person, ForgetPerson(sub=f"user_{user}", as_of=moment())))
    assert not (await reconciled(service, server, master_keys=MASTERS)).mended
    assert service.look("select count(*) from data_keys where tenant_id = %s", person) == [(0,)]
    assert service.look("select name, email, forgotten from people where tenant_id = %s", person) == [
        (None, None, True)
    ]


async def test_lists_longer_than_a_page_are_read_to_their_end(
    service: Service, books: Books, server: ClerkServer
) -> None:
    house = House(books, service)
    for number in range(205):
        house.joins(f"user-{number}")
    await reconciled(service, server)
    assert len(house.members()) == 205
    assert sum("offset=200" in asked for asked in books.asked) == 1


async def test_clerk_is_asked_again_when_it_says_so_and_given_up_in_the_end(books: Books, server: ClerkServer) -> None:
    books.instead += [HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY]
    async with ClerkApi(server.url, KEY, longest_wait_s=0.01) as api:
        assert [one async for one in api.organizations()] == []
        assert len(books.asked) == 3
        books.instead += [HTTPStatus.TOO_MANY_REQUESTS] * 100
        with pytest.raises(ClerkError, match="too many requests"):
            await api.now()


async def test_a_wrong_key_and_an_answer_that_is_no_list_are_said(books: Books, server: ClerkServer) -> None:
    async with ClerkApi(server.url, "sk_wrong", longest_wait_s=0.01) as api:
        with pytest.raises(ClerkError, match="status 401"):
            await api.now()
    books.organizations.append({"name": "without an id"})
    async with ClerkApi(server.url, KEY, longest_wait_s=0.01) as api:
        with pytest.raises(ClerkError, match="not as documented"):
            [one async for one in api.organizations()]
