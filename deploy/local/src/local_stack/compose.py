"""The stack in containers: what `make run` starts where a Docker engine answers. `docker-compose.yml` says the rest."""

import json
import os
import subprocess
from dataclasses import asdict
from threading import Event

from local_stack import checkout, stack
from local_stack.containers import docker, engine_kind
from local_stack.failure import StackFailure
from local_stack.port import Ports, variable
from local_stack.stack import Say

COMMAND = ["docker", "compose", "--file", str(checkout.ROOT / "docker-compose.yml")]
_LOG = checkout.LOGS / "compose.log"


def is_chosen() -> bool:
    """Tell whether the stack runs in containers on this machine; `STACK_ENGINES=native` says no."""
    return engine_kind() == "containers" and docker("compose", "version", seconds=10)


def run(ports: Ports, stop: Event, *, say: Say, ready: stack.Ready) -> None:
    """Run everything until `stop` is set, then leave no container; the volumes stay. Raises StackFailure."""
    checkout.LOGS.mkdir(parents=True, exist_ok=True)
    with stack.sole_supervisor():
        if not _compose(ports, "ps", "--quiet", seconds=60):
            stack.refuse_busy_ports(ports)
        try:
            say("building the images, starting the containers (docker compose up --build --wait)")
            _show(ports, "up", "--build", "--wait", "--detach", "--remove-orphans")
            write_state(ports)
            ready()
            stop.wait()
        finally:
            say("stopping the containers; the volumes stay")
            _compose(ports, "down", "--remove-orphans", seconds=180)
            stack.STATE.unlink(missing_ok=True)
            say("everything is stopped")


def runs() -> bool:
    """Tell whether containers of the stack are there."""
    return is_chosen() and bool(_compose(Ports.from_environment(), "ps", "--quiet", seconds=60))


def write_state(ports: Ports) -> None:
    """Note what is published where, for `make status`."""
    published = {name: port for name, port in asdict(ports).items() if name != "kafka_controller"}
    parts = [{"name": name, "port": port, "log": f"docker compose logs {name}"} for name, port in published.items()]
    stack.STATE.write_text(json.dumps(parts))


def follow_logs() -> None:
    """Become the follower of the logs of all containers."""
    os.execvp("docker", [*COMMAND, "logs", "--follow", "--tail", "20"])  # noqa: S606 - there is nothing for a shell to do


def forget() -> None:
    """Remove the volumes, and with them what was booked."""
    _compose(Ports.from_environment(), "down", "--volumes", "--remove-orphans", seconds=180)


def _environment(ports: Ports) -> dict[str, str]:
    return os.environ | {variable(name): str(port) for name, port in asdict(ports).items()}


def _compose(ports: Ports, *words: str, seconds: float) -> str:
    done = subprocess.run(
        [*COMMAND, *words], capture_output=True, text=True, check=False, timeout=seconds, env=_environment(ports)
    )
    return done.stdout.strip()


def _show(ports: Ports, *words: str) -> None:
    """Run a command whose progress everyone sees; a failure comes with what the containers have said last."""
    done = subprocess.run([*COMMAND, *words], check=False, env=_environment(ports))
    if done.returncode != 0:
        _LOG.write_text(_compose(ports, "logs", "--tail", "20", "--no-color", seconds=60))
        raise StackFailure(
            part="containers",
            problem="docker compose could not bring everything up, see above",
            log=_LOG,
            remedy="mend what it says; or run without containers: STACK_ENGINES=native make run",
        )
