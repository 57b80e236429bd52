"""The page of promises: which check holds each to account, and which mutation shows that the check bites."""

from typing import Final

from local_stack.chaos.checks import calendar, commands, streams, trail, watchers
from local_stack.chaos.mutations import MUTATIONS
from pages.markdown import code, table

_HEAD: Final = """\
# Promises

What always holds, whatever is killed, paused, cut off or restarted; and how anybody who distrusts us can look. A run of
faults (`make chaos`) writes down what each client asked and was told and what each watcher heard. The checker then
reads the databases and the topics whole and compares. Each check says how much it examined, and one that found nothing
to examine counts as broken. A breach is printed with the smallest history around it: the calls, the events, the faults
that overlapped.

"""

_MUTATIONS: Final = """
## Each check bites

A check that has never failed proves nothing. So the services are also started wrong on purpose, each time in one way
(`python -m local_stack.chaos.mutant MUTATION SERVICE`), and a test holds that exactly these checks report it, and that
none does where nothing is wrong. No mutation is installed with a service.

"""

PROMISES: Final[dict[str, tuple[str, ...]]] = {
    "Two bookings of one artist never overlap": (calendar.NO_OVERLAP,),
    "Each command accepted for delivery has one outcome, the one its client is told, and is carried out once": (
        commands.ONE_OUTCOME,
        commands.ANSWERED_STANDS,
        commands.APPLIED_ONCE,
    ),
    "A tenant's events are numbered 1, 2, 3, … in each stream, and whoever holds a position can go on from it": (
        streams.GAP_FREE,
        watchers.WATCHERS,
    ),
    "The topic holds what the store holds, in that order, but for repeats": (streams.TOPIC_IS_STORE,),
    "The rows are what a replay of the events gives; booking knows the artists as tenancy has them": (
        streams.REPLAY,
        streams.ROSTER,
    ),
    "A tenant sees only its own": (watchers.WATCHERS,),
    "Nothing is silently dropped": (commands.NOTHING_DROPPED,),
    "Each decided command has one entry in its tenant's audit trail, chained to the one before": (trail.TRAIL,),
    "An artist whose creation was answered is never refused as unknown": (commands.CAUSE_BEFORE_EFFECT,),
}
"""Each promise, and the checks that hold the system to it."""


def page() -> str:
    """Write the page."""
    promised = ((promise, "; ".join(checks), _mutations(checks)) for promise, checks in PROMISES.items())
    wrong = (
        (code(name), mutation.service, mutation.breaks, mutation.drill, "; ".join(sorted(mutation.bites)))
        for name, mutation in MUTATIONS.items()
    )
    return (
        _HEAD
        + table(("promise", "checks", "mutations that break it"), promised)
        + _MUTATIONS
        + table(("mutation", "service", "what it does wrong", "what brings it out", "checks that report it"), wrong)
    )


def _mutations(checks: tuple[str, ...]) -> str:
    return ", ".join(code(name) for name, mutation in MUTATIONS.items() if mutation.bites & set(checks))
