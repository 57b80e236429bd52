"""A service's commands for operators, run against the local stack with the settings that the service itself has."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from local_stack import checkout, stack
from local_stack.engines import Addresses, Engines
from local_stack.environment import WITH_DATABASE, dead_letter_environment, service_environment
from local_stack.failure import StackFailure
from local_stack.port import Ports

HAVE_COMMANDS = (*WITH_DATABASE, "notifications")
REMEDY = 'make operate DO="booking deadletters list"'


def operate(words: Sequence[str]) -> NoReturn:
    """Become `python -m *words`.

    Raises:
        StackFailure: nothing runs, or the first word is no service that has commands.
    """
    if not words or words[0] not in HAVE_COMMANDS:
        problem = f"an operator's command begins with one of {', '.join(HAVE_COMMANDS)}"
        raise StackFailure(part="operate", problem=problem, remedy=REMEDY)
    if stack.running_pid() is None:
        problem = "the local stack does not run from this checkout"
        raise StackFailure(part="operate", problem=problem, remedy="start it with `make run`")
    ports = Ports.from_environment()
    addresses = Engines(checkout.DATA, ports=ports).addresses
    environment = operator_environment(addresses, ports, stack.issuer_url(ports), words)
    os.execve(sys.executable, [sys.executable, "-m", *words], os.environ | environment)  # noqa: S606 - no shell


def operator_environment(engines: Addresses, ports: Ports, issuer_url: str, words: Sequence[str]) -> Mapping[str, str]:
    """Give the variables of an operator's command: the service's, and for dead letters the tool's own principal."""
    service, *command = words
    environment = service_environment(engines, ports, issuer_url)[service]
    if command[:1] == ["deadletters"]:
        return dead_letter_environment(engines, environment, service)
    return environment
