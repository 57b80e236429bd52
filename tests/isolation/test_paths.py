"""What is another's takes the same path as what is nowhere, statement for statement, so that no clock can tell."""

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import aiohttp
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.isolation.asking import ask, caller_of
from tests.isolation.estates import Estate, absent, settle
from tests.isolation.rows import NOT_YOURS, ROUTES, Ids, Route
from tests.one_process import in_one_process, traced

from local_stack.clients.waiting import until
from local_stack.engines import Engines
from local_stack.issuer import Issuer

CROSSED = [row for row in ROUTES if row.crossed and row.foreign != NOT_YOURS]
"""What the gateway refuses by itself is asked of nobody."""


@dataclass(frozen=True)
class Sides:
    """Two tenants of services whose every statement is seen."""

    spans: InMemorySpanExporter
    mine: Estate
    theirs: Estate


@pytest.fixture(scope="module")
def spans() -> Iterator[InMemorySpanExporter]:
    with traced() as exporter:
        yield exporter


@pytest.fixture(scope="module")
async def sides(own_engines: Engines, issuer: Issuer, spans: InMemorySpanExporter) -> AsyncIterator[Sides]:
    async with aiohttp.ClientSession() as session, in_one_process(own_engines, issuer, session) as services:
        yield Sides(spans, await settle(services.at, session), await settle(services.at, session))


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)


async def statements(sides: Sides, row: Route, ids: Ids) -> Counter[str]:
    """Ask, and give the statements that PostgreSQL was sent for it: in its trace, or for a command in its batch's."""
    trace = secrets.randbits(128) | 1
    sides.spans.clear()
    await ask(row, caller_of(row, sides.mine, "admin"), ids, traceparent=f"00-{trace:032x}-{1:016x}-01")

    async def look() -> set[int] | None:
        found = sides.spans.get_finished_spans()
        if row.method == "GET":
            done = any(trace_of(span) == trace and span.parent and span.parent.span_id == 1 for span in found)
            return {trace} if done else None
        batches = {
            trace_of(span)
            for span in found
            if span.name.startswith("process ") and trace in {link.context.trace_id for link in span.links}
        }
        return batches or None

    traces = await until(look, f"{row} done")
    asked = [span.attributes or {} for span in sides.spans.get_finished_spans() if trace_of(span) in traces]
    sql = (said for said in asked if said.get("db.system") == "postgresql")
    return Counter(str(said["db.statement"]) for said in sql if "db.statement" in said)  # a new connection has none


@pytest.mark.parametrize("row", CROSSED, ids=str)
async def test_what_is_anothers_is_looked_for_as_what_is_nowhere(row: Route, sides: Sides) -> None:
    foreign = await statements(sides, row, sides.theirs.ids)
    nowhere = await statements(sides, row, absent())
    assert foreign == nowhere
    if row.of not in {"command", "roster_command"}:  # an id that is not this tenant's is told by its MAC
        assert foreign, "what sends no statement proves nothing"
