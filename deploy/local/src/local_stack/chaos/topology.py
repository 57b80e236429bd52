"""The running whole with two instances of gateway, booking and notifications, and a proxy in every connection."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from local_stack import redis_server
from local_stack.chaos.proxy import Link
from local_stack.chaos.schedule import INSTANCES, LINKS
from local_stack.engines import Place, Trio, native
from local_stack.failure import StackFailure
from local_stack.kafka import Kafka
from local_stack.part import Part, wait_until_ready
from local_stack.port import HOST, free_ports
from local_stack.services import Instance
from local_stack.system import System

FAKETIME = "libfaketime.so.1"


class Topology(System):
    """A `System` in which each part has a name that faults are aimed at (see `schedule`).

    The proxies run in the event loop that calls `open_links`; start the system from another thread once they stand.
    """

    def __init__(self, folder: Path, *, logs: Path, skewed: bool, mutation: str | None = None) -> None:
        """Describe it; `skewed` lets `clock` say what time it is; with a mutation the services are not as written."""
        ports = free_ports(2 * len(LINKS) + 2)
        self.link_ports = dict(zip(LINKS, ports, strict=False))
        self._kafka_doors = {
            door: self.link_ports[link]
            for link, door in zip(LINKS, ports[len(LINKS) :], strict=False)
            if link.endswith(">kafka")
        }
        super().__init__(folder, make=self._make, logs=logs)
        self.faketime = faketime() if skewed else None
        self.mutation = mutation
        self.clocks = folder
        self.named: dict[str, Instance] = {}
        self._second_ports = {
            "gateway-2": ports[-1],
            "booking-2": ports[-2],
            "notifications-2": self.second_notifications_port,
        }
        self.links = {name: Link(name, self.link_ports[name], self._target(name)) for name in LINKS}

    @property
    def gateway_urls(self) -> tuple[str, str]:
        """Where the two gateways serve."""
        return (f"http://{HOST}:{self.ports.gateway}", f"http://{HOST}:{self._second_ports['gateway-2']}")

    @property
    def engine_parts(self) -> Mapping[str, Part]:
        """The engines by name."""
        return {engine.name: engine for engine in self.engines.all}

    async def open_links(self, stack: AsyncExitStack) -> None:
        """Let the proxies stand until the stack is left."""
        for link in self.links.values():
            await stack.enter_async_context(link)

    def start_services(self) -> None:
        """Start every instance, and wait until each is ready."""
        for name, service in INSTANCES.items():
            self.named[name] = self._instance(name, service)
        for instance in self.named.values():
            instance.begin()
        wait_until_ready(list(self.named.values()))

    def set_clock(self, name: str, seconds: int) -> None:
        """Let an instance's clock be ahead by so much; its monotonic clock, which times waits, is as it was."""
        file = self.clock_file(name)
        fresh = file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.rename(file)

    def clock_file(self, name: str) -> Path:
        """Name the file that says what time it is for an instance."""
        return self.clocks / f"{name}.clock"

    def _make(self, place: Place) -> Trio:
        trio = native(place)
        assert isinstance(trio.kafka, Kafka)  # noqa: S101 - `native` makes one
        trio.kafka.doors = self._kafka_doors
        return trio

    def _instance(self, name: str, service: str) -> Instance:
        number = 2 if name.endswith("-2") else 1
        instance = self.services.instance(
            service, number=number, port=self._second_ports.get(name), **self._settings(name, service)
        )
        if self.mutation is not None:
            instance.module = ["local_stack.chaos.mutant", self.mutation, service]
        if self.faketime is not None:
            self.set_clock(name, 0)
            instance.environment |= {
                "LD_PRELOAD": str(self.faketime),
                "FAKETIME_TIMESTAMP_FILE": str(self.clock_file(name)),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        return instance

    def _settings(self, name: str, service: str) -> dict[str, str]:
        through = {link.partition(">")[2]: port for link, port in self.link_ports.items() if link.split(">")[0] == name}
        settings = {"KAFKA_BOOTSTRAP": f"{HOST}:{through['kafka']}"}
        if "redis" in through:
            settings["REDIS_URL"] = redis_server.url(through["redis"], self.engines.credentials, service)
        if "postgresql" in through:
            direct = self.engines.postgres_url(service, f"{service}_service")
            settings["DATABASE_URL"] = direct.replace(f":{self.ports.postgres}/", f":{through['postgresql']}/")
        for owner in ("booking", "tenancy"):
            if owner in through:
                settings[f"{owner.upper()}_URL"] = f"http://{HOST}:{through[owner]}"
        return settings

    def _target(self, link: str) -> int:
        name, _, other = link.partition(">")
        if other == "kafka":
            return next(door for door, advertised in self._kafka_doors.items() if advertised == self.link_ports[link])
        if other == "booking" and name.endswith("-2"):
            return self._second_ports["booking-2"]
        return int(getattr(self.ports, {"postgresql": "postgres"}.get(other, other)))


def faketime() -> Path:
    """Find libfaketime.

    Raises:
        StackFailure: it is not installed.
    """
    for folder in ("/usr/lib/*/faketime", "/usr/local/lib/faketime", "/usr/lib64/faketime", "/usr/lib/faketime"):
        for found in Path("/").glob(f"{folder.lstrip('/')}/{FAKETIME}"):
            return found
    raise StackFailure(
        part="chaos",
        problem="libfaketime, which skews a service's clock, is not installed",
        remedy="run deploy/local/setup, install the package libfaketime, or leave the fault `clock` out",
    )
