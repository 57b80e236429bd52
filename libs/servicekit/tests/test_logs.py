"""Logs: one JSON object a line, with what is in hand, and without local variables."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
import structlog
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import Field

from servicekit import logs, repeats, tracing
from servicekit.settings import Port, ServiceSettings, settings_config

SECRET = "hush-hush"


class Settings(ServiceSettings):
    model_config = settings_config("TEST_LOGS_")
    instance: str = "test-1"
    http_port: Port = 0
    store_url: str = Field(default="redis://u:pass%2Fword-of-redis@h", repr=False)
    keys: dict[str, bytes] = Field(default={"a": b"0123456789abcdefghijklmnopqrstu!"}, repr=False)
    hooks: list[str] = Field(default=["whsec_c29tZXRoaW5nIHNpZ25lZCB3aXRo"], repr=False)


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


SHOWN = {
    "a password": "pass/word-of-redis",
    "a password as a URL has it": "pass%2Fword-of-redis",
    "a URL": "redis://u:pass%2Fword-of-redis@h",
    "a key": "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dSE=",
    "a signing secret": "c29tZXRoaW5nIHNpZ25lZCB3aXRo",
    "a token": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyX2FuYSJ9.c2lnbmF0dXJl",
    "an opaque token": "Authorization: Bearer s3cr3t-0paque",
    "a signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


@pytest.mark.parametrize("what", SHOWN)
def test_a_secret_that_gets_into_a_line_is_taken_out(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = SHOWN[what].removeprefix("Authorization: Bearer ").removeprefix("redis://u:").removesuffix("@h")
    with configured():
        structlog.get_logger("x").info("told", what=SHOWN[what])
        logging.getLogger("a.library").warning("told: %s", SHOWN[what])
        structlog.get_logger("x").error("failed", exc_info=ValueError(SHOWN[what]))
    said = capsys.readouterr().out
    assert said.count(logs.REDACTED) >= 3
    assert shown not in said


def test_what_is_no_secret_stays(capsys: pytest.CaptureFixture[str]) -> None:
    with configured():
        structlog.get_logger("x").info("decided", tenant="443952e0-554c-5be9-8f45-1f4df3a600a0", versions="v1, v2")
    assert logs.REDACTED not in capsys.readouterr().out


def test_loggers_that_show_what_goes_over_the_wire_say_nothing_at_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_LOGS_LOG_LEVEL", "debug")
    with configured():
        for name in ("aiokafka.conn", "uvicorn.error", "websockets.server"):
            assert not logging.getLogger(name).isEnabledFor(logging.DEBUG)
            assert logging.getLogger(name).isEnabledFor(logging.INFO)
        assert logging.getLogger("ours").isEnabledFor(logging.DEBUG)


def test_a_reason_goes_down_to_the_first_cause() -> None:
    first, second, last = OSError(1, "certificate verify failed"), RuntimeError(), ConnectionError("no connection")
    last.__context__, second.__cause__ = second, first
    assert logs.reason(last) == (
        "ConnectionError: no connection; because of RuntimeError; because of "
        "PermissionError: [Errno 1] certificate verify failed"
    )


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
