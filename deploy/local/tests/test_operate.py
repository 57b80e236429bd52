"""Operators' commands come with the service's own settings, and are refused where they can't work."""

import pytest

from local_stack import stack
from local_stack.credentials import Credentials
from local_stack.engines import Addresses
from local_stack.failure import StackFailure
from local_stack.operate import HAVE_COMMANDS, operate, operator_environment
from local_stack.port import Ports

ADDRESSES = Addresses(postgres_port=1, redis_port=2, kafka_port=3, credentials=Credentials())
ISSUER = "http://127.0.0.1:8090"


def test_a_command_has_the_service_s_settings() -> None:
    environment = operator_environment(ADDRESSES, Ports(), ISSUER, ["booking", "rebuild", "--verify"])
    assert environment["BOOKING_KAFKA_USERNAME"] == "booking"
    assert "BOOKING_DATABASE_OWNER_URL" in environment


@pytest.mark.parametrize("service", HAVE_COMMANDS)
def test_dead_letters_are_decided_as_a_principal_of_their_own(service: str) -> None:
    environment = operator_environment(ADDRESSES, Ports(), ISSUER, [service, "deadletters", "list"])
    principal = f"{service}-deadletters"
    assert environment[f"{service.upper()}_KAFKA_USERNAME"] == principal
    assert environment[f"{service.upper()}_KAFKA_PASSWORD"] == ADDRESSES.credentials.of_principal(principal)


@pytest.mark.parametrize("words", [[], ["gateway", "keys"], ["rm"]])
def test_what_has_no_commands_is_refused(words: list[str]) -> None:
    with pytest.raises(StackFailure, match="begins with one of booking, tenancy, notifications"):
        operate(words)


def test_without_a_stack_it_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "running_pid", lambda: None)
    with pytest.raises(StackFailure, match="make run"):
        operate(["booking", "deadletters", "list"])
