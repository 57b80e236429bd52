"""Errors, told to Sentry: what failed, where in the code, and for which tenant and command; never what was said or who.

Off without a DSN: then nothing of this is imported. On, what is logged at `error` or above is told, and what nobody
caught. Nothing is patched but the two hooks for what nobody caught: no integration of the SDK is used, and no scope,
breadcrumb or request of it is there to be told.

An event is built here from what is known to be harmless, and passes `allowed` on its way out, so that whatever the SDK
may add some day is left out. It holds no text that is made when something fails: the message of an exception quotes
rows and requests, so of an exception its type and the lines of our code are told; of a line in the log the constant
that it begins with, and of a library's only where it was logged.
"""

import logging
import re
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import version
from types import TracebackType
from typing import Any, Final, cast

import structlog
from sentry_sdk.client import Client
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import event_from_exception

from servicekit import tracing
from servicekit.repeats import Repeats
from servicekit.settings import ServiceSettings

QUEUED: Final = 100
"""Errors that wait to be sent; one more is dropped, and Sentry is told how many were."""
FAREWELL_SECONDS: Final = 2.0
"""How long the end of a process waits for what is not sent yet."""

_OURS: Final = ("servicekit", "production_contracts")
_UNHEARD: Final = ("sentry_sdk", "urllib3", "posthog")
"""Loggers of what tells others: an outage there is no error of ours, and telling of it would go the same way."""
_LEVELS: Final = {"critical": "fatal"}

_TAGS: Final = {
    "service": re.compile(r"[a-z]{1,40}"),
    "instance": re.compile(r"[\w.:-]{1,200}"),
    "tenant_id": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "command_id": re.compile(r"[\w.~-]{1,200}"),
    "trace_id": re.compile(r"[0-9a-f]{32}"),
}
"""What an event is found by, and how each must look."""
_PLAIN: Final = (
    *("event_id", "timestamp", "platform", "level", "logger", "release", "environment", "server_name", "message"),
)
_OF_EXCEPTION: Final = ("type", "module")
_OF_MECHANISM: Final = ("type", "handled", "source", "exception_id", "parent_id", "is_exception_group")
_OF_FRAME: Final = (
    *("filename", "function", "module", "lineno", "in_app", "pre_context", "context_line", "post_context"),
)


def handler(settings: ServiceSettings, service: str) -> logging.Handler:
    """Make the handler that tells of what is logged, and watch for what nobody catches; of ``settings`` the DSN is set.

    It waits for nothing: what is told goes through a bounded queue to a thread, which begins with the first error.
    """
    made = _Handler(_client(settings, service), service, settings.instance)
    sys.excepthook = _Unhandled(made, sys.excepthook)
    threading.excepthook = _UnhandledInThread(made, threading.excepthook)
    return made


def _client(settings: ServiceSettings, service: str) -> Client:
    # Without `send_default_pii`, which is deprecated and off unless it is set.
    return Client(
        dsn=settings.sentry_dsn,
        environment=settings.sentry_environment,
        release=settings.sentry_release or f"production-{service}@{version(f'production-{service}')}",
        server_name=settings.instance,
        before_send=allowed,
        default_integrations=False,
        auto_enabling_integrations=False,
        include_local_variables=False,
        max_breadcrumbs=0,
        max_request_body_size="never",
        auto_session_tracking=False,
        enable_backpressure_handling=False,
        transport_queue_size=QUEUED,
        shutdown_timeout=FAREWELL_SECONDS,
        spotlight=False,
        debug=False,
        in_app_include=[*_OURS, service],
    )


class _Handler(logging.Handler):
    """Tells Sentry of what is logged at `error` or above."""

    def __init__(self, client: Client, service: str, instance: str) -> None:
        super().__init__(logging.ERROR)
        self.addFilter(Repeats())
        self._client = client
        self._service = service
        self._instance = instance

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] in _UNHEARD:
            return
        line: Mapping[str, Any] = record.msg if isinstance(record.msg, dict) else {}
        error = line.get("exc_info") or record.exc_info
        message = f"{record.name}, line {record.lineno} of {record.module}"
        if record.name.partition(".")[0] in {*_OURS, self._service}:
            message = str(line.get("event", record.msg))
        level = record.levelname.lower()
        self.tell(message, error, level=_LEVELS.get(level, level), logger=record.name, line=line)

    def tell(
        self,
        message: str,
        error: Any,  # noqa: ANN401 - whatever is given to a logger as `exc_info`
        *,
        level: str = "fatal",
        logger: str = "unhandled",
        line: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell of an error; ``line`` is what was logged with it, and counts before what is in hand."""
        told: dict[str, Any] = {**structlog.contextvars.get_contextvars(), **tracing.current_ids(), **(line or {})}
        tags = {"service": self._service, "instance": self._instance}
        tags |= {name: str(told[name]) for name in _TAGS if told.get(name) is not None and name not in tags}
        event: dict[str, Any] = {}
        hint: Hint = {}
        with suppress(Exception):  # an error that can't be told is in the log, and must not become another one
            found = sys.exc_info() if error is True else error
            if found and found != (None, None, None):
                made, hint = event_from_exception(found, client_options=self._client.options)
                event.update(made)
            event |= {"level": level, "logger": logger, "message": message, "tags": tags}
            if {"trace_id", "span_id"} <= told.keys():
                event["contexts"] = {"trace": {name: told[name] for name in ("trace_id", "span_id")}}
            self._client.capture_event(cast("Event", event), hint)

    def close(self) -> None:
        """Send what waits, within `FAREWELL_SECONDS`; `logging.shutdown` calls it at the end of the process."""
        self._client.close()
        super().close()


class _Unhandled:
    def __init__(self, told: _Handler, before: Any) -> None:  # noqa: ANN401 - another hook
        self._handler = told
        self._before = before

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, Exception):
            self._handler.tell("nobody caught this, and the process ended", (kind, error, trace))
        self._before(kind, error, trace)


class _UnhandledInThread:
    def __init__(self, told: _Handler, before: Any) -> None:  # noqa: ANN401 - another hook
        self._handler = told
        self._before = before

    def __call__(self, found: threading.ExceptHookArgs) -> None:
        if issubclass(found.exc_type, Exception):
            error = (found.exc_type, found.exc_value, found.exc_traceback)
            self._handler.tell("nobody caught this, and a thread ended", error)
        self._before(found)


def allowed(event: Event, _hint: Hint) -> Event:
    """Give of an event what may be told; everything that is not named here is left out."""
    found: dict[str, Any] = dict(event)
    told = _some(found, _PLAIN)
    tags = found.get("tags") or {}
    told["tags"] = {name: tags[name] for name, like in _TAGS.items() if like.fullmatch(str(tags.get(name, "")))}
    if trace := (found.get("contexts") or {}).get("trace"):
        told["contexts"] = {"trace": _some(trace, ("trace_id", "span_id"))}
    if sdk := found.get("sdk"):
        told["sdk"] = _some(sdk, ("name", "version"))
    if exceptions := (found.get("exception") or {}).get("values"):
        told["exception"] = {"values": [_exception(one) for one in exceptions]}
    return cast("Event", told)


def _exception(found: Mapping[str, Any]) -> dict[str, Any]:
    told = _some(found, _OF_EXCEPTION)
    if mechanism := found.get("mechanism"):
        told["mechanism"] = _some(mechanism, _OF_MECHANISM)
    if frames := (found.get("stacktrace") or {}).get("frames"):
        told["stacktrace"] = {"frames": [_some(frame, _OF_FRAME) for frame in frames]}
    return told


def _some(found: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: found[name] for name in names if found.get(name) is not None}
