"""Usage: what became of a write is told, by pseudonym, and nothing of what was written."""

from uuid import UUID, uuid4

import pytest

from gateway.application.usage import COMMAND_ENDED, PROPERTIES, Usage
from gateway.domain.pseudonyms import Pseudonyms
from gateway.testing import KEY, FakeProduct
from production_contracts import problems
from production_contracts.commands import ConfirmBooking, CreateArtist
from production_contracts.outcomes import Outcome, Reply
from production_contracts.problems import problem_body
from production_contracts.roles import Role
from servicekit.problems import ProblemError
from servicekit.tokens import Principal

TENANT = UUID(int=1)
ANA = Principal(
    sub="user_ana", tenant_id=TENANT, org_id="org_1", role=Role.ADMIN, iat=0, exp=0, issuer="https://i", token="hush"
)
DATA = CreateArtist(name="Rosa Secreta")


@pytest.fixture
def product() -> FakeProduct:
    return FakeProduct()


@pytest.fixture
def usage(product: FakeProduct) -> Usage:
    return Usage(product, Pseudonyms(KEY))


def reply(outcome: Outcome) -> Reply:
    return Reply(command_id=uuid4(), outcome=outcome, position=1)


def test_each_end_of_a_command_is_told(usage: Usage, product: FakeProduct) -> None:
    refused = Outcome(status=409, body=problem_body(problems.BOOKING_CONFLICT, "No."))
    usage.answered(ANA, DATA, reply(Outcome(status=201, body={"id": "1", "name": "Rosa Secreta"})))
    usage.answered(ANA, ConfirmBooking(), reply(refused))
    usage.answered(ANA, DATA, None)
    usage.failed(ANA, DATA, ProblemError(problems.UNAVAILABLE, "Not now."))
    artist, booking = "production.artist.create.v1", "production.booking.confirm.v1"
    assert [properties for *_, properties in product.told] == [
        {"command": artist, "outcome": "accepted"},
        {"command": booking, "outcome": "rejected", "reason": "booking-conflict"},
        {"command": artist, "outcome": "pending"},
        {"command": artist, "outcome": "unavailable", "reason": "unavailable"},
    ]
    assert {(event, tenant) for event, tenant, *_ in product.told} == {(COMMAND_ENDED, TENANT)}
    assert {name for *_, properties in product.told for name in properties} == PROPERTIES.keys()


def test_a_person_is_a_pseudonym_of_its_own_in_each_tenant_and_under_each_key() -> None:
    ours = Pseudonyms(KEY)
    names = {
        ours.of(TENANT, "https://i", "user_ana"),
        ours.of(TENANT, "https://i", "user_bob"),
        ours.of(TENANT, "https://j", "user_ana"),
        ours.of(UUID(int=2), "https://i", "user_ana"),
        Pseudonyms(bytes(32)).of(TENANT, "https://i", "user_ana"),
    }
    assert len(names) == 5
    assert ours.of(TENANT, "https://i", "user_ana") in names
    assert all(len(name) == 32 and "ana" not in name for name in names)
