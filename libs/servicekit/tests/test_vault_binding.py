"""What a sealed value is bound to: whatever is changed of it, or of where it belongs, it does not open."""

import base64
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from production_contracts.bookings import Booking
from production_contracts.members import Member
from production_contracts.sealed import Sealed, sensitive_fields
from servicekit.vault import AesVault, SealBrokenError

VAULT = AesVault({"k1": bytes(32), "k2": bytes([7]) * 32})
PATHS = sorted({*sensitive_fields(Booking), *sensitive_fields(Member), "contact", "fee", "contact.nam", "n", ""})

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
ids = st.uuids() | st.sampled_from([UUID(int=0), UUID(int=1), UUID(int=2**128 - 1)])
paths = st.sampled_from(PATHS)


def refuse(tenant: UUID, holder: UUID, path: str, sealed: Sealed) -> None:
    """Hold that something does not open."""
    with pytest.raises(SealBrokenError):
        VAULT.open(tenant, holder, path, sealed)


@given(ids, ids, paths, texts)
def test_what_is_sealed_opens_where_it_belongs(tenant: UUID, holder: UUID, path: str, text: str) -> None:
    sealed = VAULT.seal(tenant, holder, path, text)
    assert VAULT.open(tenant, holder, path, sealed) == text
    assert VAULT.seal(tenant, holder, path, text) == sealed


@given(ids, ids, paths, ids, ids, paths, texts)
def test_it_opens_for_no_other_tenant_holder_or_path(
    tenant: UUID, holder: UUID, path: str, other_tenant: UUID, other_holder: UUID, other_path: str, text: str
) -> None:
    sealed = VAULT.seal(tenant, holder, path, text)
    for changed in (
        (other_tenant, holder, path),
        (tenant, other_holder, path),
        (tenant, holder, other_path),
        (other_tenant, other_holder, other_path),
        (holder, tenant, path),
    ):
        if changed != (tenant, holder, path):
            refuse(*changed, sealed)


@given(ids, ids, paths, texts, st.text(max_size=4) | st.sampled_from(["k2", "K1", "k1 "]))
def test_it_opens_with_no_other_key(tenant: UUID, holder: UUID, path: str, text: str, kid: str) -> None:
    assume(kid != "k1")
    refuse(tenant, holder, path, VAULT.seal(tenant, holder, path, text).model_copy(update={"kid": kid}))


@given(ids, ids, paths, texts, st.data())
def test_no_bit_of_it_can_be_changed(tenant: UUID, holder: UUID, path: str, text: str, data: st.DataObject) -> None:
    sealed = VAULT.seal(tenant, holder, path, text)
    raw = bytearray(base64.urlsafe_b64decode(sealed.ct + "=" * (-len(sealed.ct) % 4)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    changed = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    refuse(tenant, holder, path, sealed.model_copy(update={"ct": changed}))


@given(ids, ids, paths, texts, st.data())
def test_nothing_can_be_cut_off_or_added(tenant: UUID, holder: UUID, path: str, text: str, data: st.DataObject) -> None:
    sealed = VAULT.seal(tenant, holder, path, text)
    at = data.draw(st.integers(0, len(sealed.ct) - 1))
    more = data.draw(st.text("ABab01-_=+/ \n\u2603", min_size=1, max_size=4))
    for changed in (sealed.ct[:at], sealed.ct[at + 1 :], sealed.ct[:at] + more + sealed.ct[at:], sealed.ct + more):
        if changed != sealed.ct:
            refuse(tenant, holder, path, sealed.model_copy(update={"ct": changed}))


@given(ids, ids, paths, texts, st.data())
def test_it_has_one_form_only(tenant: UUID, holder: UUID, path: str, text: str, data: st.DataObject) -> None:
    """The last character of base64 may hold bits that nobody reads: they are not for anybody to choose."""
    sealed = VAULT.seal(tenant, holder, path, text)
    last = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))
    assume(last != sealed.ct[-1])
    refuse(tenant, holder, path, sealed.model_copy(update={"ct": sealed.ct[:-1] + last}))


@given(ids, ids, paths, texts, texts)
def test_two_texts_of_one_place_share_neither_nonce_nor_ciphertext(
    tenant: UUID, holder: UUID, path: str, one: str, other: str
) -> None:
    assume(one != other)
    first, second = VAULT.seal(tenant, holder, path, one), VAULT.seal(tenant, holder, path, other)
    assert first.ct[:16] != second.ct[:16]
