"""The services, as many instances of each as one likes."""

import contextlib
import http.client
import os
import ssl
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Self

from local_stack.certificates import CertificateFiles
from local_stack.checkout import ROOT
from local_stack.engines import Addresses
from local_stack.environment import OWN_DATABASES, SERVICES, service_environment
from local_stack.part import Part, wait_until_ready
from local_stack.port import HOST, Ports
from local_stack.process import Child

LONGEST_ANSWER = 2000


class Instance(Part):
    """One process that serves HTTP and says at `/readyz` whether it is ready."""

    def __init__(
        self,
        name: str,
        module: list[str],
        *,
        port: int,
        environment: Mapping[str, str],
        log: Path,
        scheme: str = "http",
    ) -> None:
        """Describe the process: `python -m *module` with these variables besides our own."""
        self.scheme = scheme
        self.name = name
        self.module = module
        self.port = port
        self.environment = dict(environment)
        self.log = log

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"{self.scheme}://{HOST}:{self.port}"

    def make_child(self) -> Child:
        """Run with the interpreter that runs us."""
        command = [sys.executable, "-m", *self.module]
        environment = os.environ | self.environment | {"PYTHONUNBUFFERED": "1"}
        return Child(self.name, command, log=self.log, folder=ROOT, environment=environment)

    def answers(self) -> bool:
        """Tell whether the process runs and calls itself ready."""
        ready, self.complaint = readiness(self.port, self.scheme)
        return self.alive and ready


class Services:
    """Starts instances of the services against running engines; a context manager that stops them all.

    `changes` are settings by service, without the prefix: `{"gateway": {"REPLY_WAIT_SECONDS": "1"}}`.
    """

    def __init__(
        self,
        engines: Addresses,
        *,
        ports: Ports,
        issuer_url: str,
        logs: Path,
        databases: Mapping[str, str] = OWN_DATABASES,
        changes: Mapping[str, Mapping[str, str]] | None = None,
        certificate: CertificateFiles | None = None,
    ) -> None:
        """Describe the services; nothing runs yet. With a certificate they serve by HTTPS."""
        self.scheme = "http" if certificate is None else "https"
        self.ports = ports
        self.logs = logs
        self.environment = service_environment(engines, ports, issuer_url, databases=databases, certificate=certificate)
        for service, settings in (changes or {}).items():
            self.environment[service] |= {f"{service.upper()}_{name}": value for name, value in settings.items()}
        self.instances: list[Instance] = []

    def instance(self, service: str, *, number: int = 1, port: int | None = None, **changes: str) -> Instance:
        """Describe the numbered instance of a service: on the stack's port, or another; with settings of its own.

        `changes` are settings without the service's prefix: `LOG_LEVEL="debug"`.
        """
        name = service if number == 1 else f"{service}-{number}"
        listens = port or getattr(self.ports, service)
        settings = {"HTTP_PORT": str(listens), "INSTANCE": f"{service}-{number}"} | changes
        environment = self.environment[service] | {f"{service.upper()}_{key}": value for key, value in settings.items()}
        log = self.logs / f"{name}.log"
        instance = Instance(name, [service], port=listens, environment=environment, log=log, scheme=self.scheme)
        self.instances.append(instance)
        return instance

    def start(self, service: str, *, number: int = 1, port: int | None = None, **changes: str) -> Instance:
        """Start an instance and wait until it is ready."""
        instance = self.instance(service, number=number, port=port, **changes)
        instance.start()
        return instance

    def start_all(self) -> None:
        """Start one instance of each service, side by side, and wait until all are ready."""
        begun = [self.instance(service) for service in SERVICES]
        for instance in begun:
            instance.begin()
        wait_until_ready(begun)

    def stop(self) -> None:
        """Stop every instance, the last one first."""
        with contextlib.ExitStack() as stack:
            for instance in self.instances:
                stack.callback(instance.stop)

    def __enter__(self) -> Self:
        """Start nothing: what runs is the caller's choice."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()


def readiness(port: int, scheme: str = "http") -> tuple[bool, str]:
    """Ask `/readyz`: whether it says yes, and what it says; by HTTPS whoever answers there."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    if scheme == "https":
        connection = http.client.HTTPSConnection(HOST, port, timeout=5, context=_unverified())
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        answer = response.read(LONGEST_ANSWER).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return False, f"/readyz: {error}"
    finally:
        connection.close()
    return response.status == HTTPStatus.OK, f"/readyz: {response.status} {answer}"


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
