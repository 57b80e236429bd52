"""A child process with a log, that never outlives the process that started it."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import Signals

from local_stack.account import Account, run_as

# The kernel sends the parent-death signal when the *thread* that forked ends. All children are forked by this one
# thread, which lives as long as the process, so that `start` may be called from any thread.
_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")

POLL_SECONDS = 0.05


class Child:
    """One process: started, watched, paused, stopped. Its output goes to its log."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        account: Account | None = None,
        stop_signal: Signals = Signals.SIGTERM,
        death_signal: Signals = Signals.SIGKILL,
    ) -> None:
        """Describe the process; nothing runs before `start`."""
        self.name = name
        self.command = list(command)
        self.log = log
        self.folder = folder
        self.environment = dict(os.environ if environment is None else environment)
        self.account = account
        self.stop_signal = stop_signal
        self.death_signal = death_signal
        self.log_start = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the present, or last, run."""
        if self._process is None:
            message = f"{self.name} was never started"
            raise RuntimeError(message)
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs (a paused one does)."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How the last run ended; negative for a signal; None while it runs."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start the process in a session of its own, so that a Ctrl-C in the terminal reaches only its parent."""
        if self.alive:
            message = f"{self.name} runs already"
            raise RuntimeError(message)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = [*run_as(self.account, self.death_signal), *self.command]
        with self.log.open("ab") as log:
            self.log_start = log.tell()
            self._process = _SPAWNER.submit(
                subprocess.Popen,
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=self.folder,
                start_new_session=True,
            ).result()

    def output(self) -> str:
        """What the present, or last, run has written."""
        with self.log.open("rb") as log:
            log.seek(self.log_start)
            return log.read().decode(errors="replace")

    def signal(self, number: Signals) -> None:
        """Send a signal; nothing happens to a process that has ended."""
        if self._process is not None:
            self._process.send_signal(number)

    def pause(self) -> None:
        """Freeze the process until `resume`."""
        self.signal(Signals.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self.signal(Signals.SIGCONT)

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the process and tell whether it came in time."""
        if self._process is None:
            return True
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, grace_seconds: float = 20.0) -> None:
        """End the process: its stop signal, the grace, then SIGKILL. Returns when it is gone."""
        if not self.alive:
            return
        self.signal(self.stop_signal)
        self.resume()
        if not self.wait(grace_seconds):
            self.kill()

    def kill(self) -> None:
        """End the process and what it started, at once."""
        if self.alive:
            os.killpg(self.pid, signal.SIGKILL)
            self.wait(10)


def ended(exit_code: int | None) -> str:
    """Say how a process ended."""
    if exit_code is None:
        return "still running"
    return f"signal {Signals(-exit_code).name}" if exit_code < 0 else f"exit code {exit_code}"
