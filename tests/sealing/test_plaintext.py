"""What is sealed stands in clear nowhere: not in a database or its files, a topic, Redis or a log.

The same search finds the title of the same bookings, which is not sealed, wherever it must be: it could fail.
"""

import asyncio
import base64
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
from psycopg import sql
from redis import Redis
from tests.sealing.plants import Plants, base64_forms

from local_stack import clerk
from local_stack.clerk import Clerk
from local_stack.clients.caller import expect
from local_stack.clients.nights import night
from local_stack.clients.tenant import Tenant, wish
from local_stack.clients.topic import Topic
from local_stack.clients.waiting import until
from local_stack.system import System
from production_contracts.members import Member
from production_contracts.sealed import sensitive_fields
from production_contracts.topics import ALL_TOPICS

Found = set[str]


@dataclass
class Planted:
    """A system in which a tenant was busy; what must not be found, and what must: an open title."""

    whole: System
    plants: Plants
    title: str
    tenant: Tenant


async def be_busy(tenant: Tenant, session: aiohttp.ClientSession, plants: Plants, title: str) -> None:
    """Let plants go every way that a sealed field goes: accepted, refused, malformed, repeated, asked for later."""
    caller, artist = tenant.caller(), await tenant.artist()
    async with tenant.watcher() as watcher:
        asked = wish(artist, 1, **plants.booking()) | {"title": title}
        key = {"Idempotency-Key": secrets.token_hex(8)}
        booking = expect(await caller.post("/v1/bookings", asked, headers=key), 201).body
        expect(await caller.post("/v1/bookings", asked, headers=key), 201)
        place = f"/v1/bookings/{booking['id']}"
        expect(await caller.patch(place, plants.booking() | {"title": f"{title} again"}), 200)
        expect(await caller.post(f"{place}/reschedule", night(2)), 200)
        expect(await caller.post("/v1/bookings", wish(artist, 2, **plants.booking())), 409)
        expect(await caller.post("/v1/bookings", plants.booking() | {"artist_id": 7}), 422)
        expect(await caller.post("/v1/bookings", wish(artist, 3, **plants.booking()) | {"colour": plants.text()}), 422)
        expect(await tenant.caller("eve", "viewer").post("/v1/bookings", wish(artist, 4, **plants.booking())), 403)
        expect(await caller.post("/v1/bookings", f"{{ {plants.text()}".encode()), 415)
        later = await caller.post(
            "/v1/bookings", wish(artist, 5, **plants.booking()), headers={"Prefer": "respond-async"}
        )
        await caller.decided(expect(later, 202).headers["Location"])
        expect(await caller.post(f"{place}/cancel"), 200)
        for path in (place, "/v1/bookings", f"{place}/events", "/v1/events?stream=booking"):
            shown = expect(await caller.get(path), 200).raw
            assert plants.word.encode() in shown, "whoever may read it is shown it"
        await watcher.until(lambda: any(one.name == "booking:cancelled" for one in watcher.heard), "the last event")
        assert not any(plants.word in str(one.message) for one in watcher.heard)
    told = Clerk(
        session=session, gateway_url=tenant.at.gateway_url, secret=tenant.at.engines.credentials.webhook_secret
    )
    named = clerk.membership(tenant.name, f"ben-{tenant.name}")
    named["public_user_data"] |= {"first_name": plants.text(), "identifier": f"{plants.text()}@example.org"}
    addresses = [{"id": "idn_1", "email_address": f"{plants.text()}@example.org"}]
    user = clerk.user(f"ben-{tenant.name}", last_name=plants.text(), email_addresses=addresses)
    invited = clerk.invitation(tenant.name, "cleo") | {"email_address": f"{plants.text()}@example.org"}
    for kind, data in (
        ("organizationMembership.created", named),
        ("user.updated", user),
        ("organizationInvitation.created", invited),
    ):
        assert await told.tell(kind, data) == 200
    assert await told.tell("user.updated", {"first_name": plants.text()}) == 422
    stranger = Clerk(
        session=session, gateway_url=tenant.at.gateway_url, secret="whsec_bm90IHRoZSByaWdodCBvbmUgYXQgYWxs"
    )
    assert await stranger.tell("user.updated", user) == 401
    (member,) = await caller.every("/v1/members")
    assert all(plants.word in member[name] for name in sensitive_fields(Member)), "each of them was planted"


@pytest.fixture(scope="module")
async def planted(whole: System, session: aiohttp.ClientSession) -> Planted:
    plants, title = Plants(), f"open{secrets.token_hex(8)}"
    tenant = Tenant(name=f"t{secrets.token_hex(8)}", at=whole.at, session=session)
    await be_busy(tenant, session, plants, title)

    async def published() -> bool:
        dsn = whole.engines.postgres_dsn("booking")
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            query = "select position = published from streams where tenant_id = %s"
            return await (await connection.execute(query, (tenant.id,))).fetchone() == (True,)

    await until(published, "all events are on Kafka")
    return Planted(whole=whole, plants=plants, title=title, tenant=tenant)


def search(places: Iterable[tuple[str, bytes]], patterns: Iterable[bytes]) -> Found:
    """Name the places in which any of these stands, in whatever case."""
    wanted = [pattern.lower() for pattern in patterns]
    return {place for place, held in places if any(pattern in held.lower() for pattern in wanted)}


def forms_of(title: str) -> list[bytes]:
    return [title.encode()]


def in_databases(whole: System) -> Iterator[tuple[str, bytes]]:
    """Read every row of every table of every database, as text."""
    with psycopg.connect(whole.engines.postgres_dsn()) as connection:
        names = [name for (name,) in connection.execute("select datname from pg_database where datallowconn")]
    for name in names:
        with psycopg.connect(whole.engines.postgres_dsn(name)) as connection:
            tables = connection.execute("""
                select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
                where c.relkind in ('r', 'm', 'p') and n.nspname not in ('pg_catalog', 'information_schema')
            """).fetchall()
            for schema, table in tables:
                query = sql.SQL("select r::text from {} r").format(sql.Identifier(schema, table))
                for (row,) in connection.execute(query):
                    yield f"{name}.{table}", row.encode()


def in_files(folder: Path, pattern: str = "*") -> Iterator[tuple[str, bytes]]:
    for file in sorted(folder.rglob(pattern)):
        try:
            if file.is_file():
                yield str(file.relative_to(folder)), file.read_bytes()
        except FileNotFoundError:
            continue


async def in_topics(whole: System) -> list[tuple[str, bytes]]:
    held = []
    for topic in ALL_TOPICS:
        async with Topic(whole.engines.kafka_bootstrap, topic.name) as reader:
            for record in await reader.raw():
                headers = b"".join(name.encode() + b"=" + (value or b"") for name, value in record.headers)
                held.append((topic.name, (record.key or b"") + (record.value or b"") + headers))
    return held


def in_redis(whole: System) -> Iterator[tuple[str, bytes]]:
    client = Redis.from_url(whole.engines.redis_url)
    read: dict[str, Callable[[bytes], Any]] = {
        "string": client.get,
        "hash": client.hgetall,
        "list": lambda key: client.lrange(key, 0, -1),
        "set": client.smembers,
        "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        "stream": client.xrange,
    }
    for key in client.scan_iter():
        kind = client.type(key)
        name = kind.decode() if isinstance(kind, bytes) else str(kind)
        if name != "none":  # it has run out meanwhile
            yield "redis", key + repr(read[name](key)).encode()
    client.close()


def test_every_sealed_field_of_a_booking_was_planted(planted: Planted) -> None:
    assert "notes" in planted.plants.fields
    assert len(planted.plants.patterns()) >= 5
    for plain in (b"plant", b"planted text"):
        for offset, form in enumerate(base64_forms(plain)):
            assert form in base64.b64encode(b"abc"[:offset] + plain + b"xyz")


def test_it_stands_in_no_table(planted: Planted) -> None:
    held = list(in_databases(planted.whole))
    assert search(held, planted.plants.patterns()) == set()
    assert search(held, forms_of(planted.title)) == {
        *("booking.bookings", "booking.events", "booking.command_log", "booking.audit")
    }


def test_it_stands_in_no_file_of_postgresql_nor_in_its_write_ahead_log(planted: Planted) -> None:
    with psycopg.connect(planted.whole.engines.postgres_dsn(), autocommit=True) as connection:
        connection.execute("checkpoint")
    files = list(in_files(planted.whole.engines.data / "postgresql"))
    assert search(files, planted.plants.patterns()) == set()
    found = search(files, forms_of(planted.title))
    assert any("pg_wal/" in name for name in found)
    assert any("/base/" in name for name in found)


async def test_it_stands_on_no_topic(planted: Planted) -> None:
    held = await in_topics(planted.whole)
    assert search(held, planted.plants.patterns()) == set()
    assert {"booking.commands.v1", "booking.events.v1", "gateway.replies.v1"} <= search(held, forms_of(planted.title))


def test_it_stands_in_no_key_of_redis(planted: Planted) -> None:
    held = list(in_redis(planted.whole))
    assert search(held, planted.plants.patterns()) == set()
    assert search(held, forms_of(planted.title)) == {"redis"}


async def test_it_stands_in_no_log(planted: Planted) -> None:
    logs = await asyncio.to_thread(lambda: list(in_files(planted.whole.engines.logs)))
    assert search(logs, planted.plants.patterns()) == set()
    names = {name for name, _ in logs}
    assert {f"{service}.log" for service in ("gateway", "booking", "tenancy", "notifications")} <= names
    assert "gateway.log" in search(logs, [b'"instance":"gateway-1"'])


def test_no_key_in_clear_and_no_secret_stands_in_any_of_them_either(planted: Planted) -> None:
    credentials = planted.whole.engines.credentials
    secrets_ = [credentials.master_key.encode(), credentials.keys_secret.encode()]
    held = [*in_databases(planted.whole), *in_redis(planted.whole), *in_files(planted.whole.engines.logs)]
    assert search(held, secrets_) == set()
