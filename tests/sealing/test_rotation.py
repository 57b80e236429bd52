"""Keys change under load, and no request fails: data keys by a job, master keys by one instance after another."""

import asyncio
import base64
import itertools
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import psycopg
import pytest

from local_stack.clients.caller import Answer, Caller
from local_stack.clients.tenant import Tenant, wish
from local_stack.clients.waiting import until
from local_stack.environment import MASTER
from local_stack.port import HOST, free_ports
from local_stack.system import System

TENANTS = 2


@dataclass
class Load:
    """People of several tenants who write and read notes, without a pause, at the gateways in use."""

    urls: list[str]
    done: int = 0
    failed: list[str] = field(default_factory=list)
    written: dict[str, tuple[Tenant, str]] = field(default_factory=dict)
    _turn: Any = field(default_factory=itertools.count)

    async def run(self, tenant: Tenant) -> None:
        artist, numbers = await tenant.artist(), itertools.count()
        while True:
            number = next(numbers)
            notes = f"gate {number} of {tenant.name}"
            made = await self._call(tenant, "POST", "/v1/bookings", 201, wish(artist, number, notes=notes))
            if made is None:
                continue
            place = f"/v1/bookings/{made['id']}"
            self.written[made["id"]] = tenant, notes
            await self._call(tenant, "PATCH", place, 200, {"title": f"x {number}"}, notes)
            await self._call(tenant, "GET", place, 200, None, notes)
            await self._call(tenant, "GET", "/v1/bookings?limit=20", 200)
            await self._call(tenant, "GET", "/v1/events?stream=booking&limit=50", 200)

    async def _call(
        self,
        tenant: Tenant,
        method: str,
        path: str,
        status: int,
        body: object = None,
        notes: str | None = None,
    ) -> Any:  # noqa: ANN401 - JSON
        url = self.urls[next(self._turn) % len(self.urls)]
        caller: Caller = replace(tenant.caller(), url=url)
        try:
            answer: Answer = await caller.call(method, path, body)
        except (aiohttp.ClientError, TimeoutError) as error:
            self.failed.append(f"{method} {path} at {url}: {error!r}")
            return None
        if answer.status != status or (notes is not None and answer.body["notes"] != notes):
            self.failed.append(f"{method} {path} at {url}: {answer}")
            return None
        self.done += 1
        return answer.body


@asynccontextmanager
async def under_load(load: Load, tenants: list[Tenant]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(load.run(tenant)) for tenant in tenants]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, asyncio.CancelledError), outcome


async def more(load: Load, count: int = 20) -> None:
    """Wait until so many more requests were answered as they should."""
    before = load.done

    async def answered() -> bool:
        return load.done >= before + count or bool(load.failed)

    await until(answered, f"{count} more requests are answered")


def sealing_kids(whole: System, tenants: list[Tenant], newest: int) -> set[str]:
    """Name the keys that sealed the newest bookings of each tenant."""
    query = """
        select notes->>'kid' from (select notes, row_number() over (partition by tenant_id order by created_at desc) n
        from bookings where tenant_id = any (%s)) b where n <= %s
    """
    with psycopg.connect(whole.engines.postgres_dsn("booking")) as connection:
        return {kid for (kid,) in connection.execute(query, ([tenant.id for tenant in tenants], newest))}


def current_kids(whole: System, tenants: list[Tenant]) -> set[str]:
    query = "select kid from data_keys where current and tenant_id = any (%s)"
    with psycopg.connect(whole.engines.postgres_dsn("tenancy")) as connection:
        return {kid for (kid,) in connection.execute(query, ([tenant.id for tenant in tenants],))}


def masters_in_use(whole: System) -> set[str]:
    with psycopg.connect(whole.engines.postgres_dsn("tenancy")) as connection:
        return {name for (name,) in connection.execute("select distinct master from data_keys")}


async def all_is_read(load: Load, url: str) -> None:
    """Read every booking that was written, at one gateway."""
    for tenant in {tenant.name: tenant for tenant, _ in load.written.values()}.values():
        caller = replace(tenant.caller(), url=url)
        read = {booking["id"]: booking["notes"] for booking in await caller.every("/v1/bookings")}
        expected = {id_: notes for id_, (owner, notes) in load.written.items() if owner.name == tenant.name}
        assert read.items() >= expected.items()


async def test_data_keys_rotate_while_everybody_writes_and_reads(
    whole: System, new_tenant: Callable[[], Tenant], keys_job: Callable[..., str]
) -> None:
    tenants = [new_tenant() for _ in range(TENANTS)]
    load = Load(urls=[whole.at.gateway_url])
    async with under_load(load, tenants):
        await more(load)
        before = current_kids(whole, tenants)
        await asyncio.to_thread(keys_job, "rotate")
        after = current_kids(whole, tenants)

        async def new_keys_seal() -> bool:
            return sealing_kids(whole, tenants, 1) == after or bool(load.failed)

        await until(new_keys_seal, "the new keys seal")
        await more(load)
    assert load.failed == []
    assert (len(before), len(after), before & after) == (TENANTS, TENANTS, set())
    await all_is_read(load, whole.at.gateway_url)
    assert before <= sealing_kids(whole, tenants, 10_000), "what was sealed before was read, too"


@pytest.mark.timeout(900)  # four gateways start one after another, under load
async def test_master_keys_are_replaced_instance_by_instance_while_everybody_writes_and_reads(
    whole: System, new_tenant: Callable[[], Tenant], keys_job: Callable[..., str]
) -> None:
    old = {MASTER: whole.engines.credentials.master_key}
    new = {"local-2": base64.b64encode(os.urandom(32)).decode()}
    tenants = [new_tenant() for _ in range(TENANTS)]
    load = Load(urls=[whole.at.gateway_url])
    ports = free_ports(3)
    added: list[Any] = []

    def begin(number: int, masters: dict[str, str]) -> str:
        port = ports[number - 2]
        settings = {"MASTER_KEYS": json.dumps(masters)}
        added.append(whole.services.start("gateway", number=number, port=port, **settings))
        return f"http://{HOST}:{port}"

    async with under_load(load, tenants):
        await more(load)
        knows = await asyncio.to_thread(begin, 2, old | new)
        load.urls = [knows]  # once every instance knows the new master, one after another may wrap with it
        await more(load)
        wraps = await asyncio.to_thread(begin, 3, new | old)
        load.urls = [knows, wraps]
        await more(load)
        late = new_tenant()
        for url in (wraps, knows):  # what one wraps under the new master, the other opens
            await replace(late.caller(), url=url).make("/v1/bookings", **wish(await late.artist(), notes="late"))
        assert masters_in_use(whole) == {MASTER, "local-2"}
        load.urls = [wraps]
        await asyncio.to_thread(keys_job, "rewrap", MASTER_KEYS=json.dumps(new | old))
        assert masters_in_use(whole) == {"local-2"}
        await more(load)
        alone = await asyncio.to_thread(begin, 4, new)
        load.urls = [alone]
        await more(load)
    assert load.failed == []
    await all_is_read(load, alone)
    await asyncio.to_thread(keys_job, "rewrap", MASTER_KEYS=json.dumps(old | new))
    assert masters_in_use(whole) == {MASTER}, "and back: the others here go on with the old one"
    for instance in added:
        await asyncio.to_thread(instance.stop)
        whole.services.instances.remove(instance)
