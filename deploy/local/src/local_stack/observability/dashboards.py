"""What the dashboards show: the objectives, requests, events and consumers, live sockets."""

from typing import Final

from local_stack.observability.alerts import LAG
from local_stack.observability.grafana import Dashboard, Line, Panel, Row
from local_stack.observability.objectives import (
    FAST,
    OBJECTIVES,
    PERIOD,
    Objective,
    all_of,
    bad_of,
    ratio_of,
)
from local_stack.observability.promql import WHERE, largest, ours, quantile, rate, total

_HERE: Final = f'{WHERE}=~"$namespace"'
_WINDOW: Final = "$__rate_interval"


def _ours(metric: str, *matchers: str) -> str:
    """Select what is ours, in the namespace that is looked at."""
    return ours(metric, _HERE, *matchers)


def _rate(metric: str, *by: str, where: tuple[str, ...] = ()) -> str:
    return rate(_ours(metric, *where), *by, window=_WINDOW)


def _here(recorded: str) -> str:
    """Narrow what was recorded to the namespace that is looked at."""
    return recorded.replace("{", f"{{{_HERE}, ", 1) if "{" in recorded else f"{recorded}{{{_HERE}}}"


def _counted(title: str, told: str, metric: str, *by: str, where: tuple[str, ...] = ()) -> Panel:
    """Show a counter by what it grows per second."""
    legend = " ".join(f"{{{{{label}}}}}" for label in by) or title
    return Panel(title=title, told=told, unit="cps", lines=[Line(query=_rate(metric, *by, where=where), legend=legend)])


def _quantiles(title: str, told: str, histogram: str, *, bad_above: float, where: tuple[str, ...] = ()) -> Panel:
    """Show the median, and what one in a hundred exceeds, of durations."""
    lines = [
        Line(query=quantile(share, _ours(histogram, *where)), legend=f"p{share * 100:.0f}") for share in (0.5, 0.99)
    ]
    return Panel(title=title, told=told, unit="s", bad_above=bad_above, lines=lines)


def _of_objective(objective: Objective) -> Row:
    budget = float(objective.budget)
    left = f"1 - {_here(ratio_of(objective, PERIOD))} / {objective.budget:f}"
    burns = [
        Line(query=f"{_here(ratio_of(objective, window))} / {objective.budget:f}", legend=window)
        for window in ("5m", "1h", "6h", "3d")
    ]
    return Row(
        title=f"{objective.promise}: {objective.target:f} % over {PERIOD}",
        panels=[
            Panel(
                title="Budget that is left",
                told=f"Of the {100 * budget:g} % that may be bad in {PERIOD}. Below 0 the objective is missed. "
                f"{objective.bad_means}",
                unit="percentunit",
                is_number=True,
                bad_below=0.1,
                at_most=1,
                lines=[Line(query=left, legend=objective.name)],
            ),
            Panel(
                title="How fast the budget burns",
                told=f"1 uses it up in just {PERIOD}. Somebody is woken at {FAST[0].factor} over an hour, or "
                f"{FAST[1].factor} over six.",
                bad_above=float(FAST[0].factor),
                lines=burns,
            ),
            Panel(
                title="All, and bad ones",
                told="Where there are few, one bad one is a large share: no alert fires for fewer than ten.",
                unit="cps",
                lines=[
                    Line(query=_here(all_of(objective)), legend="all"),
                    Line(query=_here(bad_of(objective)), legend="bad"),
                ],
            ),
        ],
    )


_STATE: Final = Row(
    title="State",
    panels=[
        Panel(
            title="Instances that answer Prometheus",
            told="0, or nothing: nobody serves.",
            is_number=True,
            bad_below=1,
            lines=[Line(query=total(_ours("up"), "job"), legend="{{job}}")],
        ),
        Panel(
            title="Checks of readiness that fail",
            told="At how many instances, by check. Shown with those that readiness does not depend on.",
            bad_above=1,
            lines=[
                Line(
                    query=f"count by ({WHERE}, job, check) ({_ours('health_check_passed')} == 0)",
                    legend="{{job}} {{check}}",
                )
            ],
        ),
        Panel(
            title="Consumers that have stopped",
            told="1: nothing that it reads is handled until an operator has looked.",
            is_number=True,
            bad_above=1,
            lines=[Line(query=largest(_ours("consumer_stopped"), "job", "consumer"), legend="{{job}} {{consumer}}")],
        ),
    ],
)

_OBJECTIVES: Final = Dashboard(
    name="objectives",
    title="Production Tool: objectives",
    told="What users were promised, and what is left of it; what runs, and whether it is ready.",
    rows=[_STATE, *map(_of_objective, OBJECTIVES)],
)

_ENDS: Final = _ours("http_certificate_ends_timestamp_seconds")
_GATEWAY: Final = 'job="gateway"'
_API: Final = 'route=~"/v1/.+"'
_SERVED: Final = 'route!~"/metrics|/healthz|/readyz"'

_REQUESTS: Final = Dashboard(
    name="requests",
    title="Production Tool: requests",
    told="What callers ask, what they are answered, and what becomes of commands.",
    rows=[
        Row(
            title="The API",
            panels=[
                _counted(
                    "Requests by status",
                    "A rising share of 5xx: 503 and 504 point to Kafka, or to deciding.",
                    "http_requests_total",
                    "status",
                    where=(_GATEWAY, _API),
                ),
                _counted(
                    "Requests by route", "What is asked for.", "http_requests_total", "route", where=(_GATEWAY, _API)
                ),
                _quantiles(
                    "Duration of writes",
                    "With the wait for the outcome, up to 10 s.",
                    "http_request_duration_seconds",
                    bad_above=1,
                    where=(_GATEWAY, _API, 'method!="GET"'),
                ),
                _quantiles(
                    "Duration of reads",
                    "At the gateway, with the owner's part.",
                    "http_request_duration_seconds",
                    bad_above=0.25,
                    where=(_GATEWAY, _API, 'method="GET"'),
                ),
                Panel(
                    title="In hand",
                    told="Requests not answered yet, and those of them that wait for an outcome. Near the settings "
                    "requests_in_hand and waiting_commands: more load than this instance bears.",
                    lines=[
                        Line(query=total(_ours("gateway_requests_in_hand")), legend="requests"),
                        Line(query=total(_ours("gateway_waiting_commands")), legend="waiting for an outcome"),
                    ],
                ),
                Panel(
                    title="Turned away",
                    told="Refused unread, or as one connection too many.",
                    unit="cps",
                    lines=[
                        Line(query=_rate("gateway_requests_shed_total"), legend="shed"),
                        Line(query=_rate("http_connections_crowded_total", "job"), legend="{{job}} connections"),
                    ],
                ),
            ],
        ),
        Row(
            title="Commands",
            panels=[
                _counted(
                    "What became of commands at the gateway",
                    "unavailable: Kafka. pending without respond-async: deciding is slow.",
                    "gateway_commands_total",
                    "result",
                ),
                _counted(
                    "Outcomes",
                    "expired: deciding is slower than callers wait. internal never occurs.",
                    "commands_decided_total",
                    "job",
                    "outcome",
                ),
                _counted("Commands by type", "What is decided.", "commands_decided_total", "type"),
                _quantiles(
                    "From Kafka to the committed outcome",
                    "Lag, a slow database, or the roster behind.",
                    "commands_decision_seconds",
                    bad_above=1,
                ),
                _counted(
                    "Commands that had their outcome already",
                    "More than after a restart: batches are taken again.",
                    "commands_known_total",
                    "job",
                ),
                _counted(
                    "Foreign writers",
                    "Batches that met somebody who writes past the service: never.",
                    "commands_foreign_writers_total",
                    "stream",
                ),
            ],
        ),
        Row(
            title="Within",
            panels=[
                _counted(
                    "Requests to the owners",
                    "At booking and tenancy.",
                    "http_requests_total",
                    "job",
                    "status",
                    where=('job=~"booking|tenancy"', _SERVED),
                ),
                _counted(
                    "Reads from a replica",
                    "primary: the replica is away or behind. Nothing where there is no replica.",
                    "http_replica_reads_total",
                    "job",
                    "where",
                ),
                _counted(
                    "Rate limits without Redis",
                    "Each replica of the gateway counts by itself: limits are not shared.",
                    "gateway_rate_limits_alone_total",
                ),
                _counted(
                    "Webhooks of the identity provider",
                    "unauthenticated without end: the secret was changed on one side.",
                    "gateway_webhooks_total",
                    "type",
                    "result",
                ),
                _counted(
                    "Events for PostHog",
                    "dropped, lost: PostHog shows less than there was, and nothing else suffers.",
                    "product_events_total",
                    "result",
                ),
                _counted(
                    "Flags, by who said what they are",
                    "default for a flag that PostHog has: it is away, or its key is wrong.",
                    "product_flags_total",
                    "flag",
                    "source",
                ),
                _counted(
                    "Refused calls on their way to the audit trail",
                    "lost: they stand in the log only.",
                    "gateway_refusals_total",
                    "result",
                ),
                _counted(
                    "Certificates renewed",
                    "failed: the files do not belong together, or can't be read.",
                    "http_certificate_renewals_total",
                    "job",
                    "outcome",
                ),
            ],
        ),
        Row(
            title="Certificates, keys and removals",
            panels=[
                Panel(
                    title="Until the certificate ends",
                    told="Of the one that ends first; nothing where there is no TLS. Below a week: nobody renews it.",
                    unit="s",
                    is_number=True,
                    bad_below=7 * 86_400,
                    lines=[
                        Line(
                            query=f"min by ({WHERE}, job) ({_ENDS} > 0) - time()",
                            legend="{{job}}",
                        )
                    ],
                ),
                _counted(
                    "Reads of wrapped keys",
                    "away: tenancy or a master key does not answer.",
                    "keyring_loads_total",
                    "result",
                ),
                Panel(
                    title="Keys and removals held in memory",
                    told="Keys at the setting keys_held all the time: more tenants are active than are held. Removals "
                    "differ for long between instances: one of them does not follow.",
                    lines=[
                        Line(query=total(_ours("keyring_held"), "instance"), legend="keys {{instance}}"),
                        Line(
                            query=total(_ours("removals_held"), "job", "instance"),
                            legend="removals {{job}} {{instance}}",
                        ),
                    ],
                ),
                Panel(
                    title="Unreadable",
                    told="Keys that no master key opens, and removals that were passed over: never.",
                    unit="cps",
                    lines=[
                        Line(query=_rate("keyring_unreadable_total", "instance"), legend="keys {{instance}}"),
                        Line(query=_rate("removals_unreadable_total", "job"), legend="removals {{job}}"),
                    ],
                ),
            ],
        ),
    ],
)

_EVENTS: Final = Dashboard(
    name="events",
    title="Production Tool: events and consumers",
    told="From the store to Kafka, and from Kafka to whoever reads it.",
    rows=[
        Row(
            title="From the store to Kafka",
            panels=[
                _counted(
                    "Events published",
                    "None while commands are accepted: nobody publishes.",
                    "events_published_total",
                    "stream",
                ),
                Panel(
                    title="Events not published",
                    told="It grows: Kafka is away, or nobody is the relay.",
                    lines=[Line(query=largest(_ours("events_unpublished"), "stream"), legend="{{stream}}")],
                ),
                Panel(
                    title="Age of the oldest",
                    told="Over 30 s somebody is woken: watchers see nothing, and tenancy does not answer.",
                    unit="s",
                    bad_above=30,
                    lines=[Line(query=largest(_ours("events_unpublished_age_seconds"), "stream"), legend="{{stream}}")],
                ),
                Panel(
                    title="Instances that are the relay",
                    told="One of each service; none for over 15 s: nobody publishes.",
                    is_number=True,
                    bad_below=1,
                    lines=[Line(query=total(_ours("relay_leading"), "stream"), legend="{{stream}}")],
                ),
                _counted(
                    "Producers replaced",
                    "A rate while nothing is restarted: the log says what Kafka answered.",
                    "producer_replaced_total",
                    "job",
                ),
            ],
        ),
        Row(
            title="Consumers",
            panels=[
                Panel(
                    title="Lag",
                    told="Records between what was handed over and the end. It stands still while Kafka is away.",
                    lines=[Line(query=_here(LAG), legend="{{job}} {{consumer}} {{topic}}")],
                ),
                Panel(
                    title="Records in a batch",
                    told="It grows with load, which keeps a command cheap. At 500 all the time: more than one takes.",
                    at_most=500,
                    lines=[
                        Line(
                            query=f"{_rate('consumer_batch_records_sum', 'consumer')}\n"
                            f"/ {_rate('consumer_batch_records_count', 'consumer')}",
                            legend="{{consumer}}",
                        )
                    ],
                ),
                _counted(
                    "Batches taken again",
                    "PostgreSQL, Kafka or Redis is away.",
                    "consumer_batches_retried_total",
                    "job",
                    "consumer",
                ),
                _counted(
                    "Batches halved",
                    "In search of a record that fails them: a dead letter follows.",
                    "consumer_batches_halved_total",
                    "job",
                    "consumer",
                ),
                _counted(
                    "Dead letters",
                    "Each is a fault to be found; its reason stands in its header dlq_reason.",
                    "consumer_dead_letters_total",
                    "job",
                    "topic",
                ),
            ],
        ),
    ],
)

_LIVE: Final = Dashboard(
    name="live",
    title="Production Tool: live sockets",
    told="What notifications does: who is connected, and how fast they hear.",
    rows=[
        Row(
            title="Sockets",
            panels=[
                Panel(
                    title="Connected",
                    told="Near the setting max_sockets: start more. A sudden fall: the network, or a restart.",
                    lines=[Line(query=total(_ours("notifications_sockets"), "instance"), legend="{{instance}}")],
                ),
                _counted(
                    "Who asked to connect",
                    "unavailable: full, closing, or the owners are away.",
                    "notifications_connections_total",
                    "outcome",
                ),
                _counted(
                    "Tokens renewed",
                    "Refusals: clients renew with tokens of others.",
                    "notifications_renewals_total",
                    "outcome",
                ),
                Panel(
                    title="Sockets that were closed",
                    told="slow: they did not read. flood: they sent too much. expelled: their holder was removed.",
                    unit="cps",
                    lines=[
                        Line(query=_rate("notifications_slow_sockets_total"), legend="slow"),
                        Line(query=_rate("notifications_floods_total"), legend="flood"),
                        Line(query=_rate("notifications_expelled_total"), legend="expelled"),
                    ],
                ),
            ],
        ),
        Row(
            title="Events to the sockets",
            panels=[
                _quantiles(
                    "From the event to the sockets",
                    "The relay, Kafka, Redis, or this instance is slow. What is caught up on is not in it.",
                    "notifications_delivery_seconds",
                    bad_above=1,
                ),
                _counted(
                    "Delivered, per socket",
                    "None while events are published and sockets are there.",
                    "notifications_delivered_total",
                ),
                _counted(
                    "Where sockets began",
                    "Many resync: clients stay away for longer than history is resumed, or a restore.",
                    "notifications_resumes_total",
                    "start",
                ),
                _counted(
                    "Gaps found and filled",
                    "A rate: the channels of Redis lose messages.",
                    "notifications_gaps_total",
                    "stream",
                ),
                _counted(
                    "Pages of history",
                    "Mostly from the owner: keep more recent events.",
                    "notifications_history_pages_total",
                    "source",
                ),
                Panel(
                    title="Trouble with Redis",
                    told="Connections to the channels lost, and owners asked because Redis could not say.",
                    unit="cps",
                    lines=[
                        Line(query=_rate("notifications_channel_reconnects_total"), legend="reconnects"),
                        Line(query=_rate("notifications_owner_checks_total"), legend="owners asked"),
                    ],
                ),
            ],
        ),
    ],
)

DASHBOARDS: Final = (_OBJECTIVES, _REQUESTS, _EVENTS, _LIVE)
