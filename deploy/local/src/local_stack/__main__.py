"""The command line: `python -m local_stack up | down | status | logs | token | visitor | operate | clean`."""

import argparse
import json
import os
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from threading import Event
from types import FrameType

from rich.console import Console

from local_stack import checkout, compose, stack
from local_stack.failure import StackFailure
from local_stack.issuer import TOKEN_PATH
from local_stack.operate import operate
from local_stack.port import HOST, Ports, is_busy
from local_stack.visitor import environment

_console = Console(stderr=True, highlight=False, soft_wrap=True)

READY = """
The local stack is ready.

  gateway         http://{host}:{ports.gateway}         its API: http://{host}:{ports.gateway}/docs
  notifications   http://{host}:{ports.notifications}/socket.io/
  booking         http://{host}:{ports.booking}
  tenancy         http://{host}:{ports.tenancy}
  token issuer    http://{host}:{ports.issuer}
  PostgreSQL      {host}:{ports.postgres}
  Redis           {host}:{ports.redis}
  Kafka           {host}:{ports.kafka}

A token:          make token TENANT=acme ROLE=admin USER=ana [TTL=12h]
The first artist, in another terminal, from this folder:

  curl -s -H "Authorization: Bearer $(make -s token TENANT=acme ROLE=admin USER=ana)" \\
       -H "Content-Type: application/json" -d '{{"name": "The Grateful Dead"}}' \\
       http://{host}:{ports.gateway}/v1/artists

Logs: make logs.   Stop: Ctrl-C here, or make stop.   What was booked is there at the next start.
"""


class _Stopped(Exception):  # noqa: N818 - not an error
    """We were asked to stop while starting."""


def up() -> None:
    """Run everything until Ctrl-C, SIGTERM or SIGHUP."""
    stop = Event()
    begun = time.monotonic()
    is_up = Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            _console.print("already stopping; a moment, please")
            return
        stop.set()
        if not is_up.is_set():
            raise _Stopped

    def ready() -> None:
        is_up.set()
        ports = Ports.from_environment()
        _console.print(READY.format(host=HOST, ports=ports), markup=False)

    def say(line: str) -> None:
        _console.print(f"[dim]{time.monotonic() - begun:6.1f} s[/dim]  ", end="")
        _console.print(line, markup=False)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    try:
        run = compose.run if compose.is_chosen() else stack.run
        run(Ports.from_environment(), stop, say=say, ready=ready)
    except _Stopped:
        _console.print("stopped before everything was ready")


def down() -> None:
    """Stop what runs from this checkout."""
    if not stack.stop(say=_console.print):
        _console.print("the local stack does not run")


def status() -> None:
    """Tell what runs; exit with 3 where nothing does, as service managers do."""
    parts = stack.state()
    pid = stack.running_pid()
    if pid is None:
        _console.print("the local stack does not run")
        sys.exit(3)
    _console.print(f"the local stack runs (process {pid})" + ("" if parts else " and is still starting"))
    for part in parts:
        answers = "listens" if is_busy(int(part["port"])) else "does not listen"
        _console.print(f"  {part['name']:<15} {HOST}:{part['port']:<6} {answers:<16} {part['log']}")


def logs() -> None:
    """Follow the logs of all parts."""
    if compose.runs():
        compose.follow_logs()
    files = sorted(str(log) for log in checkout.LOGS.glob("*.log"))
    if not files:
        _console.print("there are no logs yet: the local stack has not run")
        sys.exit(1)
    os.execvp("tail", ["tail", "-n", "20", "-F", *files])  # noqa: S606 - there is nothing for a shell to do


def token(arguments: argparse.Namespace) -> None:
    """Print a token, and nothing else, on stdout."""
    words = {"tenant": arguments.tenant, "role": arguments.role, "user": arguments.user}
    words |= {"ttl": arguments.ttl, "version": arguments.version}
    url = stack.issuer_url(Ports.from_environment()) + TOKEN_PATH
    request = urllib.request.Request(url, data=json.dumps(words).encode())  # noqa: S310 - our own issuer
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - our own issuer
            said = json.load(response)
    except urllib.error.HTTPError as refusal:
        reason = json.load(refusal)["error"]
        raise StackFailure(
            part="token", problem=reason, remedy="make token TENANT=acme ROLE=admin USER=ana TTL=12h"
        ) from None
    except OSError:
        problem = f"no issuer answers at {url}"
        raise StackFailure(part="token", problem=problem, remedy="start the local stack with `make run`") from None
    print(said["token"])


def visitor() -> None:
    """Print, as variables, what a client of Kafka from outside logs in with."""
    print(" ".join(f"{name}={value}" for name, value in environment().items()))


def clean() -> None:
    """Remove what was booked, and the logs; what was installed stays."""
    if stack.running_pid() is not None:
        problem = "the local stack runs"
        raise StackFailure(part="clean", problem=problem, remedy="stop it first with `make stop`")
    if compose.is_chosen():
        compose.forget()
        _console.print("removed the containers' volumes")
    for folder in stack.data_folders():
        if folder.exists():
            shutil.rmtree(folder)
            _console.print(f"removed {folder}")


def parse(words: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m local_stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    simple: dict[str, Callable[[], None]] = {
        "up": up,
        "down": down,
        "status": status,
        "logs": logs,
        "visitor": visitor,
        "clean": clean,
    }
    for name, function in simple.items():
        command = commands.add_parser(name, help=(function.__doc__ or "").splitlines()[0])
        command.set_defaults(do=lambda _arguments, function=function: function())
    asked = commands.add_parser("token", help="Print a token, and nothing else.")
    asked.add_argument("--tenant", default="acme")
    asked.add_argument("--role", default="admin")
    asked.add_argument("--user", default="ana")
    asked.add_argument("--ttl", default="12h", help="90s, 5m, 12h, 7d")
    asked.add_argument("--version", type=int, default=2, choices=(1, 2), help="of Clerk's claims")
    asked.set_defaults(do=token)
    operator = commands.add_parser("operate", help="Run an operator's command of a service.")
    operator.add_argument("words", nargs=argparse.REMAINDER, help="such as `booking deadletters list`")
    operator.set_defaults(do=lambda arguments: operate(arguments.words))
    return parser.parse_args(words)


def main() -> None:
    """Do what was asked; a failure is told on stderr and exits with 1."""
    arguments = parse(sys.argv[1:])
    try:
        arguments.do(arguments)
    except StackFailure as failure:
        _console.print(f"\n{failure}", markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
