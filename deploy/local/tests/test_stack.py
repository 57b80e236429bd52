"""`make run` and its companions, on real engines; the services are small stand-ins, as the stack is what is tested."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psycopg
import pytest

from local_stack.checkout import ROOT
from local_stack.credentials import Credentials
from local_stack.engines import Addresses
from local_stack.environment import SERVICES
from local_stack.port import Ports, variable
from local_stack.testing import temporary_folder

STAND_IN = '''
"""Serves /readyz and its pid; ends at once where the environment says so."""
import http.server, os, sys

name = sys.argv[0].rsplit("/", 1)[-1].removesuffix(".py")
if sys.argv[1:] == ["migrate"]:
    sys.exit(0)
if os.path.exists(os.environ["STACK_FOLDER"] + "/" + name + "-is-broken"):
    sys.exit(f"{name} cannot start: it is broken")

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

port = int(os.environ[f"{name.upper()}_HTTP_PORT"])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
'''


@dataclass(kw_only=True)
class Stack:
    """`python -m local_stack` with a folder and ports of its own."""

    folder: Path
    ports: Ports = field(default_factory=Ports.free)
    supervisor: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        ports = {variable(part): str(port) for part, port in asdict(self.ports).items()}
        own = {"STACK_FOLDER": str(self.folder), "PYTHONPATH": str(self.folder / "stand-ins")}
        return os.environ | ports | own

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "local_stack", *words]
        return subprocess.run(
            command, env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200
        )

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "local_stack", "up"]
        with (self.folder / "output").open("w") as output:
            self.supervisor = subprocess.Popen(
                command, env=self.environment, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, text=True
            )
        return self.supervisor

    def start_and_wait(self) -> subprocess.Popen[str]:
        supervisor = self.start()
        eventually(lambda: "The local stack is ready" in self.output or supervisor.poll() is not None)
        assert supervisor.poll() is None, self.output
        return supervisor

    def processes(self) -> set[int]:
        """Whatever process has this stack's folder in its environment or its arguments, its supervisor included."""
        # PostgreSQL and Redis write their titles over their environment; Redis over its arguments too.
        in_arguments = [f"{self.folder}/".encode(), f"redis-server 127.0.0.1:{self.ports.redis}".encode()]
        in_environment = f"STACK_FOLDER={self.folder}".encode()
        return {
            int(process.name)
            for process in Path("/proc").glob("[0-9]*")
            if in_environment in _read(process / "environ")
            or any(mark in _read(process / "cmdline") for mark in in_arguments)
        }

    @property
    def addresses(self) -> Addresses:
        return Addresses(
            postgres_port=self.ports.postgres,
            redis_port=self.ports.redis,
            kafka_port=self.ports.kafka,
            credentials=Credentials.kept_in(self.folder / "data" / "credentials.json"),
        )

    def ask(self, service: str) -> str:
        """What a stand-in answers: its process id."""
        url = f"http://127.0.0.1:{getattr(self.ports, service)}/readyz"
        with urllib.request.urlopen(url, timeout=10) as response:
            answer: bytes = response.read()
        return answer.decode()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def eventually(condition: Callable[[], object], *, seconds: float = 120) -> None:
    """Wait until the condition holds; the deadline is a net, not a measure."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.05)


@pytest.fixture
def stack() -> Iterator[Stack]:
    folder = temporary_folder()
    (folder / "stand-ins").mkdir()
    for name in SERVICES:
        (folder / "stand-ins" / f"{name}.py").write_text(STAND_IN)
    stack = Stack(folder=folder)
    yield stack
    if stack.supervisor is not None:
        stack.supervisor.kill()
        stack.supervisor.wait()
        eventually(lambda: not stack.processes())
    shutil.rmtree(folder)


def test_it_runs_until_it_is_stopped_and_keeps_what_was_written(stack: Stack) -> None:
    supervisor = stack.start_and_wait()
    assert f"http://127.0.0.1:{stack.ports.gateway}/v1/artists" in stack.output
    assert "make token TENANT=acme" in stack.output
    with psycopg.connect(stack.addresses.postgres_dsn("booking", "booking_owner")) as connection:
        connection.execute("CREATE TABLE night AS SELECT 42 AS booked")

    token = stack.command("token", "--tenant", "hall", "--role", "viewer", "--user", "bob")
    assert token.returncode == 0
    assert token.stdout.count(".") == 2
    assert token.stdout.count("\n") == 1

    again = stack.command("up")
    assert again.returncode == 1
    assert f"runs already (process {supervisor.pid})" in again.stderr
    assert "make stop" in again.stderr

    assert "gateway" in stack.command("status").stderr
    assert stack.command("clean").returncode == 1

    assert stack.command("down").returncode == 0
    assert supervisor.wait(1) == 0
    assert stack.processes() == set()
    assert stack.ports.busy() == {}
    assert stack.command("status").returncode == 3
    assert "does not run" in stack.command("down").stderr

    supervisor = stack.start_and_wait()
    with psycopg.connect(stack.addresses.postgres_dsn("booking", "booking_owner")) as connection:
        assert connection.execute("SELECT booked FROM night").fetchone() == (42,)
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(120) == 0
    assert stack.processes() == set()

    assert stack.command("clean").returncode == 0
    assert not (stack.folder / "data").exists()


def test_what_dies_is_started_again_until_it_dies_over_and_over(stack: Stack) -> None:
    supervisor = stack.start_and_wait()
    first = stack.ask("booking")
    os.kill(int(first), signal.SIGKILL)
    eventually(lambda: "booking is back" in stack.output)
    assert "booking died (signal SIGKILL)" in stack.output
    assert stack.ask("booking") != first

    (stack.folder / "booking-is-broken").touch()
    os.kill(int(stack.ask("booking")), signal.SIGKILL)
    assert supervisor.wait(120) == 1
    assert "booking: it died 5 times in a row (exit code 1)" in stack.output
    assert "booking cannot start: it is broken" in stack.output
    assert str(stack.folder / "run" / "logs" / "booking.log") in stack.output
    assert stack.processes() == set()


def test_an_engine_that_dies_is_started_again(stack: Stack) -> None:
    stack.start_and_wait()
    redis = next(
        process
        for process in stack.processes()
        if f"redis-server 127.0.0.1:{stack.ports.redis}".encode() in _read(Path(f"/proc/{process}/cmdline"))
    )
    os.kill(redis, signal.SIGKILL)
    eventually(lambda: "redis is back" in stack.output)


def test_a_supervisor_that_is_killed_takes_everything_with_it_and_the_next_start_recovers(stack: Stack) -> None:
    supervisor = stack.start_and_wait()
    assert len(stack.processes()) > len(SERVICES)
    supervisor.kill()
    supervisor.wait()
    eventually(lambda: not stack.processes())
    stack.start_and_wait()


def test_a_service_that_dies_at_start_is_named_with_its_log_and_nothing_stays(stack: Stack) -> None:
    (stack.folder / "tenancy-is-broken").touch()
    assert stack.start().wait(120) == 1
    assert "tenancy: it died at start (exit code 1)" in stack.output
    assert "| tenancy cannot start: it is broken" in stack.output
    assert "what to do:" in stack.output
    assert stack.processes() == set()
    assert stack.ports.busy() == {}


def test_a_stop_while_it_starts_leaves_nothing_running(stack: Stack) -> None:
    supervisor = stack.start()
    eventually(lambda: "redis answers" in stack.output)
    supervisor.terminate()
    assert supervisor.wait(120) == 0
    assert stack.processes() == set()


@pytest.mark.parametrize("part", ["gateway", "kafka", "issuer", "postgres"])
def test_a_busy_port_is_named_before_anything_starts(stack: Stack, part: str) -> None:
    with socket.socket() as occupant:
        occupant.bind(("127.0.0.1", getattr(stack.ports, part)))
        occupant.listen()
        done = stack.command("up")
    assert done.returncode == 1
    assert f"{part}: port {getattr(stack.ports, part)} is taken by another program" in done.stderr
    assert f"STACK_{part.upper()}_PORT=" in done.stderr
    assert stack.processes() == set()


def test_a_token_without_an_issuer_says_what_to_do(stack: Stack) -> None:
    done = stack.command("token")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "make run" in done.stderr
