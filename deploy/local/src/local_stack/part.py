"""A part of the stack: a child process that can tell whether it is ready."""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from local_stack.account import Account, give_folder
from local_stack.failure import StackFailure
from local_stack.process import POLL_SECONDS, Child, ended

READY_SECONDS = 90.0


class Part(ABC):
    """One process of the stack.

    `begin` only starts it, so that several come up side by side; `wait_ready` waits until it really answers.
    """

    name: str
    log: Path
    port: int
    complaint: str = ""
    """What it said when it last did not answer as it should."""

    _child: Child | None = None

    @property
    def child(self) -> Child:
        """The process, for its pid, its pause and its log."""
        if self._child is None:
            message = f"{self.name} was never started"
            raise RuntimeError(message)
        return self._child

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._child is not None and self._child.alive

    @property
    def exit_code(self) -> int | None:
        """How the last run ended; negative for a signal; None while it runs."""
        return None if self._child is None else self._child.exit_code

    def begin(self) -> None:
        """Prepare and start the process."""
        self.prepare()
        if self._child is None:
            self._child = self.make_child()
        self._child.start()

    def wait_ready(self) -> None:
        """Return once the part answers; StackFailure when it does not in time."""
        wait_until_ready([self])

    def start(self) -> None:
        """Start the part and wait until it answers."""
        self.begin()
        self.wait_ready()

    def stop(self) -> None:
        """Shut the part down in order and wait until it is gone."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """Let the part crash: SIGKILL, or what comes nearest."""
        self.child.kill()

    def pause(self) -> None:
        """Freeze the part until `resume`: it keeps its connections and answers nothing."""
        self.child.pause()

    def resume(self) -> None:
        """Let a paused part go on."""
        self.child.resume()

    def restart(self) -> None:
        """Stop in order, then start and wait."""
        self.stop()
        self.start()

    def discard(self) -> None:  # noqa: B027 - what is native leaves its data folder and no more
        """Remove what a stopped part leaves outside its data folder."""

    def prepare(self) -> None:  # noqa: B027 - most parts need nothing
        """Make everything ready to start from; called before every start."""

    @abstractmethod
    def make_child(self) -> Child:
        """Describe the process."""

    @abstractmethod
    def answers(self) -> bool:
        """Tell whether the part answers a client."""


class NativeEngine(Part):
    """PostgreSQL, Redis or Kafka from this machine's packages, with its data in a folder of its own."""

    def __init__(self, *, data: Path, log: Path, port: int, durable: bool, account: Account | None) -> None:
        """Describe the engine; nothing runs and nothing is written before `begin`."""
        self.data = data
        self.log = log
        self.port = port
        self.durable = durable
        self.account = account

    def prepare(self) -> None:
        """Hand the data folder to the engine's account."""
        give_folder(self.data, self.account)

    def write(self, name: str, content: str) -> Path:
        """Write a file into the data folder that only the engine's account may read."""
        path = self.data / name
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(content)
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)
        return path


def wait_until_ready(
    parts: Sequence[Part], *, seconds: float = READY_SECONDS, say: Callable[[Part], None] = lambda _part: None
) -> None:
    """Wait until each part answers, telling `say` of each that does.

    Raises StackFailure when a process ends first or the time is up.
    """
    deadline = time.monotonic() + seconds
    waiting = list(parts)
    while waiting:
        for part in list(waiting):
            if part.answers():
                waiting.remove(part)
                say(part)
            elif not part.alive:
                raise StackFailure(
                    part=part.name,
                    problem=f"it died at start ({ended(part.exit_code)})",
                    log=part.log,
                    remedy="see what the log says; when it is mended, start again",
                )
        if waiting and time.monotonic() > deadline:
            complaint = waiting[0].complaint
            raise StackFailure(
                part=waiting[0].name,
                problem=f"it is not ready after {seconds:.0f} s" + (complaint and f" ({complaint})"),
                log=waiting[0].log,
                remedy="see what the log says; on a busy machine, try again",
            )
        time.sleep(POLL_SECONDS)
