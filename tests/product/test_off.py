"""Without keys nothing is told, and it costs nothing: no library of theirs is imported, no thread is there for them."""

import os
import subprocess
import sys

import pytest

from local_stack.checkout import ROOT
from local_stack.credentials import Credentials
from local_stack.engines import Addresses
from local_stack.environment import SERVICES, service_environment
from local_stack.port import Ports

DEADLINE_S = 120
MAKE = {
    "gateway": "from gateway.bootstrap import build as make",
    "booking": "from booking.bootstrap import make_app as make",
    "tenancy": "from tenancy.bootstrap import make_app as make",
    "notifications": "from notifications.bootstrap import Notifications as make",
}
PROGRAM = """
import sys, threading
from servicekit import logs
from servicekit.secrets import load
from {service}.settings import Settings
{make}

settings = load(Settings)
logs.configure(settings, "{service}")
made = make(settings)
print(sorted({{name.partition(".")[0] for name in sys.modules}} & {{"sentry_sdk", "posthog"}}))
print([thread.name for thread in threading.enumerate()])
print(sys.excepthook is sys.__excepthook__)
"""
KEYS = {
    "SENTRY_DSN": "http://0f1e2d3c4b5a69788796a5b4c3d2e1f0@127.0.0.1:1/1",
    "POSTHOG_KEY": "phc_0a1b2c3d4e5f6a7b8c9d0e1f",
}


def put_together(service: str, **changes: str) -> list[str]:
    """Put a service together, as its program does before it serves; gives what that says of the process."""
    at = Addresses(postgres_port=1, redis_port=1, kafka_port=1, credentials=Credentials())
    environment = service_environment(at, Ports(), "http://127.0.0.1:1")[service]
    environment |= {f"{service.upper()}_{name}": value for name, value in changes.items()}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(service=service, make=MAKE[service])],
        env=os.environ | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


@pytest.mark.parametrize("service", SERVICES)
def test_without_a_key_nothing_is_there(service: str) -> None:
    assert put_together(service) == ["[]", "['MainThread']", "True"]


def test_with_keys_they_are_there_and_begin_nothing_before_they_are_needed() -> None:
    assert put_together("gateway", **KEYS) == ["['posthog', 'sentry_sdk']", "['MainThread']", "False"]
