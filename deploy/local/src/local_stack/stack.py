"""The stack that `make run` runs: started in order, supervised, stopped in order."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import Signals
from threading import Event

from local_stack import checkout
from local_stack.account import fallback_for
from local_stack.engines import Engines
from local_stack.environment import SERVICES
from local_stack.failure import StackFailure
from local_stack.part import Part, wait_until_ready
from local_stack.port import HOST, Ports, free_ports, variable
from local_stack.provision import start_provisioned
from local_stack.services import Instance, Services
from local_stack.supervisor import Supervisor

LOCK = checkout.RUN / "supervisor.lock"
STATE = checkout.RUN / "state.json"
STOP_SECONDS = 120.0

Say = Callable[[str], None]
Ready = Callable[[], None]


def issuer_url(ports: Ports) -> str:
    """Tell where the local issuer is, which is also its name."""
    return f"http://{HOST}:{ports.issuer}"


def run(ports: Ports, stop: Event, *, say: Say, ready: Ready) -> None:
    """Run everything until `stop` is set, then leave nothing running.

    `say` hears of each step, `ready` is called once everything is. Raises StackFailure.
    """
    checkout.LOGS.mkdir(parents=True, exist_ok=True)
    with sole_supervisor(), contextlib.ExitStack() as running:
        refuse_busy_ports(ports)
        _start_new_logs()
        say("starting PostgreSQL, Redis and Kafka")
        engines = Engines(checkout.DATA, ports=ports, logs=checkout.LOGS, say=say)
        issuer = _issuer(ports)
        running.callback(lambda: say("everything is stopped"))
        running.callback(issuer.stop)
        issuer.begin()
        services = Services(engines.addresses, ports=ports, issuer_url=issuer_url(ports), logs=checkout.LOGS)
        start_provisioned(engines, services.environment)
        running.callback(engines.stop)
        say(f"starting {', '.join(SERVICES)}")
        running.enter_context(services)
        started: list[Part] = [issuer, *(services.instance(service) for service in SERVICES)]
        for part in started[1:]:
            part.begin()
        wait_until_ready(started, say=lambda part: say(f"{part.name} is ready at http://{HOST}:{part.port}"))
        parts: list[Part] = [*engines.all, *started]
        _write_state(parts)
        running.callback(STATE.unlink, missing_ok=True)
        ready()
        Supervisor(parts, say=say).watch(stop)
        say("stopping the services, then the engines")


def stop(*, say: Say) -> bool:
    """Stop the stack that runs from this checkout, and wait until it is gone; False where none ran.

    Raises StackFailure when it does not stop in time.
    """
    pid = running_pid()
    if pid is None:
        return False
    say(f"stopping the local stack (process {pid})")
    os.kill(pid, Signals.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while running_pid() is not None:
        if time.monotonic() > deadline:
            raise StackFailure(
                part="supervisor",
                problem=f"process {pid} does not stop",
                remedy=f"end it with `kill -9 {pid}`: its children die too",
            )
        time.sleep(0.1)
    return True


def running_pid() -> int | None:
    """Tell the process id of the supervisor that runs from this checkout; None where none does.

    The lock is the truth: the kernel lets it go with the process, however that ended.
    """
    if not LOCK.exists():
        return None
    with LOCK.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(lock.read() or 0) or None
    return None


def state() -> list[dict[str, str | int]]:
    """Tell of each part its name, port and log; empty while nothing is ready."""
    if running_pid() is None or not STATE.exists():
        return []
    parts: list[dict[str, str | int]] = json.loads(STATE.read_text())
    return parts


def data_folders() -> list[Path]:
    """Name the folders that a clean removes."""
    return [checkout.DATA, checkout.RUN, fallback_for(checkout.DATA).parent, fallback_for(checkout.KAFKA_JARS).parent]


@contextlib.contextmanager
def sole_supervisor() -> Iterator[None]:
    """Be the one supervisor of this checkout, or raise StackFailure: there is another."""
    with LOCK.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackFailure(
                part="supervisor",
                problem=f"the local stack runs already (process {running_pid()})",
                remedy="use it, see `make logs`, or stop it with `make stop`",
            ) from None
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def refuse_busy_ports(ports: Ports) -> None:
    """Raise StackFailure where a port is taken."""
    for part, port in ports.busy().items():
        raise StackFailure(
            part=part.replace("_", "-"),
            problem=f"port {port} is taken by another program",
            remedy=f"stop that program (`ss -ltnp 'sport = :{port}'` names it),"
            f" or choose another port: {variable(part)}={free_ports(1)[0]} make run",
        )


def _start_new_logs() -> None:
    """Keep one older run's logs, so that they do not grow for ever."""
    for log in checkout.LOGS.glob("*.log"):
        log.replace(log.with_suffix(".log.1"))


def _issuer(ports: Ports) -> Instance:
    module = ["local_stack.issuer", "--port", str(ports.issuer), "--data", str(checkout.DATA / "issuer")]
    return Instance("issuer", module, port=ports.issuer, environment={}, log=checkout.LOGS / "issuer.log")


def _write_state(parts: list[Part]) -> None:
    STATE.write_text(json.dumps([{"name": part.name, "port": part.port, "log": str(part.log)} for part in parts]))
