"""Command ids: ours are recognised without a look-up, all others are not."""

from uuid import NAMESPACE_DNS, UUID, uuid4, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.command_ids import CommandIds

IDS = CommandIds(bytes(32))
# Not random: they stand in the names of tests, which have to be the same on every worker.
TENANT = uuid5(NAMESPACE_DNS, "tenant.example")
COMMAND = uuid5(NAMESPACE_DNS, "command.example")
TEXT = IDS.write(COMMAND, TENANT, "booking")


@given(command=st.uuids(), tenant=st.uuids(), service=st.sampled_from(["booking", "tenancy"]))
def test_what_was_written_reads_back(command: UUID, tenant: UUID, service: str) -> None:
    assert IDS.read(IDS.write(command, tenant, service), tenant) == (command, service)


def test_an_id_says_its_service_and_fits_a_path() -> None:
    assert TEXT.startswith("booking-")
    assert all(character.isalnum() or character in "-_" for character in TEXT)


def test_another_tenants_id_is_not_recognised() -> None:
    assert IDS.read(TEXT, uuid4()) is None


def test_an_id_of_another_key_is_not_recognised() -> None:
    assert CommandIds(bytes(31) + b"1").read(TEXT, TENANT) is None


def test_an_id_is_bound_to_its_service() -> None:
    assert IDS.read(TEXT.replace("booking", "tenancy"), TENANT) is None


@given(at=st.integers(min_value=0, max_value=len(TEXT) - 1), character=st.characters(max_codepoint=0x2FF))
def test_no_character_can_be_changed(at: int, character: str) -> None:
    changed = TEXT[:at] + character + TEXT[at + 1 :]
    assert (IDS.read(changed, TENANT) is None) == (changed != TEXT)


@pytest.mark.parametrize("text", ["", "-", "booking-", str(COMMAND), TEXT + "A", TEXT[:-1], TEXT + "=", " " + TEXT])
def test_what_has_another_form_is_not_recognised(text: str) -> None:
    assert IDS.read(text, TENANT) is None
