"""The ports of the local stack, each of them settable."""

import os
import socket
from dataclasses import asdict, dataclass, fields
from typing import Self

HOST = "127.0.0.1"
"""Everything listens on loopback only."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where each part listens, out of the way of what people already run."""

    gateway: int = 8000
    notifications: int = 8001
    booking: int = 8002
    tenancy: int = 8003
    issuer: int = 8090
    postgres: int = 15432
    redis: int = 16379
    kafka: int = 19092
    kafka_controller: int = 19093

    @classmethod
    def from_environment(cls) -> Self:
        """Take `STACK_<PART>_PORT` where it is set, else the default."""
        names = [field.name for field in fields(cls)]
        settings = {name: os.environ.get(variable(name)) for name in names}
        return cls(**{name: int(setting) for name, setting in settings.items() if setting})

    @classmethod
    def free(cls) -> Self:
        """Choose ports that nobody uses at present."""
        names = [field.name for field in fields(cls)]
        return cls(**dict(zip(names, free_ports(len(names)), strict=True)))

    def busy(self) -> dict[str, int]:
        """Tell which of the ports somebody else listens on."""
        return {name: port for name, port in asdict(self).items() if is_busy(port)}


def variable(part: str) -> str:
    """Name the environment variable that sets the port of a part."""
    return f"STACK_{part.upper()}_PORT"


def free_ports(count: int) -> list[int]:
    """Choose that many ports, all different, that nobody uses at present."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for listener in sockets:
            listener.bind((HOST, 0))
        return [listener.getsockname()[1] for listener in sockets]
    finally:
        for listener in sockets:
            listener.close()


def is_busy(port: int) -> bool:
    """Tell whether somebody listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
        return False


def listens(port: int) -> bool:
    """Tell whether a connection to the port is taken."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((HOST, port)) == 0
