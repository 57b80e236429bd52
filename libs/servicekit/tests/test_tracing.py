"""Tracing: off unless asked for, discreet, and a batch follows what is in it."""

import asyncio
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from production_contracts.envelope import KafkaRecord
from servicekit import tracing

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RECORDED, UNRECORDED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"
SECRET = "hush-hush"


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.install("tested", "tested-1", exporter, at_once=True)
    yield exporter
    tracing.uninstall()


def record(*headers: tuple[str, bytes]) -> KafkaRecord:
    return KafkaRecord(topic="t", key=b"k", value=b"v", headers=list(headers))


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exporter.get_finished_spans()
    return span


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({}, []),
        ({"OTEL_TRACES_EXPORTER": "none"}, []),
        ({"OTEL_TRACES_EXPORTER": ""}, []),
        ({"OTEL_TRACES_EXPORTER": "console"}, ["ConsoleSpanExporter"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, ["OTLPSpanExporter"]),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/x"}, ["OTLPSpanExporter"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "TRUE"}, []),
        ({"OTEL_TRACES_EXPORTER": "otlp, console"}, ["OTLPSpanExporter", "ConsoleSpanExporter"]),
    ],
)
def test_the_standard_variables_say_what_is_exported(environment: dict[str, str], names: list[str]) -> None:
    assert [type(one).__name__ for one in tracing._exporters(environment)] == names


@pytest.mark.parametrize(
    "environment",
    [{"OTEL_TRACES_EXPORTER": "pigeon"}, {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}],
)
def test_an_exporter_that_is_not_installed_is_named_at_the_start(environment: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="not installed"):
        tracing._exporters(environment)


def test_the_standard_variables_name_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "renamed")
    tracing.install("tested", "tested-1", InMemorySpanExporter(), at_once=True)
    try:
        assert tracing.Tracing.provider is not None
        attributes = tracing.Tracing.provider.resource.attributes
    finally:
        tracing.uninstall()
    assert (attributes["service.name"], attributes["service.instance.id"]) == ("renamed", "tested-1")


@pytest.mark.parametrize(
    ("header", "carried"),
    [
        (RECORDED.encode(), RECORDED),
        (UNRECORDED.encode(), None),
        (f"00-{'0' * 32}-{SPAN}-01".encode(), None),
        (RECORDED.encode() + b"\x00", None),
        (b"\xff\xfe", None),
        (b"", None),
    ],
)
def test_a_traceparent_is_passed_on_where_it_is_one_and_recorded(header: bytes, carried: str | None) -> None:
    assert tracing.traceparent_of([("traceparent", header)]) == carried


def test_off_a_traceparent_is_passed_on_as_it_came() -> None:
    with tracing.batch("b", [RECORDED], {}), tracing.each(SpanKind.CONSUMER, [("n", RECORDED), ("m", None)]) as carried:
        assert carried == [RECORDED, None]
        assert not get_current_span().get_span_context().is_valid
        headers = [("traceparent", RECORDED.encode())]
        assert tracing.Sending(record(*headers)).headers == headers
    assert tracing.of_client() == []
    assert tracing.current_ids() == {}


def test_what_belongs_to_no_trace_begins_none(exporter: InMemorySpanExporter) -> None:
    sent = record(("ce_id", b"1"))
    with tracing.batch("b", [None], {}), tracing.each(SpanKind.CONSUMER, [("n", None)]) as carried:
        sending = tracing.Sending(sent)
        sending.end()
    assert carried == [None]
    assert sending.headers is sent.headers
    assert exporter.get_finished_spans() == ()


def test_a_batch_is_recorded_where_something_in_it_is(exporter: InMemorySpanExporter) -> None:
    with tracing.batch("dropped", [UNRECORDED], {}), tracing.batch("kept", [RECORDED, None, RECORDED], {}):
        pass
    span = only(exporter)
    assert (span.name, span.parent, len(span.links)) == ("kept", None, 1)


def test_each_item_goes_on_in_its_own_trace(exporter: InMemorySpanExporter) -> None:
    with tracing.batch("b", [RECORDED], {}), tracing.each(SpanKind.CONSUMER, [("n", RECORDED), ("m", None)]) as carried:
        pass
    item, together = exporter.get_finished_spans()
    assert carried[1] is None
    assert carried[0] is not None
    assert carried[0].startswith(f"00-{TRACE}-")
    assert SPAN not in carried[0]
    assert item.parent is not None
    assert f"{item.parent.span_id:016x}" == SPAN
    assert [link.context for link in item.links] == [together.context]


async def test_a_record_is_under_way_until_it_is_acknowledged(exporter: InMemorySpanExporter) -> None:
    sending = tracing.Sending(record(("traceparent", RECORDED.encode())))
    sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    sending.end_with(sent)
    await asyncio.sleep(0)
    assert exporter.get_finished_spans() == ()
    sent.set_exception(TimeoutError(SECRET))
    await asyncio.sleep(0)
    span = only(exporter)
    assert span.context is not None
    assert dict(sending.headers)["traceparent"].decode().split("-")[2] == f"{span.context.span_id:016x}"
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "TimeoutError"


def test_an_error_is_named_and_not_quoted(exporter: InMemorySpanExporter) -> None:
    def fail() -> None:
        assert tracing.Tracing.tracer is not None
        with tracing.Tracing.tracer.start_as_current_span("n") as span:
            span.set_attributes({"http.url": SECRET, "user.email": SECRET, "db.system": "postgresql"})
            raise RuntimeError(SECRET)

    with pytest.raises(RuntimeError):
        fail()
    told = only(exporter)
    assert SECRET not in told.to_json()
    assert told.status.status_code is StatusCode.ERROR
    assert dict(told.attributes or {}) == {"db.system": "postgresql"}
    assert dict(told.events[0].attributes or {}) == {"exception.type": "RuntimeError"}


def test_a_call_that_nobody_asked_for_is_not_recorded(exporter: InMemorySpanExporter) -> None:
    assert tracing.Tracing.tracer is not None
    with tracing.Tracing.tracer.start_as_current_span("poll", kind=SpanKind.CLIENT):
        pass
    assert exporter.get_finished_spans() == ()
    with tracing.Tracing.tracer.start_as_current_span("asked", kind=SpanKind.SERVER):
        assert set(tracing.current_ids()) == {"trace_id", "span_id"}
        with tracing.Tracing.tracer.start_as_current_span("call", kind=SpanKind.CLIENT):
            pass
    assert [span.name for span in exporter.get_finished_spans()] == ["call", "asked"]
