"""How long a caller wants to wait for an outcome (``Prefer``, RFC 7240)."""

from collections.abc import Iterable
from dataclasses import dataclass

_LONGEST_NUMBER = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long to wait for the outcome, whether the caller goes on without it, and which preferences were honoured."""

    seconds: float
    asynchronous: bool
    applied: str | None = None


def patience(prefer: Iterable[str], *, default: float, longest: float) -> Patience:
    """Read the ``Prefer`` headers of a request; of a repeated preference the first counts, unknown ones are ignored.

    ``respond-async`` alone waits not at all; with ``wait=N`` it waits that long first.
    """
    stated: dict[str, str] = {}
    for line in prefer:
        for preference in line.split(","):
            name, _, value = preference.partition(";")[0].partition("=")
            stated.setdefault(name.strip().lower(), value.strip().strip('"'))
    asynchronous = "respond-async" in stated
    applied = ["respond-async"] if asynchronous else []
    seconds = 0.0 if asynchronous else default
    wait = stated.get("wait", "")
    if wait.isascii() and wait.isdigit() and len(wait) <= _LONGEST_NUMBER:
        seconds = min(float(wait), longest)
        applied.append(f"wait={seconds:g}")
    return Patience(
        seconds=seconds, asynchronous=asynchronous or seconds <= 0, applied=", ".join(applied) if applied else None
    )
