"""The ports of the local stack, each of them settable."""

import fcntl
import os
import socket
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final, Self

HOST = "127.0.0.1"
"""Everything listens on loopback only."""
_CHOICE: Final = range(20_000, 32_000)
"""Linux gives outgoing connections ports from 32768 on, others from 49152 on (RFC 6335, section 6)."""


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
    """Choose that many ports, all different, that nobody uses at present, nor is given before thousands of others are.

    They lie below those that the system gives to outgoing connections, which took one between its choice and its use,
    and are counted in a file that all processes of this user share, so that no two choose the same.
    """
    chosen: list[int] = []
    with (Path(tempfile.gettempdir()) / f"production-tool-{os.getuid()}.ports").open("a+") as counter:
        fcntl.flock(counter, fcntl.LOCK_EX)
        counter.seek(0)
        read = counter.read()
        last = int(read) if read.isdecimal() else 0  # it is new, or was spoilt: any number will do
        for number in range(last + 1, last + 1 + len(_CHOICE)):
            port = _CHOICE[number % len(_CHOICE)]
            if not is_busy(port):
                chosen.append(port)
            if len(chosen) == count:
                counter.truncate(0)
                counter.write(str(number))
                return chosen
    message = f"of the ports {_CHOICE[0]} to {_CHOICE[-1]} fewer than {count} are free"
    raise RuntimeError(message)


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
