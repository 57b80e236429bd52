"""What a library says over and over, let through now and then."""

import logging
import time
from collections.abc import Callable
from typing import Final

CHATTY: Final = ("aiokafka", "posthog")
"""Libraries that say the same many times a second while their server is away."""

QUIET_SECONDS: Final = 10.0
_MOST_KNOWN: Final = 1_000


class Repeats(logging.Filter):
    """Lets a chatty library's message pass once in ten seconds, and tells then how often it came in between.

    A message is its text before anything is filled in, at its level: the same complaint about another node is no news.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Measure by ``clock``, in seconds."""
        super().__init__()
        self._clock = clock
        self._passed: dict[tuple[str, int, str], float] = {}
        self._held: dict[tuple[str, int, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record may pass."""
        if record.name.partition(".")[0] not in CHATTY:
            return True
        message, now = (record.name, record.levelno, str(record.msg)), self._clock()
        if now - self._passed.get(message, -QUIET_SECONDS) < QUIET_SECONDS:
            self._held[message] = self._held.get(message, 0) + 1
            return False
        if len(self._passed) >= _MOST_KNOWN:  # texts made with f-strings: begin anew rather than keep all of them
            self._passed.clear()
            self._held.clear()
        self._passed[message] = now
        if held := self._held.pop(message, 0):
            record.repeated = held
        return True
