"""What went wrong with a part of the stack, said so that a newcomer can act on it."""

from pathlib import Path

TAIL_LINES = 20


def log_tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log; an empty string when there is none yet."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


class StackFailure(Exception):  # noqa: N818 - reads as what it is at each `except`
    """{part}: {problem}, with the end of its log and what to do."""

    def __init__(self, *, part: str, problem: str, remedy: str, log: Path | None = None) -> None:
        """Name the part, what happened to it, what to do, and the log that says more."""
        self.part = part
        self.problem = problem
        self.remedy = remedy
        self.log = log
        super().__init__(self._message())

    def _message(self) -> str:
        said = [f"{self.part}: {self.problem}"]
        if self.log is not None:
            tail = log_tail(self.log)
            if tail:
                said.append("  its log ends with:")
                said.extend(f"    | {line}" for line in tail.splitlines())
            said.append(f"  its log:    {self.log}")
        said.append(f"  what to do: {self.remedy}")
        return "\n".join(said)

    def __reduce__(self) -> tuple[object, ...]:
        """Travel between pytest's processes with everything it says."""
        return (_revive, (self.part, self.problem, self.remedy, self.log))


def _revive(part: str, problem: str, remedy: str, log: Path | None) -> StackFailure:
    return StackFailure(part=part, problem=problem, remedy=remedy, log=log)
