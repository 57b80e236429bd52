"""The running whole, for tests: engines of its own, the services, an issuer."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from local_stack.certificates import Certificate
from local_stack.engines import Addresses, Engines, Place, Trio, native
from local_stack.issuer import Issuer, IssuerServer
from local_stack.port import HOST, Ports, free_ports
from local_stack.provision import start_provisioned
from local_stack.services import Services
from production_contracts.principals import DOWNSTREAM
from servicekit.access import KafkaAccess


@dataclass(frozen=True, kw_only=True)
class SystemAddresses:
    """How to reach a running system, and the key that signs its tokens; plain data, so it can travel."""

    gateway_url: str
    booking_url: str
    tenancy_url: str
    notifications_urls: tuple[str, ...]
    engines: Addresses
    issuer_url: str
    issuer_pem: bytes
    logs: Path
    """The folder with the log of each part."""

    @property
    def downstream(self) -> KafkaAccess:
        """How downstream teams reach Kafka."""
        return self.engines.kafka_access(DOWNSTREAM.name)

    @property
    def issuer(self) -> Issuer:
        """Signs tokens that the system accepts, or just not."""
        return Issuer.from_pem(self.issuer_pem, self.issuer_url)

    def token(self, **words: Any) -> str:  # noqa: ANN401 - as Issuer.token takes them
        """Mint a token; see `Issuer.token`."""
        return self.issuer.token(**words)

    def authorization(self, **words: Any) -> dict[str, str]:  # noqa: ANN401 - as Issuer.token takes them
        """Give the request header with a new token."""
        return {"Authorization": f"Bearer {self.token(**words)}"}


class System:
    """Everything, on free ports, with its data in a temporary folder; a context manager.

    Two instances of notifications run besides one of each other service. `engines` and `services` stop, kill, pause
    and restart single parts, and start more instances.
    """

    def __init__(
        self,
        folder: Path,
        *,
        changes: Mapping[str, Mapping[str, str]] | None = None,
        make: Callable[[Place], Trio] = native,
        logs: Path | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        """Describe the system; `changes` are settings by service, as `Services` takes them. Logs as of `Engines`.

        With a certificate everything is reached by TLS 1.3 alone.
        """
        self.ports = Ports.free()
        self.engines = Engines(folder, ports=self.ports, durable=False, logs=logs, make=make, certificate=certificate)
        self.scheme = "http" if certificate is None else "https"
        self.certificate = None if certificate is None else certificate.written_to(self.engines.logs / "tls")
        self.issuer = Issuer.new(f"{self.scheme}://{HOST}:{self.ports.issuer}")
        self.services = Services(
            self.engines.addresses,
            ports=self.ports,
            issuer_url=self.issuer.url,
            logs=self.engines.logs,
            changes=changes,
            certificate=self.certificate,
        )
        self.second_notifications_port = free_ports(1)[0]
        self._running = contextlib.ExitStack()

    @property
    def at(self) -> SystemAddresses:
        """How to reach it."""
        notifications = (self.ports.notifications, self.second_notifications_port)
        return SystemAddresses(
            gateway_url=f"{self.scheme}://{HOST}:{self.ports.gateway}",
            booking_url=f"{self.scheme}://{HOST}:{self.ports.booking}",
            tenancy_url=f"{self.scheme}://{HOST}:{self.ports.tenancy}",
            notifications_urls=tuple(f"{self.scheme}://{HOST}:{port}" for port in notifications),
            engines=self.engines.addresses,
            issuer_url=self.issuer.url,
            issuer_pem=self.issuer.pem,
            logs=self.engines.logs,
        )

    def start(self) -> None:
        """Start everything and wait until it is ready; on a failure nothing is left running."""
        with contextlib.ExitStack() as running:
            self._issuer_server = running.enter_context(
                IssuerServer(self.issuer, self.ports.issuer, certificate=self.certificate)
            )
            start_provisioned(self.engines, self.services.environment)
            running.callback(self.engines.stop)
            running.enter_context(self.services)
            self.start_services()
            self._running = running.pop_all()

    @contextlib.contextmanager
    def without_issuer(self) -> Iterator[None]:
        """Let nobody answer, within this context, where the issuer publishes its keys; the system must run."""
        self._issuer_server.away = True
        try:
            yield
        finally:
            self._issuer_server.away = False

    def start_services(self) -> None:
        """Start the instances, and wait until each is ready."""
        self.services.start_all()
        self.services.start("notifications", number=2, port=self.second_notifications_port)

    def stop(self) -> None:
        """Stop everything, in order."""
        self._running.close()

    def discard(self) -> None:
        """Stop everything and remove its data."""
        self.stop()
        self.engines.discard()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()
