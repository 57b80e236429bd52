"""One trace: from an HTTP request through Kafka, the decision, the relay and Kafka again to the sockets.

OpenTelemetry, off unless its standard variables name an exporter: ``OTEL_TRACES_EXPORTER`` (``otlp``, ``console``), or
``OTEL_EXPORTER_OTLP_ENDPOINT`` alone. Off, nothing is instrumented, and what stands here passes a ``traceparent`` on.

HTTP, SQL and Redis are traced by their instrumentation packages. Records are traced here, as they travel in batches: a
batch has a trace of its own, *linked* to what is in it; what is done for one record is a span in the trace that the
record belongs to. What has no trace gets none on the way. No span says what a tenant wrote or who it was (`Discreet`).
"""

import asyncio
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any, Final

import aiohttp
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from opentelemetry.context import Context
from opentelemetry.instrumentation.aiohttp_client import create_trace_config
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.util.types import Attributes
from yarl import URL

from production_contracts.envelope import Headers, KafkaRecord

TRACEPARENT: Final = "traceparent"
_FORMAT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
"""W3C Trace Context, section 3.2.2, version 00."""

_UNTRACED_PATHS: Final = "/healthz$,/readyz$,/metrics$"
_INSTRUMENTORS: Final = ("sqlalchemy", "redis")
"""Those that patch a library for all; each where it is installed."""

_SAID: Final = re.compile(
    r"(messaging|db|rpc)\..+|error\.type|exception\.type|http\.(request\.)?method|http\.route|http\.scheme|url\.scheme"
    r"|http\.(response\.)?status_code|http\.flavor|network\.protocol\.version|server\.(address|port)|net\.peer\.name"
)
_SAID_OF_CLIENTS: Final = re.compile(r"http\.url|url\.full|net\.peer\.port")


OURS_ALONE: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""For ``FastAPI(telemetry=...)``: its own would write what was raised, and looks for providers with each request."""


class Tracing:
    """What is installed in this process; one at a time."""

    provider: TracerProvider | None = None
    tracer: Tracer | None = None
    instrumentors: tuple[Any, ...] = ()


def configure(service: str, instance: str) -> None:
    """Trace as ``OTEL_*`` says, or not at all; call it before the app is built.

    Raises:
        ValueError: an exporter is named that is not installed.
    """
    if exporters := _exporters(os.environ):
        install(service, instance, *exporters)


def install(service: str, instance: str, *exporters: SpanExporter, at_once: bool = False) -> None:
    """Send spans to exporters, in the background or (for tests) ``at_once``, as soon as they end."""
    told = {"service.name": service, "service.instance.id": instance}
    resource = Resource.create({**told, **OTELResourceDetector().detect().attributes})
    provider = TracerProvider(resource=resource)
    provider.sampler = _Following(provider.sampler)
    for exporter in exporters:
        discreet = Discreet(exporter)
        provider.add_span_processor(SimpleSpanProcessor(discreet) if at_once else BatchSpanProcessor(discreet))
    installed = [
        found.load()()
        for name in _INSTRUMENTORS
        for found in entry_points(group="opentelemetry_instrumentor", name=name)
    ]
    for instrumentor in installed:
        # What it checks is that no newer SQLAlchemy is there than it was released for; we test with ours.
        instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
    Tracing.provider, Tracing.tracer = provider, provider.get_tracer("servicekit")
    Tracing.instrumentors = tuple(installed)


def uninstall() -> None:
    """Send what is left and trace no more."""
    for instrumentor in Tracing.instrumentors:
        instrumentor.uninstrument()
    if Tracing.provider is not None:
        Tracing.provider.shutdown()
    Tracing.provider, Tracing.tracer, Tracing.instrumentors = None, None, ()


def _exporters(environment: Mapping[str, str]) -> list[SpanExporter]:
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    endpoints = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    default = "otlp" if any(environment.get(name) for name in endpoints) else "none"
    named = [name.strip() for name in (environment.get("OTEL_TRACES_EXPORTER") or default).split(",")]
    return [_exporter(name, environment) for name in named if name not in {"", "none"}]


def _exporter(name: str, environment: Mapping[str, str]) -> SpanExporter:
    if name == "otlp":
        protocols = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
        protocol = next((environment[one] for one in protocols if environment.get(one)), "http/protobuf")
        name = "otlp_proto_" + protocol.partition("/")[0]
    for found in entry_points(group="opentelemetry_traces_exporter", name=name):
        exporter: SpanExporter = found.load()()
        return exporter
    message = f"the exporter of traces {name!r} is not installed here"
    raise ValueError(message)


class _Following(Sampler):
    """Chooses as ``OTEL_TRACES_SAMPLER`` says where a trace begins, and follows what was chosen.

    A batch is recorded where something in it is. A call that nobody's work needs (a poll, a ping) is not.
    """

    def __init__(self, chosen: Sampler) -> None:
        self._chosen = chosen

    def should_sample(  # noqa: PLR0917 - as the SDK calls it
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if not get_current_span(parent_context).get_span_context().is_valid:
            if links:
                followed = any(link.context.trace_flags.sampled for link in links)
                return SamplingResult(Decision.RECORD_AND_SAMPLE if followed else Decision.DROP, attributes)
            if kind is SpanKind.CLIENT:
                return SamplingResult(Decision.DROP)
        return self._chosen.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"Following{{{self._chosen.get_description()}}}"


class Discreet(SpanExporter):
    """Lets through what says nothing of a person or of what a tenant wrote.

    Attributes are let through by name (no URL, no address, no agent of a caller), errors by their type: the message of
    one from PostgreSQL quotes the row.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        """Hand on to ``exporter``."""
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export what may be said."""
        return self._exporter.export([_discreet(span) for span in spans])

    def shutdown(self) -> None:
        """Shut down what is behind."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush what is behind."""
        return self._exporter.force_flush(timeout_millis)


def _discreet(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_said(span.attributes, of_client=span.kind is SpanKind.CLIENT),
        events=[Event(event.name, _said(event.attributes), event.timestamp) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _said(attributes: Attributes, *, of_client: bool = False) -> dict[str, Any]:
    return {
        name: value
        for name, value in (attributes or {}).items()
        if _SAID.fullmatch(name) or (of_client and _SAID_OF_CLIENTS.fullmatch(name))
    }


def trace_requests(app: FastAPI) -> None:
    """Trace what an app is asked, but for health and metrics."""
    if Tracing.provider is not None:
        FastAPIInstrumentor.instrument_app(
            app,
            tracer_provider=Tracing.provider,
            excluded_urls=_UNTRACED_PATHS,
            exclude_spans=["receive", "send"],
        )


def of_client() -> list[aiohttp.TraceConfig]:
    """Give the ``trace_configs`` of an `aiohttp.ClientSession`; of a URL they say where, and not what."""
    if Tracing.provider is None:
        return []
    return [create_trace_config(url_filter=_origin, tracer_provider=Tracing.provider)]


@contextmanager
def calling(name: str, attributes: dict[str, str]) -> Iterator[dict[str, str]]:
    """Open a span for a call to something outside; gives the headers by which it goes on there, if it understands any.

    For what no instrumentation knows; where nothing is traced, or this is nobody's work, there is no span.
    """
    if Tracing.tracer is None:
        yield {}
        return
    with Tracing.tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=attributes) as span:
        traceparent = _write(span)
        yield {} if traceparent is None else {TRACEPARENT: traceparent}


def _origin(url: URL) -> str:
    return str(url.origin())


def current_ids() -> dict[str, str]:
    """Name the trace and the span in hand; empty where there is none."""
    context = get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


def carried(traceparent: str | None) -> str | None:
    """Give a traceparent that can be passed on: well-formed, and of a trace that is recorded."""
    context = _read(traceparent)
    return traceparent if context is not None and context.trace_flags.sampled else None


def traceparent_of(headers: Iterable[tuple[str, bytes]]) -> str | None:
    """Find the traceparent in a record's headers; the last one counts."""
    found = None
    for name, value in headers:
        if name == TRACEPARENT:
            found = value
    return carried((found or b"").decode("ascii", "replace")) if found else None


def _read(traceparent: str | None) -> SpanContext | None:
    found = _FORMAT.fullmatch(traceparent) if traceparent else None
    if found is None:
        return None
    context = SpanContext(
        int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=TraceFlags(int(found[3], 16))
    )
    return context if context.is_valid else None


def _write(span: Span) -> str | None:
    context = span.get_span_context()
    if not context.trace_flags.sampled:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


@contextmanager
def batch(name: str, traceparents: Iterable[str | None], attributes: dict[str, str | int]) -> Iterator[None]:
    """Do a batch's work in a trace of its own, linked to the traces of what is in it; in none where those are none."""
    links = [Link(context) for one in dict.fromkeys(traceparents) if (context := _read(one))] if Tracing.tracer else []
    if Tracing.tracer is None or not links:
        yield
        return
    with Tracing.tracer.start_as_current_span(
        name, context=Context(), kind=SpanKind.CONSUMER, links=links, attributes=attributes
    ):
        yield


@contextmanager
def each(
    kind: SpanKind, items: Sequence[tuple[str, str | None]], attributes: dict[str, str | int] | None = None
) -> Iterator[list[str | None]]:
    """Open a span for each item, given by name and traceparent, in the trace that it belongs to.

    It is linked to the span in hand, which is usually that of their batch, and ends with the block. Gives, in order,
    the traceparents that what follows from an item carries on.
    """
    tracer = Tracing.tracer
    if tracer is None:
        yield [carried(traceparent) for _, traceparent in items]
        return
    together = get_current_span().get_span_context()
    links = [Link(together)] if together.is_valid else []
    spans: list[Span | None] = []
    for name, traceparent in items:
        parent = _read(traceparent)
        context = None if parent is None else set_span_in_context(NonRecordingSpan(parent), Context())
        spans.append(
            None
            if context is None
            else tracer.start_span(name, context=context, kind=kind, links=links, attributes=attributes)
        )
    error: BaseException | None = None
    try:
        yield [None if span is None else _write(span) for span in spans]
    except BaseException as raised:
        error = raised
        raise
    finally:
        for span in spans:
            if span is not None:
                _end(span, error)


class Sending:
    """A record under way to Kafka: a span in the trace that its headers name, or else in the one in hand."""

    __slots__ = ("_span", "headers")

    def __init__(self, record: KafkaRecord) -> None:
        """Begin; ``headers`` are those to send."""
        self.headers: Headers = record.headers
        self._span: Span | None = None
        if Tracing.tracer is None:
            return
        own = _read(traceparent_of(record.headers))
        context = None if own is None else set_span_in_context(NonRecordingSpan(own), Context())
        if context is None and not get_current_span().get_span_context().is_valid:
            return
        attributes = {
            "messaging.system": "kafka",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": record.topic,
        }
        self._span = Tracing.tracer.start_span(
            f"send {record.topic}", context=context, kind=SpanKind.PRODUCER, attributes=attributes
        )
        self.headers = [(name, value) for name, value in record.headers if name != TRACEPARENT]
        if (traceparent := _write(self._span)) is not None:
            self.headers.append((TRACEPARENT, traceparent.encode()))

    def end(self, error: BaseException | None = None) -> None:
        """End: Kafka has acknowledged the record, or it failed."""
        if self._span is not None:
            _end(self._span, error)

    def end_with(self, sent: "asyncio.Future[Any]") -> None:
        """End when the record's acknowledgement has come, or failed."""
        if self._span is not None:
            sent.add_done_callback(
                lambda done: self.end(asyncio.CancelledError() if done.cancelled() else done.exception())
            )


def _end(span: Span, error: BaseException | None) -> None:
    if error is not None:
        span.set_attribute("error.type", type(error).__qualname__)
        span.set_status(StatusCode.ERROR)
    span.end()
