"""The checker: holds what everybody was told against what is, one `Finding` for each promise. Pure, and no clock."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from local_stack.chaos.checks import calendar, commands, streams, trail, watchers
from local_stack.chaos.checks.finding import Breach, Finding
from local_stack.chaos.checks.story import Story
from local_stack.chaos.evidence import Evidence
from local_stack.chaos.history import Line

CHECKS: Final[Mapping[str, Callable[[Story], Finding]]] = {
    calendar.NO_OVERLAP: calendar.no_overlap,
    commands.ONE_OUTCOME: commands.one_outcome,
    commands.ANSWERED_STANDS: commands.answered_stands,
    commands.APPLIED_ONCE: commands.applied_once,
    streams.GAP_FREE: streams.gap_free,
    streams.TOPIC_IS_STORE: streams.topic_is_store,
    streams.REPLAY: streams.replay,
    streams.ROSTER: streams.roster,
    watchers.WATCHERS: watchers.watchers,
    commands.NOTHING_DROPPED: commands.nothing_dropped,
    commands.CAUSE_BEFORE_EFFECT: commands.cause_before_effect,
    trail.TRAIL: trail.trail,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What all checks found."""

    findings: tuple[Finding, ...]

    @property
    def breaches(self) -> tuple[Breach, ...]:
        """Every breach of every check."""
        return tuple(breach for finding in self.findings for breach in finding.breaches)

    @property
    def broken(self) -> frozenset[str]:
        """The names of the checks that found a breach."""
        return frozenset(finding.name for finding in self.findings if finding.breaches)

    def render(self) -> str:
        """Print every finding."""
        return "\n".join(finding.render() for finding in self.findings)


def check(lines: Iterable[Line], evidence: Evidence) -> Verdict:
    """Judge a run by its history and what is left of it; a check that could look at nothing is a breach of its own."""
    story = Story(lines, evidence)
    return Verdict(findings=tuple(_examined(found(story)) for found in CHECKS.values()))


def _examined(finding: Finding) -> Finding:
    if finding.count:
        return finding
    nothing = Breach(what="nothing was there to be examined: this check proves nothing")
    return replace(finding, breaches=(*finding.breaches, nothing))
