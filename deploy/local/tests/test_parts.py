"""Ports, accounts, credentials, child processes: the small parts the stack is made of."""

import os
import pickle
import select
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from signal import Signals

import pytest

from local_stack.account import Account, account_for, can_reach, fallback_for, give_folder, reachable
from local_stack.credentials import Credentials
from local_stack.failure import StackFailure
from local_stack.port import Ports, free_ports, is_busy
from local_stack.process import Child, ended
from local_stack.testing import temporary_folder


def test_a_port_is_busy_while_somebody_listens() -> None:
    port = free_ports(1)[0]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        assert is_busy(port)
        assert Ports(gateway=port).busy().get("gateway") == port
    assert not is_busy(port)


def test_ports_are_set_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACK_KAFKA_PORT", "29092")
    monkeypatch.setenv("STACK_REDIS_PORT", "")
    assert Ports.from_environment() == Ports(kafka=29092)


def test_free_ports_are_all_different_whoever_asks_for_them() -> None:
    ask = "from local_stack.port import free_ports; print(*free_ports(50))"
    others = [subprocess.Popen([sys.executable, "-c", ask], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    own = free_ports(50)
    given = [*own, *(int(port) for other in others for port in other.communicate()[0].split())]
    assert len(set(given)) == len(given) == 200


def test_free_ports_are_found_where_the_count_of_before_is_spoilt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    counter = tmp_path / f"production-tool-{os.getuid()}.ports"
    counter.write_text("spoilt")
    first, second = free_ports(1), free_ports(1)
    assert first != second
    assert counter.read_text().isdecimal()


def test_no_free_port_is_one_that_the_system_gives_to_connections() -> None:
    limit = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(limit.read_text().split()[0]) if limit.exists() else 49_152
    assert max(free_ports(50)) < lowest


def test_credentials_are_made_once_and_are_only_the_owners_to_read(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    first = Credentials.kept_in(file)
    assert Credentials.kept_in(file) == first
    assert first.booking_owner != first.booking_service
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_unprivileged_accounts_cannot_reach_has_a_stand_in(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    folder = tmp_path / "data"
    account = account_for("nobody")
    chosen = reachable(folder, [account])
    if os.geteuid() != 0:  # then the engines run as ourselves, and every folder of ours will do
        assert (account, chosen) == (None, folder)
        return
    try:
        assert chosen == fallback_for(folder)
        assert can_reach(account, chosen)
        assert not can_reach(account, folder)
    finally:
        chosen.rmdir()
        chosen.parent.rmdir()


def test_a_given_folder_is_its_accounts_alone() -> None:
    folder = temporary_folder()
    account = account_for("nobody") or Account(name="me", uid=os.getuid(), gid=os.getgid())
    give_folder(folder / "data", account)
    assert (folder / "data").stat().st_uid == account.uid
    assert (folder / "data").stat().st_mode & 0o777 == 0o700
    (folder / "data").rmdir()
    folder.rmdir()


def child(tmp_path: Path, code: str, *, stop_signal: Signals = Signals.SIGTERM) -> Child:
    command = [sys.executable, "-c", code]
    return Child("example", command, log=tmp_path / "log", folder=tmp_path, stop_signal=stop_signal)


def test_a_child_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    stubborn = child(
        tmp_path,
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
    )
    stubborn.start()
    while "up" not in stubborn.output():
        assert stubborn.alive
    stubborn.stop(grace_seconds=0.2)
    assert stubborn.exit_code == -Signals.SIGKILL


def test_a_paused_child_can_be_stopped(tmp_path: Path) -> None:
    paused = child(tmp_path, "import time; time.sleep(600)")
    paused.start()
    paused.pause()
    paused.stop()
    assert paused.exit_code == -Signals.SIGTERM


def test_a_child_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            (
                "import sys, time\n"
                "from pathlib import Path\n"
                "from local_stack.process import Child\n"
                "child = Child('c', ['sleep', '600'], log=Path(sys.argv[1]) / 'log', folder=Path('/'))\n"
                "child.start()\n"
                "while Path(f'/proc/{child.pid}/comm').read_text().strip() != 'sleep':\n"
                "    time.sleep(0.01)  # whoever starts it ties it to us first\n"
                "print(child.pid, flush=True)\n"
                "time.sleep(600)\n"
            ),
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        orphan = os.pidfd_open(pid)
        parent.kill()
    try:
        # A pidfd is readable once the process has ended.
        ended_in_time, _, _ = select.select([orphan], [], [], 60)
    finally:
        os.close(orphan)
    assert ended_in_time


def test_an_end_is_told_in_words() -> None:
    assert ended(-9) == "signal SIGKILL"
    assert ended(3) == "exit code 3"
    assert ended(None) == "still running"


def test_a_failure_shows_the_end_of_the_log_and_what_to_do(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    failure = StackFailure(part="kafka", problem="it died", log=log, remedy="start again")
    said = str(failure)
    assert said.startswith("kafka: it died\n")
    assert "| line 99" in said
    assert "| line 79" not in said
    assert str(log) in said
    assert said.endswith("what to do: start again")
    assert str(pickle.loads(pickle.dumps(failure))) == said  # noqa: S301 - our own
