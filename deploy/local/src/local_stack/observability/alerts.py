"""What somebody must act on: the alerts beside those of the objectives. Few, each with a section in the runbooks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from local_stack.observability.promql import SERVICES, WHERE, grew, largest, ours, rate, total

LAG: Final = "consumer:lag_records:sum"
"""What is recorded of how far a consumer is behind, over its instances."""


class Severity(StrEnum):
    """How soon somebody has to act."""

    PAGE = "page"
    """Now, at night too."""
    TICKET = "ticket"
    """On the next working day."""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An alert, as Prometheus evaluates it."""

    name: str
    expr: str
    severity: Severity
    summary: str
    """One line; Prometheus' templates."""
    shown: str
    """The dashboard to look at, by its uid's last part."""
    lasting: str = "0s"
    """For how long it has to be so."""
    labels: Mapping[str, str] = field(default_factory=dict)


_TURNED_AWAY: Final = (
    ours("gateway_requests_shed_total"),
    ours("http_connections_crowded_total"),
    ours("notifications_connections_total", 'outcome="unavailable"'),
)
_KEYS_AWAY: Final = ours("keyring_loads_total", 'result="away"')
_ENDS: Final = ours("http_certificate_ends_timestamp_seconds")
"""0 where there is no certificate."""
_REQUIRED: Final = ours("health_check_passed", 'required="yes"')
_ABSENT: Final = (f"absent({selected})" for selected in (ours("up", f'job="{service}"') for service in SERVICES))

ALERTS: Final = (
    Alert(
        name="ServiceAbsent",
        expr="\nor ".join((f"{total(ours('up'), 'job')} == 0", *_ABSENT)),
        lasting="2m",
        severity=Severity.PAGE,
        summary="No instance of {{ $labels.job }} answers Prometheus",
        shown="objectives",
    ),
    Alert(
        name="ServiceNotReady",
        expr=f"{largest(_REQUIRED, 'job', 'check')} == 0",
        lasting="2m",
        severity=Severity.PAGE,
        summary="{{ $labels.check }} fails at every instance of {{ $labels.job }}",
        shown="objectives",
    ),
    Alert(
        name="InstanceNotReady",
        expr=f"min by ({WHERE}, job, instance) ({_REQUIRED}) == 0",
        lasting="15m",
        severity=Severity.TICKET,
        summary="{{ $labels.instance }} of {{ $labels.job }} has not been ready for 15 minutes",
        shown="objectives",
    ),
    Alert(
        name="ConsumerStopped",
        expr=f"{largest(ours('consumer_stopped'), 'job', 'consumer')} == 1",
        lasting="1m",
        severity=Severity.PAGE,
        summary="{{ $labels.consumer }} of {{ $labels.job }} has stopped: too many records can't be handled",
        shown="events",
    ),
    Alert(
        name="DeadLetters",
        expr=grew(ours("consumer_dead_letters_total"), "job", "topic"),
        severity=Severity.TICKET,
        summary="{{ $labels.job }} has put records of {{ $labels.topic }} aside: they can't be handled",
        shown="events",
    ),
    Alert(
        name="EventsNotPublished",
        expr=(
            f"{largest(ours('events_unpublished_age_seconds'), 'job', 'stream')} > 30\n"
            f"or {total(ours('relay_leading'), 'job', 'stream')} == 0"
        ),
        lasting="1m",
        severity=Severity.PAGE,
        summary="Events of {{ $labels.stream }} do not reach Kafka, or nobody publishes them",
        shown="events",
    ),
    Alert(
        name="ConsumerFallsBehind",
        expr=f"min_over_time({LAG}[15m]) > 1000\nand deriv({LAG}[15m]) >= 0",
        lasting="10m",
        severity=Severity.PAGE,
        summary="{{ $labels.consumer }} of {{ $labels.job }} is behind on {{ $labels.topic }}, and does not catch up",
        shown="events",
    ),
    Alert(
        name="BatchesRetried",
        expr=f"{rate(ours('consumer_batches_retried_total'), 'job', 'consumer')} > 0",
        lasting="5m",
        severity=Severity.PAGE,
        summary="{{ $labels.consumer }} of {{ $labels.job }} takes batches again and again: an engine is away",
        shown="events",
    ),
    Alert(
        name="ForeignWriter",
        expr=grew(ours("commands_foreign_writers_total"), "job", "stream"),
        severity=Severity.TICKET,
        summary="Somebody writes to the tables of {{ $labels.stream }} past the service",
        shown="events",
    ),
    Alert(
        name="Overloaded",
        expr="\nor ".join(f"{rate(selected, 'job')} > 0" for selected in _TURNED_AWAY),
        lasting="10m",
        severity=Severity.TICKET,
        summary="{{ $labels.job }} turns callers away: there is more load than its instances bear",
        shown="requests",
    ),
    Alert(
        name="KeysAway",
        expr=f"{rate(_KEYS_AWAY, 'job')} > 0",
        lasting="5m",
        severity=Severity.PAGE,
        summary="{{ $labels.job }} can't read data keys: sealed fields of some tenants can't be read or written",
        shown="requests",
    ),
    Alert(
        name="KeysUnreadable",
        expr=grew(ours("keyring_unreadable_total"), "job", "instance"),
        severity=Severity.PAGE,
        summary="{{ $labels.instance }} has no master key that opens a data key",
        shown="requests",
    ),
    Alert(
        name="RemovalUnreadable",
        expr=grew(ours("removals_unreadable_total"), "job", "instance"),
        severity=Severity.PAGE,
        summary="{{ $labels.instance }} of {{ $labels.job }} could not read a removal: somebody may still be let in",
        shown="requests",
    ),
    Alert(
        name="RefusalsLost",
        expr=grew(ours("gateway_refusals_total", 'result="lost"'), "job"),
        severity=Severity.TICKET,
        summary="Calls refused as forbidden are missing in the audit trail; they stand in the log",
        shown="requests",
    ),
    Alert(
        name="CertificateNotRenewed",
        expr=grew(ours("http_certificate_renewals_total", 'outcome="failed"'), "job", "instance"),
        lasting="15m",
        severity=Severity.TICKET,
        summary="{{ $labels.instance }} of {{ $labels.job }} can't read its new certificate; the old one runs out",
        shown="requests",
    ),
    Alert(
        name="CertificateEnds",
        expr=f"min by ({WHERE}, job, instance) ({_ENDS} > 0) - time() < {7 * 86_400}",
        severity=Severity.TICKET,
        summary="The certificate of {{ $labels.instance }} ({{ $labels.job }}) ends in {{ $value | humanizeDuration }}",
        shown="requests",
    ),
)
"""In the order of the runbooks."""
