"""Logs: one JSON object a line, with what is in hand, and without local variables."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
import structlog
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from servicekit import logs, repeats, tracing
from servicekit.settings import Port, ServiceSettings, settings_config

SECRET = "hush-hush"


class Settings(ServiceSettings):
    model_config = settings_config("TEST_LOGS_")
    instance: str = "test-1"
    http_port: Port = 0


@contextmanager
def configured() -> Iterator[None]:
    """Configure inside the test: what pytest captures in a fixture is another stream."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure(Settings(), "tested")
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_line_names_service_replica_tenant_and_command(capsys: pytest.CaptureFixture[str]) -> None:
    tenant, command = UUID(int=1), UUID(int=2)
    with configured():
        with logs.bound(tenant_id=tenant, command_id=command):
            structlog.get_logger("x").info("decided", count=3)
        structlog.get_logger("x").info("idle")
    first, second = lines(capsys)
    assert (first["service"], first["instance"], first["message"]) == ("tested", "test-1", "decided")
    assert (first["tenant_id"], first["command_id"], first["count"]) == (str(tenant), str(command), 3)
    assert "tenant_id" not in second


def test_lines_of_libraries_look_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    with configured():
        logging.getLogger("aiokafka").warning("lost %s", "node 1")
    (line,) = lines(capsys)
    assert (line["message"], line["level"], line["logger"]) == ("lost node 1", "warning", "aiokafka")


def test_a_traceback_shows_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(token: str) -> None:
        assert token
        message = "broken"
        raise RuntimeError(message)

    with configured():
        try:
            fail(SECRET)
        except RuntimeError:
            structlog.get_logger("x").exception("failed")
    out = capsys.readouterr().out
    assert "RuntimeError" in out
    assert SECRET not in out


def test_a_line_names_the_trace_and_the_span_in_hand(capsys: pytest.CaptureFixture[str]) -> None:
    tracing.install("tested", "test-1", InMemorySpanExporter(), at_once=True)
    try:
        assert tracing.Tracing.tracer is not None
        with configured():
            with tracing.Tracing.tracer.start_as_current_span("work") as span:
                structlog.get_logger("x").info("traced")
                logging.getLogger("aiokafka").warning("traced too")
            structlog.get_logger("x").info("idle")
    finally:
        tracing.uninstall()
    ours, theirs, idle = lines(capsys)
    context = span.get_span_context()
    for line in (ours, theirs):
        assert (line["trace_id"], line["span_id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert "trace_id" not in idle


def test_the_count_of_what_was_held_back_is_on_the_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with configured():
        logging.getLogger("aiokafka").error("lost")
        logging.getLogger("aiokafka").error("lost")
        monkeypatch.setattr(repeats, "QUIET_SECONDS", 0.0)
        logging.getLogger("aiokafka").error("lost")
    first, second = lines(capsys)
    assert "repeated" not in first
    assert second["repeated"] == 1
