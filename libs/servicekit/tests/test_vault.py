"""The vault: what is sealed opens for exactly what it is bound to, and the same seals to the same."""

import itertools
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from production_contracts.sealed import Sealed
from servicekit.vault import AesVault, SealBrokenError

OLD, NEW = bytes(32), bytes([7]) * 32
VAULT = AesVault({"k1": OLD})
TENANT, BOOKING = uuid4(), uuid4()


@given(st.text(max_size=200).filter(lambda text: text.isprintable()))
def test_what_was_sealed_opens(text: str) -> None:
    sealed = VAULT.seal(TENANT, BOOKING, "notes", text)
    assert sealed.kid == "k1"
    assert VAULT.open(TENANT, BOOKING, "notes", sealed) == text


def test_the_same_notes_of_the_same_booking_seal_to_the_same() -> None:
    assert VAULT.seal(TENANT, BOOKING, "notes", "x") == VAULT.seal(TENANT, BOOKING, "notes", "x")


def test_any_difference_gives_another_ciphertext_and_another_nonce() -> None:
    sealed = [
        VAULT.seal(TENANT, BOOKING, "notes", "x").ct,
        VAULT.seal(TENANT, BOOKING, "notes", "y").ct,
        VAULT.seal(TENANT, uuid4(), "notes", "x").ct,
        VAULT.seal(uuid4(), BOOKING, "notes", "x").ct,
        VAULT.seal(TENANT, BOOKING, "fee", "x").ct,
        AesVault({"k1": NEW}).seal(TENANT, BOOKING, "notes", "x").ct,
    ]
    assert all(one[:16] != other[:16] for one, other in itertools.combinations(sealed, 2))


def test_nothing_of_the_text_shows() -> None:
    assert "backstage" not in VAULT.seal(TENANT, BOOKING, "notes", "backstage").model_dump_json()


def test_it_opens_for_no_other_tenant_booking_or_field() -> None:
    sealed = VAULT.seal(TENANT, BOOKING, "notes", "x")
    for tenant, booking, field in [(uuid4(), BOOKING, "notes"), (TENANT, uuid4(), "notes"), (TENANT, BOOKING, "fee")]:
        with pytest.raises(SealBrokenError):
            VAULT.open(tenant, booking, field, sealed)


@pytest.mark.parametrize("ct", ["", "A", "!", "AAAA", "A" * 64, "\N{SNOWMAN}"])
def test_what_nobody_sealed_does_not_open(ct: str) -> None:
    with pytest.raises(SealBrokenError):
        VAULT.open(TENANT, BOOKING, "notes", Sealed(kid="k1", ct=ct))


def test_a_changed_ciphertext_does_not_open() -> None:
    sealed = VAULT.seal(TENANT, BOOKING, "notes", "load-in at two")
    for at in range(len(sealed.ct)):
        changed = sealed.ct[:at] + ("A" if sealed.ct[at] != "A" else "B") + sealed.ct[at + 1 :]
        with pytest.raises(SealBrokenError):
            VAULT.open(TENANT, BOOKING, "notes", Sealed(kid="k1", ct=changed))


def test_the_first_key_seals_and_the_others_open() -> None:
    sealed = VAULT.seal(TENANT, BOOKING, "notes", "x")
    rotated = AesVault({"k2": NEW, "k1": OLD})
    assert rotated.open(TENANT, BOOKING, "notes", sealed) == "x"
    assert rotated.seal(TENANT, BOOKING, "notes", "x").kid == "k2"


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(SealBrokenError, match="k9"):
        VAULT.open(TENANT, BOOKING, "notes", Sealed(kid="k9", ct="AAAA"))


def test_what_its_own_keys_have_not_sealed_the_legacy_ones_may_open_and_they_seal_nothing() -> None:
    before = VAULT.seal(TENANT, BOOKING, "notes", "x")
    vault = AesVault({"k2": NEW}, legacy=VAULT)
    assert vault.open(TENANT, BOOKING, "notes", before) == "x"
    assert vault.seal(TENANT, BOOKING, "notes", "x").kid == "k2"
    assert vault.kids == {"k1", "k2"}
    with pytest.raises(SealBrokenError, match="k9"):
        vault.open(TENANT, BOOKING, "notes", Sealed(kid="k9", ct="AAAA"))


def test_a_vault_without_a_key_of_its_own_seals_nothing() -> None:
    with pytest.raises(LookupError):
        AesVault({}, legacy=VAULT).seal(TENANT, BOOKING, "notes", "x")
