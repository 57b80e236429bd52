"""Structured logs: one JSON object a line on standard output, with the tenant, command and trace in hand.

No personal data: bind ids of tenants and commands, never a user's id, a name, a token, or the text of a booking.
"""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

import orjson
import structlog
from pydantic_settings import BaseSettings
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor

from servicekit import tracing
from servicekit.repeats import Repeats
from servicekit.secrets import written_secrets
from servicekit.settings import ServiceSettings

REDACTED: Final = "[redacted]"
_LONGEST_CHAIN: Final = 6
_LOGINS: Final = (
    r"eyJ[\w-]{6,}\.[\w-]{6,}\.[\w-]*",  # a JSON web token
    r"(?<=[Bb]earer )[^\s\"']+",
    r"v1a?,[A-Za-z0-9+/]{20,}=*",  # a signature of a webhook
)
_ON_THE_WIRE: Final = ("aiokafka", "uvicorn.error", "websockets")
"""Loggers that show at `debug` what they send and receive: passwords, tokens, and the text of bookings."""


def configure(settings: ServiceSettings, service: str) -> None:
    """Send the logs of structlog and of the standard library, libraries' own included, through one renderer.

    Tracebacks come without the values of local variables: tokens and the text of bookings are among them. Should a
    secret of the settings, a token or a signature get into a line all the same, it is taken out.

    With a DSN Sentry hears of what is logged at `error` or above, and of what nobody catches (`servicekit.sentry`).
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _stamp(service, settings.instance),
        _name_trace,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(Repeats())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(settings.log_format),
                _redactor(settings),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    if settings.sentry_dsn is not None:
        from servicekit import sentry  # noqa: PLC0415 - its memory and its time at the start are paid where it is used

        root.addHandler(sentry.handler(settings, service))
    root.setLevel(settings.log_level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name in _ON_THE_WIRE:
        logging.getLogger(name).setLevel(max(root.level, logging.INFO))
    logging.captureWarnings(capture=True)


def _stamp(service: str, instance: str) -> Processor:
    def stamp(_logger: object, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        event["instance"] = instance
        event.pop("color_message", None)
        return event

    return stamp


def _name_trace(_logger: object, _method: str, event: EventDict) -> EventDict:
    event.update(tracing.current_ids())
    return event


def _renderers(log_format: str) -> list[Processor]:
    if log_format == "console":
        return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return [
        structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(serializer=_dumps),
    ]


def _redactor(settings: BaseSettings) -> Processor:
    secrets = sorted(map(re.escape, written_secrets(settings)), key=len, reverse=True)
    pattern = re.compile("|".join([*_LOGINS, *secrets]))

    def redact(_logger: object, _method: str, rendered: EventDict) -> str:
        return pattern.sub(REDACTED, str(rendered))  # the renderer before gives a line of text

    return redact


def _dumps(event: EventDict, **_: object) -> str:
    return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()


def reason(error: BaseException) -> str:
    """Say why something failed, down to the first cause.

    Of a certificate that is not trusted, redis-py itself says no more than ``network:ConnectionError``.
    """
    told: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(told) < _LONGEST_CHAIN:
        one = f"{type(seen).__name__}: {seen}".removesuffix(": ")
        if one not in told:
            told.append(one)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "; because of ".join(told)


@contextmanager
def bound(*, tenant_id: UUID | None = None, command_id: UUID | str | None = None) -> Iterator[None]:
    """Name the tenant and the command in hand in every line logged inside."""
    given = {"tenant_id": tenant_id, "command_id": command_id}
    with structlog.contextvars.bound_contextvars(**{name: str(value) for name, value in given.items() if value}):
        yield
