"""One trace: from a request over Kafka, the decision, the relay and Kafka again to a socket, in one process."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import aiohttp
import psycopg
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_span_id, format_trace_id
from tests.one_process import in_one_process, traced

from local_stack.clients.caller import Caller, expect
from local_stack.clients.nights import night
from local_stack.clients.waiting import until
from local_stack.clients.watcher import Watcher
from local_stack.databases import Database
from local_stack.engines import Engines
from local_stack.issuer import Issuer

TITLE, NOTES, ARTIST, USER, AGENT = "Hush Hush Gala", "by the back gate", "Rosa Secreta", "anastasia", "Curious/1.0"
CONTACT, AMOUNT = "Fiona Fernsprecher", 918_273_645
SAID = {"contact": {"name": CONTACT}, "fee": {"amount": AMOUNT, "currency": "EUR"}}


@dataclass(frozen=True)
class Whole:
    """The four services, traced, and a caller of theirs with a socket."""

    spans: InMemorySpanExporter
    caller: Caller
    watcher: Watcher
    booking: Database

    def named(self, name: str) -> list[ReadableSpan]:
        """Give the spans of a name."""
        return [span for span in self.spans.get_finished_spans() if span.name == name]

    async def one(self, name: str, holds: Callable[[ReadableSpan], bool] = lambda _: True) -> ReadableSpan:
        """Wait for a span."""

        async def look() -> ReadableSpan | None:
            return next((span for span in self.named(name) if holds(span)), None)

        return await until(look, f"span {name}; there are {sorted({s.name for s in self.spans.get_finished_spans()})}")


@pytest.fixture(scope="module")
def exporter() -> Iterator[InMemorySpanExporter]:
    with traced() as exporter:
        yield exporter


@pytest.fixture(scope="module")
async def whole(own_engines: Engines, issuer: Issuer, exporter: InMemorySpanExporter) -> AsyncIterator[Whole]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(headers={"User-Agent": AGENT}))
        services = await stack.enter_async_context(in_one_process(own_engines, issuer, session))
        token = issuer.token(tenant="traced", user=USER, role="admin")
        watcher = await stack.enter_async_context(Watcher(services.at.notifications_urls[0], token))
        caller = Caller(session=session, url=services.at.gateway_url, token=token)
        yield Whole(exporter, caller, watcher, services.bookings)


@pytest.fixture(scope="module")
async def booked(whole: Whole) -> dict[str, Any]:
    artist = await whole.caller.make("/v1/artists", name=ARTIST)
    made = await whole.caller.make("/v1/bookings", artist_id=artist["id"], title=TITLE, notes=NOTES, **SAID, **night())
    await whole.watcher.reached("booking", 1)
    assert isinstance(made, dict)
    return made


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def trace_of(span: ReadableSpan) -> int:
    return place(span)[0]


def linked(span: ReadableSpan) -> set[tuple[int, int]]:
    return {(link.context.trace_id, link.context.span_id) for link in span.links}


def place(span: ReadableSpan) -> tuple[int, int]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


PATH = [
    "POST /v1/bookings",
    "send booking.commands.v1",
    "decide production.booking.create.v1",
    "send booking.events.v1",
    "publish booking",
    "emit booking",
]


async def test_one_trace_goes_from_the_request_to_the_socket(whole: Whole, booked: dict[str, Any]) -> None:
    path = [await whole.one(name) for name in PATH]
    assert {trace_of(span) for span in path} == {trace_of(path[0])}
    assert path[0].parent is None
    for before, after in pairwise(path):
        assert parent_of(after) == place(before)[1], f"{before.name} is the parent of {after.name}"


async def test_the_reply_is_in_the_trace_as_well(whole: Whole, booked: dict[str, Any]) -> None:
    decided = await whole.one("decide production.booking.create.v1")
    replied = await whole.one("send gateway.replies.v1", lambda span: trace_of(span) == trace_of(decided))
    received = await whole.one("receive outcome", lambda span: trace_of(span) == trace_of(decided))
    assert parent_of(replied) == place(decided)[1]
    assert parent_of(received) == place(replied)[1]


@pytest.mark.parametrize(
    ("batch", "sent", "done"),
    [
        ("process booking", "send booking.commands.v1", "decide production.booking.create.v1"),
        ("process notifications", "send booking.events.v1", "publish booking"),
    ],
)
async def test_a_batch_is_linked_and_not_parented(
    whole: Whole, booked: dict[str, Any], batch: str, sent: str, done: str
) -> None:
    message, work = await whole.one(sent), await whole.one(done)
    together = await whole.one(batch, lambda span: place(message) in linked(span))
    assert together.parent is None
    assert trace_of(together) != trace_of(message)
    assert place(together) in linked(work)


async def test_the_relay_is_linked_to_what_it_publishes(whole: Whole, booked: dict[str, Any]) -> None:
    decided, sent = await whole.one(PATH[2]), await whole.one(PATH[3])
    relayed = await whole.one("relay booking.events.v1", lambda span: place(decided) in linked(span))
    assert trace_of(relayed) != trace_of(sent)


async def test_sql_belongs_to_its_batch_and_redis_to_its_request(whole: Whole, booked: dict[str, Any]) -> None:
    batch = await whole.one("process booking")
    decides = [span for span in whole.spans.get_finished_spans() if trace_of(span) == trace_of(batch)]
    statements = [str((span.attributes or {}).get("db.statement")) for span in decides]
    assert any("insert into events" in statement for statement in statements)
    request = await whole.one(PATH[0])
    counted = [span for span in whole.named("EVALSHA") if trace_of(span) == trace_of(request)]
    assert counted, "the rate limits are counted within the request"


async def test_a_read_goes_on_at_its_owner(whole: Whole, booked: dict[str, Any]) -> None:
    expect(await whole.caller.get(f"/v1/bookings/{booked['id']}"), 200)
    asked = await whole.one("GET /v1/bookings/{id}")
    called = await whole.one("GET", lambda span: parent_of(span) == place(asked)[1])
    served = await whole.one("GET /v1/bookings/{booking_id}", lambda span: parent_of(span) == place(called)[1])
    assert trace_of(served) == trace_of(asked)
    assert any(trace_of(span) == trace_of(asked) for span in whole.named("SELECT booking")) or any(
        trace_of(span) == trace_of(asked) and "db.statement" in (span.attributes or {})
        for span in whole.spans.get_finished_spans()
    )


async def test_what_idles_begins_no_trace(whole: Whole, booked: dict[str, Any]) -> None:
    roots = {span.name for span in whole.spans.get_finished_spans() if span.parent is None and not span.links}
    assert all(name.startswith(("POST ", "GET ")) for name in roots), roots
    assert not any("healthz" in name or "readyz" in name for name in roots)


async def test_no_span_says_who_it_was_or_what_was_written(
    whole: Whole, booked: dict[str, Any], issuer: Issuer
) -> None:
    await whole.caller.call("GET", f"/v1/bookings?{USER}=1", headers={"X-Forwarded-For": "192.0.2.1"})
    await whole.caller.get(f"/v1/{USER}/nowhere")
    await whole.one("emit booking")
    said = "\n".join(span.to_json() for span in whole.spans.get_finished_spans())
    tenant = whole.watcher.ready[0]["tenant_id"]
    for secret in (TITLE, NOTES, CONTACT, str(AMOUNT), ARTIST, USER, AGENT, tenant, booked["id"], "192.0.2.1"):
        assert secret not in said
    for span in whole.spans.get_finished_spans():
        attributes = span.attributes or {}
        assert not {"http.url", "http.target", "net.peer.ip", "http.user_agent"} & attributes.keys() or (
            span.name in {"GET", "POST"} and attributes.keys() & {"http.url"} == {"http.url"}
        )


async def test_an_event_keeps_the_trace_in_the_store(whole: Whole, booked: dict[str, Any]) -> None:
    decided = await whole.one("decide production.booking.create.v1")
    with psycopg.connect(whole.booking.superuser_dsn) as connection:
        rows = connection.execute("select traceparent from events").fetchall()
    trace, span = format_trace_id(place(decided)[0]), format_span_id(place(decided)[1])
    assert [kept.rpartition("-")[0] for (kept,) in rows] == [f"00-{trace}-{span}"]
