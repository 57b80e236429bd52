"""Keeps the parts running until it is told to stop."""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event

from local_stack.failure import StackFailure
from local_stack.part import READY_SECONDS, Part
from local_stack.process import ended

TICK_SECONDS = 0.25
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 10.0
DEATHS_BEFORE_GIVING_UP = 5


@dataclass(kw_only=True)
class _Watched:
    """A part, how often it has died since it was last ready, and when it is started again (monotonic seconds)."""

    part: Part
    ready: bool = True
    deaths: int = 0
    start_at: float | None = None
    begun_at: float = field(default_factory=time.monotonic)

    def delay(self) -> float:
        """Wait longer after each death in a row."""
        return min(FIRST_DELAY_SECONDS * 2.0 ** (self.deaths - 1), LONGEST_DELAY_SECONDS)


class Supervisor:
    """Starts again what dies; gives up when a part dies over and over without ever becoming ready.

    The parts are given in the order they were started, all of them ready.
    """

    def __init__(self, parts: Sequence[Part], *, say: Callable[[str], None]) -> None:
        """Watch these parts; `say` hears of each death and each return."""
        self._watched = [_Watched(part=part) for part in parts]
        self._say = say

    def watch(self, stop: Event) -> None:
        """Return once `stop` is set; StackFailure when a part cannot be kept running."""
        while not stop.wait(TICK_SECONDS):
            for watched in self._watched:
                self._look_after(watched)

    def stop(self) -> None:
        """Stop every part, the last one first."""
        with contextlib.ExitStack() as stack:
            for watched in self._watched:
                stack.callback(watched.part.stop)

    def _look_after(self, watched: _Watched) -> None:
        now = time.monotonic()
        if watched.start_at is not None:
            if now >= watched.start_at:
                watched.start_at = None
                watched.begun_at = now
                watched.part.begin()
        elif not watched.part.alive:
            self._bury(watched, now)
        elif not watched.ready and watched.part.answers():
            watched.ready = True
            watched.deaths = 0
            self._say(f"{watched.part.name} is back")
        elif not watched.ready and now - watched.begun_at > READY_SECONDS:
            # It runs and is not ready: let it die, so that it is started again and counted.
            watched.part.kill()

    def _bury(self, watched: _Watched, now: float) -> None:
        part = watched.part
        how = ended(part.exit_code)
        watched.ready = False
        watched.deaths += 1
        if watched.deaths >= DEATHS_BEFORE_GIVING_UP:
            raise StackFailure(
                part=part.name,
                problem=f"it died {watched.deaths} times in a row ({how})",
                log=part.log,
                remedy="see what the log says; when it is mended, start again",
            )
        delay = watched.delay()
        watched.start_at = now + delay
        self._say(f"{part.name} died ({how}); it is started again in {delay:g} s. Its log: {part.log}")
