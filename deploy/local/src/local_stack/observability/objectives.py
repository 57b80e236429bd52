"""What users are promised, in numbers: the service level objectives, and the alerts on how fast their budget burns.

Windows and factors are those of the Site Reliability Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts", for a
period of 30 days.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from local_stack.observability.alerts import Alert, Severity
from local_stack.observability.promql import ours, rate

PERIOD: Final = "30d"
FEWEST: Final = 10
"""Bad ones in the longer window below which no alert fires: at night one of three requests is a third, and nothing."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A share of something that is to be good, over 30 days."""

    name: str
    promise: str
    target: Decimal
    """In per cent."""
    all: str
    """How many there are, per second."""
    bad: str
    """How many of them are bad, per second; there whenever `all` is."""
    bad_means: str
    """What one bad one is to a user."""

    @property
    def budget(self) -> Decimal:
        """The share that may be bad."""
        return (100 - self.target) / 100


@dataclass(frozen=True, kw_only=True)
class Burn:
    """A speed at which the budget burns, and over which windows it is looked at."""

    factor: Decimal
    long: str
    short: str
    """It has to burn so in here too, or the alert would last long after the trouble."""
    seconds: int
    """Of the longer window."""


FAST: Final = (
    Burn(factor=Decimal("14.4"), long="1h", short="5m", seconds=3_600),
    Burn(factor=Decimal(6), long="6h", short="30m", seconds=21_600),
)
"""2 % of the budget in an hour, or 5 % in six: somebody is woken."""

SLOW: Final = (Burn(factor=Decimal(1), long="3d", short="6h", seconds=259_200),)
"""10 % of the budget in three days: somebody looks at it by day."""

_REQUESTS: Final = ('job="gateway"', 'route=~"/v1/.+|unmatched"', 'status!="404"')
_ASKED: Final = rate(ours("http_requests_total", *_REQUESTS))
_FAILED: Final = rate(ours("http_requests_total", *_REQUESTS, 'status=~"5.."'))

_WRITES: Final = ('job="gateway"', 'method=~"POST|PATCH|DELETE"', 'route=~"/v1/(artists|bookings|tenant).*"')
_WRITTEN: Final = rate(ours("http_request_duration_seconds_count", *_WRITES))
_IN_TIME: Final = rate(ours("http_request_duration_seconds_bucket", *_WRITES, 'le="1.0"'))

_HANDED: Final = rate(ours("notifications_delivery_seconds_count"))
_EARLY: Final = rate(ours("notifications_delivery_seconds_bucket", 'le="1.0"'))

OBJECTIVES: Final = (
    Objective(
        name="available",
        promise="Requests to the API are answered, and not by an error of ours (5xx)",
        target=Decimal("99.9"),
        all=_ASKED,
        # No series has a 5xx before the first one: none is 0, and not nothing.
        bad=f"{_FAILED}\nor 0 * {_ASKED}",
        bad_means="A caller was told that something is unavailable, broken, or was not decided in time.",
    ),
    Objective(
        name="decided",
        promise="Writes are answered with their outcome within 1 s",
        target=Decimal(99),
        all=_WRITTEN,
        bad=f"{_WRITTEN} - {_IN_TIME}",
        bad_means="Somebody who booked waited for over a second, up to 10 s, or was answered 202 after that.",
    ),
    Objective(
        name="delivered",
        promise="Events reach the sockets of those who watch within 1 s of occurring",
        target=Decimal(99),
        all=_HANDED,
        bad=f"{_HANDED} - {_EARLY}",
        bad_means="People who look at a calendar saw a change late.",
    ),
)


def all_of(objective: Objective) -> str:
    """Name what is recorded of how many there are."""
    return f'slo:all:rate5m{{slo="{objective.name}"}}'


def bad_of(objective: Objective) -> str:
    """Name what is recorded of how many are bad."""
    return f'slo:bad:rate5m{{slo="{objective.name}"}}'


def ratio_of(objective: Objective, window: str) -> str:
    """Name what is recorded of the share that is bad, over a window."""
    return f'slo:bad_per_all:ratio_rate{window}{{slo="{objective.name}"}}'


def windows() -> list[str]:
    """List the windows whose shares are recorded: those of the alerts, and the period."""
    return [*dict.fromkeys(window for burn in (*FAST, *SLOW) for window in (burn.short, burn.long)), PERIOD]


def burning(objective: Objective, burn: Burn) -> str:
    """Tell where the budget burns so fast, in both windows, and not by a handful."""
    limit = f"{burn.factor * objective.budget:f}"
    return (
        f"{ratio_of(objective, burn.long)} > {limit}\n"
        f"and {ratio_of(objective, burn.short)} > {limit}\n"
        f"and avg_over_time({bad_of(objective)}[{burn.long}]) * {burn.seconds} >= {FEWEST}"
    )


def _named(objective: Objective, speed: str) -> str:
    return f"{objective.name.capitalize()}Burns{speed}"


def burn_alerts(objective: Objective) -> tuple[Alert, Alert]:
    """Make the two alerts of an objective."""
    told = f"of the share that the objective ({objective.target:f} % over {PERIOD}) leaves"
    fast = Alert(
        name=_named(objective, "Fast"),
        expr="\nor ".join(f"(\n{burning(objective, burn)}\n)" for burn in FAST),
        severity=Severity.PAGE,
        summary=f"{objective.promise}: {{{{ $value | humanizePercentage }}}} do not, and little is left {told}",
        shown="objectives",
        labels={"slo": objective.name},
    )
    slow = Alert(
        name=_named(objective, "Slowly"),
        expr="\nor ".join(burning(objective, burn) for burn in SLOW),
        severity=Severity.TICKET,
        summary=f"{objective.promise}: {{{{ $value | humanizePercentage }}}} did not in 3 days, as much {told}",
        shown="objectives",
        labels={"slo": objective.name},
    )
    return fast, slow
