"""Sentry: what fails is told with its context, and nothing that anybody wrote; a Sentry that is away is in no way."""

import asyncio
import logging
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
import structlog
from libs.servicekit.tests.sentry_server import KEY, SentryServer, reporting
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import ValidationError

from servicekit import logs, sentry, tracing
from servicekit.settings import Port, ServiceSettings, settings_config

TENANT, COMMAND = UUID(int=1), UUID(int=2)
NAME, MAIL, NOTES, TOKEN = "Rosa Secreta", "rosa@example.org", "by the back gate", "eyJhbGciOi.eyJzdWIi.c2lnbmVk"
PLANTED = (NAME, MAIL, NOTES, TOKEN)


class Settings(ServiceSettings):
    model_config = settings_config("TEST_SENTRY_")
    instance: str = "booking-7"
    http_port: Port = 0
    sentry_environment: str = "staging"


@asynccontextmanager
async def telling(server: SentryServer, **changes: Any) -> AsyncIterator[None]:  # noqa: ANN401 - whatever a field takes
    """Log as booking does, with this Sentry."""
    async with server.serving() as dsn, reporting(Settings(sentry_dsn=dsn, **changes), "booking"):
        try:
            yield
        finally:
            if server.gate is not None:
                server.gate.set()


@pytest.fixture
async def server() -> AsyncIterator[SentryServer]:
    server = SentryServer()
    async with telling(server):
        yield server


def fail(text: str) -> None:
    token = f"{text} {TOKEN}"
    raise KeyError(token)


async def test_an_error_is_told_with_what_was_in_hand(server: SentryServer) -> None:
    tracing.install("booking", "booking-7", InMemorySpanExporter(), at_once=True)
    try:
        assert tracing.Tracing.tracer is not None
        with (
            tracing.Tracing.tracer.start_as_current_span("decide"),
            logs.bound(tenant_id=TENANT, command_id=COMMAND),
        ):
            ids = tracing.current_ids()
            try:
                fail(NOTES)
            except KeyError:
                structlog.get_logger("servicekit.worker").exception("command_failed", partition=3)
    finally:
        tracing.uninstall()
    (event,) = await server.heard(1)
    assert event["tags"] == {
        "service": "booking",
        "instance": "booking-7",
        "tenant_id": str(TENANT),
        "command_id": str(COMMAND),
        "trace_id": ids["trace_id"],
    }
    assert event["contexts"] == {"trace": ids}
    assert (event["environment"], event["release"]) == ("staging", "production-booking@2.0.0")
    assert (event["level"], event["logger"], event["message"]) == ("error", "servicekit.worker", "command_failed")
    (error,) = event["exception"]["values"]
    assert (error["type"], "value" in error) == ("KeyError", False)
    *_, last = error["stacktrace"]["frames"]
    assert (last["function"], last["context_line"].strip()) == ("fail", "raise KeyError(token)")


async def test_nothing_that_anybody_wrote_is_told(server: SentryServer) -> None:
    def cause() -> None:
        notes = NOTES
        error = ValueError(f'duplicate key: Key (name)=("{NAME}") already exists')
        error.add_note(notes)
        raise error

    def effect() -> None:
        try:
            cause()
        except ValueError as caused:
            raise RuntimeError(MAIL) from caused

    with pytest.raises(RuntimeError) as failed:
        effect()
    grouped = ExceptionGroup(NOTES, [failed.value, ValueError(TOKEN)])
    with structlog.contextvars.bound_contextvars(user=MAIL, tenant_id=NAME, command_id=f"{NOTES}!"):
        structlog.get_logger("booking.x").error("fill_failed", reason=NOTES, trace_id=TOKEN, exc_info=grouped)
        logging.getLogger("aiokafka.x").error("can not send %s", NOTES, exc_info=grouped)
        logging.getLogger("asyncio").error(f"Task failed: {NAME}", extra={"task": MAIL})  # noqa: G004 - as libraries do
    events = await server.heard(3)
    assert [planted for planted in PLANTED if planted in "\n".join(server.sent)] == []
    assert [one["type"] for one in events[0]["exception"]["values"]][-1] == "ExceptionGroup"
    assert len(events[0]["exception"]["values"]) == 4
    assert events[0]["tags"].keys() == {"service", "instance"}


async def test_of_a_librarys_line_its_place_is_told(server: SentryServer) -> None:
    logging.getLogger("asyncpg.pool").critical("lost %s", NAME)
    (event,) = await server.heard(1)
    assert event["message"].startswith("asyncpg.pool, line ")
    assert event["message"].endswith(" of test_sentry")
    assert event["level"] == "fatal"


async def test_what_is_no_error_is_not_told(server: SentryServer) -> None:
    structlog.get_logger("booking.x").warning("kafka_unavailable")
    logging.getLogger("posthog").error("error uploading")
    logging.getLogger("urllib3.connectionpool").error("it can't be reached")
    structlog.get_logger("booking.x").error("told")
    assert [event["message"] for event in await server.heard(1)] == ["told"]


async def test_what_nobody_catches_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, *_: ended.append(kind.__name__))
    monkeypatch.setattr(threading, "excepthook", lambda found: ended.append(found.exc_type.__name__))
    server = SentryServer()
    async with telling(server):
        thread = threading.Thread(target=fail, args=(NOTES,))
        thread.start()
        await asyncio.to_thread(thread.join)
        try:
            fail(NOTES)
        except KeyError as error:
            sys.excepthook(KeyError, error, error.__traceback__)
        sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
        events = await server.heard(2)
    assert [event["exception"]["values"][0]["type"] for event in events] == ["KeyError"] * 2
    assert {event["level"] for event in events} == {"fatal"}
    assert ended == ["KeyError", "KeyError", "KeyboardInterrupt"], "whoever listened before hears of it as well"
    assert NOTES not in "\n".join(server.sent)


async def test_errors_do_not_wait_for_a_sentry_that_does_not_answer() -> None:
    server = SentryServer()
    server.gate = asyncio.Event()
    async with telling(server):
        log = structlog.get_logger("booking.x")
        for _ in range(3 * sentry.QUEUED):
            log.error("failed")
        assert server.events == []
        server.gate.set()
        await server.heard_any()
    assert 0 < len(server.events) <= sentry.QUEUED + 1, "one is on its way, the queue is full, the rest is dropped"


def test_what_is_not_named_is_left_out() -> None:
    frame = {"function": "f", "lineno": 3, "vars": {"notes": NOTES}, "abs_path": f"/home/{NAME}"}
    error = {
        "type": "E",
        "value": MAIL,
        "mechanism": {"type": "generic", "data": NOTES},
        "stacktrace": {"frames": [frame]},
    }
    event: Any = {
        "event_id": "1",
        "message": "failed",
        "user": {"email": MAIL},
        "request": {"headers": {"authorization": TOKEN}, "data": NOTES},
        "breadcrumbs": {"values": [{"message": NOTES}]},
        "extra": {"notes": NOTES},
        "contexts": {"trace": {"trace_id": "t", "data": NOTES}, "device": {"name": NAME}},
        "tags": {"service": "booking", "user": MAIL, "tenant_id": NAME},
        "modules": {NAME: "1"},
        "sdk": {"name": "sentry.python", "integrations": [NAME]},
        "exception": {"values": [error]},
        "threads": {"values": [NAME]},
    }
    assert sentry.allowed(event, {}) == {
        "event_id": "1",
        "message": "failed",
        "contexts": {"trace": {"trace_id": "t"}},
        "tags": {"service": "booking"},
        "sdk": {"name": "sentry.python"},
        "exception": {
            "values": [
                {
                    "type": "E",
                    "mechanism": {"type": "generic"},
                    "stacktrace": {"frames": [{"function": "f", "lineno": 3}]},
                }
            ]
        },
    }


@pytest.mark.parametrize("dsn", ["", "https://sentry.example/1", f"https://{KEY}@sentry.example", f"ftp://{KEY}@h/1"])
def test_what_is_no_dsn_is_refused_and_not_shown(dsn: str) -> None:
    with pytest.raises(ValidationError, match="a DSN is https://<key>@<host>/<project>") as refused:
        Settings(sentry_dsn=dsn)
    assert KEY not in str(refused.value)
    assert KEY not in repr(Settings(sentry_dsn=f"https://{KEY}@sentry.example/1"))
