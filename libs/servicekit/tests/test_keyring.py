"""The keyring: everybody seals with keys of their own, and what is held is bounded, fresh, and gone when destroyed."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from uuid import UUID, uuid4

import pytest

from production_contracts.sealed import Sealed
from servicekit.keyring import READ_AT_ONCE, RETRY_SECONDS, KeyDestroyedError, Keyring, KeysAwayError
from servicekit.masters import DataKey, LocalMaster, MasterAwayError, Masters
from servicekit.testing import MemoryShelf
from servicekit.vault import AesVault, SealBrokenError

FRESH = 60.0
LEGACY = {"old": bytes(32)}
BOOKING = uuid4()


class House:
    """A shelf, a master key, a clock that is put forward, and as many keyrings as a test wants."""

    def __init__(self) -> None:
        self.shelf = MemoryShelf()
        self.master = LocalMaster("m", os.urandom(32))
        self.masters = Masters([self.master])
        self.now = 1000.0
        self.made: list[Keyring] = []

    def keyring(self, masters: Masters | None = None, *, capacity: int = 1000) -> Keyring:
        keyring = Keyring(
            self.shelf,
            masters or self.masters,
            legacy=LEGACY,
            capacity=capacity,
            fresh_seconds=FRESH,
            clock=lambda: self.now,
        )
        self.made.append(keyring)
        return keyring

    async def rotated(self, tenant: UUID) -> str:
        key = DataKey.new(tenant)
        self.shelf.rotate(await self.masters.wrap(key))
        return key.kid

    async def sealed(self, keyring: Keyring, tenant: UUID, text: str = "x") -> Sealed:
        return (await keyring.sealing(tenant)).seal(tenant, BOOKING, "notes", text)

    async def opened(self, keyring: Keyring, tenant: UUID, sealed: Sealed) -> str:
        vault = (await keyring.opening({tenant: {sealed.kid}}))[tenant]
        assert vault is not None
        return vault.open(tenant, BOOKING, "notes", sealed)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    for keyring in house.made:
        await keyring.stop()


async def settled(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what is waited for is a task of the keyring's own
            await asyncio.sleep(0)


async def test_the_first_who_seals_makes_the_key_and_others_use_it(house: House) -> None:
    tenant, one, other = uuid4(), house.keyring(), house.keyring()
    sealed = await house.sealed(one, tenant)
    assert sealed == await house.sealed(other, tenant), "the same key, so the same ciphertext"
    assert await house.opened(house.keyring(), tenant, sealed) == "x"
    assert (len(house.shelf.keys[tenant]), house.shelf.offered) == (1, 1)
    assert sealed.kid == house.shelf.keys[tenant][0].kid


async def test_every_tenant_has_a_key_of_its_own(house: House) -> None:
    keyring, (one, other) = house.keyring(), (uuid4(), uuid4())
    sealed = await house.sealed(keyring, one)
    assert sealed.kid != (await house.sealed(keyring, other)).kid
    with pytest.raises(SealBrokenError):
        await house.opened(keyring, other, sealed)


async def test_many_at_once_make_one_key_and_read_once(house: House) -> None:
    tenant = uuid4()
    one, other = house.keyring(), house.keyring()
    kids = {sealed.kid for sealed in await asyncio.gather(*(house.sealed(one, tenant) for _ in range(50)))}
    assert (house.shelf.asked, house.shelf.offered) == ([[tenant]], 1)
    racers = [house.keyring() for _ in range(10)]
    new = uuid4()
    house.shelf.gate = asyncio.Event()
    race = [asyncio.create_task(house.sealed(racer, new)) for racer in racers]
    await settled(lambda: len(house.shelf.asked) == 11)
    house.shelf.gate.set()
    assert len({sealed.kid for sealed in await asyncio.gather(*race)}) == len(kids) == 1
    assert await house.sealed(other, tenant) == await house.sealed(one, tenant)


async def test_a_caller_who_gives_up_leaves_the_others_what_is_being_read(house: House) -> None:
    tenant, keyring = uuid4(), house.keyring()
    house.shelf.gate = asyncio.Event()
    first, second = (asyncio.create_task(house.sealed(keyring, tenant)) for _ in range(2))
    await settled(lambda: bool(house.shelf.asked))
    first.cancel()
    house.shelf.gate.set()
    assert (await second).kid == house.shelf.keys[tenant][0].kid
    assert house.shelf.asked == [[tenant]]


async def test_a_key_that_somebody_else_made_current_is_found_at_once_by_what_it_sealed(house: House) -> None:
    tenant, slow, quick = uuid4(), house.keyring(), house.keyring()
    before = await house.sealed(slow, tenant)
    kid = await house.rotated(tenant)
    after = await house.sealed(quick, tenant)
    assert (after.kid, (await house.sealed(slow, tenant)).kid) == (kid, before.kid)
    assert await house.opened(slow, tenant, after) == "x"
    assert (await house.sealed(slow, tenant)).kid == kid, "and seals here, too"
    assert await house.opened(quick, tenant, before) == "x"


async def test_a_look_that_began_before_the_key_was_made_does_not_count(house: House) -> None:
    tenant, keyring = uuid4(), house.keyring()
    await house.sealed(keyring, tenant)
    house.now += FRESH
    house.shelf.gate = asyncio.Event()
    await keyring.sealing(tenant)  # a look anew begins
    await settled(lambda: len(house.shelf.asked) == 2)
    kid = await house.rotated(tenant)
    looking = asyncio.create_task(keyring.opening({tenant: {kid}}))
    await asyncio.sleep(0)
    house.shelf.gate.set()
    vault = (await looking)[tenant]
    assert vault is not None
    assert kid in vault.kids


async def test_a_new_key_seals_everywhere_within_twice_the_time_that_is_stated(house: House) -> None:
    tenant, busy, idle = uuid4(), house.keyring(), house.keyring()
    before = await house.sealed(busy, tenant)
    await house.sealed(idle, tenant)
    kid = await house.rotated(tenant)
    house.now += FRESH - 1
    assert (await house.sealed(busy, tenant)).kid == before.kid
    looked = len(house.shelf.asked)
    house.now += 1
    assert (await house.sealed(busy, tenant)).kid == before.kid, "nobody waits while it is looked"
    await settled(lambda: keyring_is_idle(busy))
    assert len(house.shelf.asked) == looked + 1
    assert (await house.sealed(busy, tenant)).kid == kid
    house.now += FRESH
    assert (await house.sealed(idle, tenant)).kid == kid, "after so long it is looked first"


def keyring_is_idle(keyring: Keyring) -> bool:
    return not keyring._flights


async def test_while_the_shelf_is_away_what_is_held_goes_on_and_what_is_not_fails_at_once(house: House) -> None:
    tenant, keyring = uuid4(), house.keyring()
    sealed = await house.sealed(keyring, tenant)
    house.shelf.away = True
    house.now += 10 * FRESH
    assert await house.sealed(keyring, tenant) == sealed
    assert await house.opened(keyring, tenant, sealed) == "x"
    looked = len(house.shelf.asked)
    assert await house.sealed(keyring, tenant) == sealed
    assert len(house.shelf.asked) == looked, "for a while it is not asked again"
    for failing in (keyring.sealing(uuid4()), keyring.prepare([uuid4()])):
        with pytest.raises(KeysAwayError):
            await failing
    with pytest.raises(KeysAwayError):
        await keyring.opening({tenant: {"unknown"}})
    house.shelf.away = False
    vault = (await keyring.opening({tenant: {"unknown", sealed.kid}}))[tenant]
    assert vault is not None
    assert vault.open(tenant, BOOKING, "notes", sealed) == "x"
    house.now += RETRY_SECONDS
    kid = await house.rotated(tenant)
    house.now += 2 * FRESH
    assert (await house.sealed(keyring, tenant)).kid == kid


async def test_without_a_master_key_that_answers_no_key_is_made(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> str:
        raise MasterAwayError

    keyring = house.keyring()
    monkeypatch.setattr(house.master, "wrap", away)
    with pytest.raises(KeysAwayError):
        await keyring.sealing(uuid4())
    assert (house.shelf.offered, house.shelf.keys) == (0, {})


async def test_a_tenant_that_is_dropped_is_neither_sealed_for_nor_opened(house: House) -> None:
    tenant, keyring = uuid4(), house.keyring()
    sealed = await house.sealed(keyring, tenant)
    house.shelf.destroy(tenant)
    assert await house.opened(keyring, tenant, sealed) == "x"
    keyring.drop(tenant)
    with pytest.raises(KeyDestroyedError):
        await keyring.sealing(tenant)
    assert await keyring.opening({tenant: {sealed.kid}}) == {tenant: None}
    assert await keyring.opening({tenant: {"old"}}) == {tenant: None}, "nor by keys from before"
    looked = len(house.shelf.asked)
    await keyring.opening({tenant: {"any"}})
    assert len(house.shelf.asked) == looked


async def test_what_is_being_read_of_a_tenant_that_is_dropped_is_not_kept(house: House) -> None:
    tenant, keyring = uuid4(), house.keyring()
    await house.sealed(house.keyring(), tenant)
    house.shelf.gate = asyncio.Event()
    reading = asyncio.create_task(keyring.sealing(tenant))
    await settled(lambda: len(house.shelf.asked) == 2)
    keyring.drop(tenant)
    house.shelf.gate.set()
    await reading
    with pytest.raises(KeyDestroyedError):
        await keyring.sealing(tenant)


async def test_that_keys_are_destroyed_is_seen_without_being_told(house: House) -> None:
    tenant, keyring = uuid4(), house.keyring()
    sealed = await house.sealed(keyring, tenant)
    house.shelf.destroy(tenant)
    house.now += 2 * FRESH
    assert await keyring.opening({tenant: {sealed.kid}}) == {tenant: None}
    with pytest.raises(KeyDestroyedError):
        await house.keyring().sealing(tenant)
    assert house.shelf.keys == {}, "and no new key is made for it"


async def test_a_key_that_is_nowhere_is_looked_for_once_and_opens_nothing(house: House) -> None:
    tenant, keyring = uuid4(), house.keyring()
    await house.sealed(keyring, tenant)
    looked = len(house.shelf.asked)
    for _ in range(5):
        with pytest.raises(SealBrokenError, match="lost"):
            await house.opened(keyring, tenant, Sealed(kid="lost", ct="AAAA"))
    assert len(house.shelf.asked) == looked + 1
    for number in range(300):
        await keyring.opening({tenant: {f"lost-{number}"}})
    assert len(keyring._entries[tenant].missing) <= 101
    house.now += 2 * FRESH
    await keyring.opening({tenant: {"lost"}})
    assert len(house.shelf.asked) > looked + 1, "now and then it is looked again"


async def test_a_key_that_no_master_opens_is_not_replaced_and_the_others_open(house: House) -> None:
    tenant = uuid4()
    sealed = await house.sealed(house.keyring(), tenant)
    stranger = Masters([LocalMaster("other", os.urandom(32))])
    with pytest.raises(KeysAwayError, match="current"):
        await house.keyring(stranger).sealing(tenant)
    assert (len(house.shelf.keys[tenant]), house.shelf.offered) == (1, 1)
    house.shelf.rotate(await stranger.wrap(DataKey.new(tenant)))
    keyring = house.keyring()
    assert await house.opened(keyring, tenant, sealed) == "x"
    with pytest.raises(KeysAwayError, match="current"):
        await keyring.sealing(tenant)


async def test_what_is_held_needs_its_master_no_more(house: House) -> None:
    tenant = uuid4()
    new = LocalMaster("new", os.urandom(32))
    keyring = house.keyring()
    sealed = await house.sealed(keyring, tenant)
    (key,) = house.shelf.keys[tenant]
    house.shelf.keys[tenant] = [await Masters([new]).wrap(await house.masters.unwrap(key))]
    house.now += 2 * FRESH
    assert await house.sealed(keyring, tenant) == sealed
    assert await house.opened(house.keyring(Masters([new])), tenant, sealed) == "x"


async def test_keys_from_before_open_and_never_seal_and_need_nobody(house: House) -> None:
    tenant, keyring = uuid4(), house.keyring()
    sealed = AesVault(LEGACY).seal(tenant, BOOKING, "notes", "from before")
    house.shelf.away = True
    assert await house.opened(keyring, tenant, sealed) == "from before"
    house.shelf.away = False
    assert (await house.sealed(keyring, tenant)).kid != "old"
    assert await house.opened(keyring, tenant, sealed) == "from before"


async def test_many_tenants_are_read_together_in_bounded_numbers(house: House) -> None:
    tenants = [uuid4() for _ in range(READ_AT_ONCE + 50)]
    sealed = {tenant: await house.sealed(house.keyring(), tenant) for tenant in tenants}
    house.shelf.asked.clear()
    keyring = house.keyring()
    vaults = await keyring.opening({tenant: {sealed[tenant].kid} for tenant in tenants})
    assert all(
        vault is not None and vault.open(tenant, BOOKING, "notes", sealed[tenant]) == "x"
        for tenant, vault in vaults.items()
    )
    assert [len(asked) for asked in house.shelf.asked] == [READ_AT_ONCE, 50]


async def test_what_is_held_is_bounded_and_what_was_used_last_stays(house: House) -> None:
    keyring = house.keyring(capacity=3)
    first, *others = [uuid4() for _ in range(5)]
    for tenant in others:
        await house.sealed(keyring, first)
        await house.sealed(keyring, tenant)
    assert list(keyring._entries) == [others[-2], first, others[-1]]
    assert house.shelf.asked.count([first]) == 1
    assert len(await keyring.opening({tenant: {"x"} for tenant in [first, *others]})) == 5


async def test_no_key_is_told_by_what_the_keyring_or_its_errors_print(house: House) -> None:
    tenant, keyring = uuid4(), house.keyring()
    await house.sealed(keyring, tenant)
    (secret,) = keyring._entries[tenant].secrets.values()
    assert repr(secret) not in repr(keyring._entries)
