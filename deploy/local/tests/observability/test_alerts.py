"""Each alert fires when it should and not before, as Prometheus itself evaluates it (`promtool test rules`)."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_stack.observability import check
from local_stack.observability.objectives import OBJECTIVES, Objective
from local_stack.observability.promql import SERVICES
from local_stack.observability.rules import every_alert, groups

HERE = 'system="production-tool", namespace="here"'
SEVERITIES = {alert.name: str(alert.severity) for alert in every_alert()}


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is scraped, minute by minute, and when an alert fires (with these labels) and when it does not."""

    alert: str
    told: str
    series: Mapping[str, str]
    labels: Mapping[str, str] | None = None
    fires: Sequence[int] = ()
    quiet: Sequence[int] = ()


def counter(*phases: tuple[int, float]) -> str:
    """Write a counter that grows, for so many minutes, by so much a minute."""
    written, count = [], 0.0
    for minutes, growth in phases:
        written.append(f"{count:.6f}+{growth:.6f}x{minutes - 1}")
        count += growth * minutes
    return " ".join(written)


def scraped(metric: str, values: str, **labels: str) -> dict[str, str]:
    told = ", ".join(f'{name}="{value}"' for name, value in labels.items())
    return {f"{metric}{{{HERE}, {told}}}": values}


# --- objectives: the same story for each ------------------------------------------------------------------------------
EVERY = 600.0
"""Requests, writes or events a minute."""


def burning(objective: Objective, *phases: tuple[int, float]) -> dict[str, str]:
    """Scrape what burns an objective's budget, for so many minutes, so many times as fast as it lasts."""
    bad = [(minutes, EVERY * factor * float(objective.budget)) for minutes, factor in phases]
    good = [(minutes, EVERY - growth) for minutes, growth in bad]
    whole = [(minutes, EVERY) for minutes, _ in bad]
    match objective.name:
        case "available":
            told = {"job": "gateway", "method": "GET", "route": "/v1/bookings"}
            return {
                **scraped("http_requests_total", counter(*good), **told, status="200"),
                **scraped("http_requests_total", counter(*bad), **told, status="503"),
                # Neither good nor bad: whoever looks for what is not there does not make us better.
                **scraped("http_requests_total", counter(*whole), **told | {"route": "unmatched"}, status="404"),
            }
        case "decided":
            told = {"job": "gateway", "method": "POST", "route": "/v1/bookings"}
            metric = "http_request_duration_seconds"
        case name:
            assert name == "delivered"
            told = {"job": "notifications", "stream": "booking"}
            metric = "notifications_delivery_seconds"
    return {
        **scraped(f"{metric}_count", counter(*whole), **told),
        **scraped(f"{metric}_bucket", counter(*good), **told, le="1.0"),
        **scraped(f"{metric}_bucket", counter(*whole), **told, le="+Inf"),
    }


def of_objective(objective: Objective) -> Iterator[Scenario]:
    fast, slow = (f"{objective.name.capitalize()}Burns{speed}" for speed in ("Fast", "Slowly"))
    labels = {"namespace": "here", "slo": objective.name}
    an_hour = burning(objective, (360, 0), (60, 20), (60, 0))
    yield Scenario(
        alert=fast,
        told="20 times as fast for an hour, and over",
        series=an_hour,
        labels=labels,
        quiet=[360 + 30, 360 + 60 + 15],
        fires=[360 + 50],
    )
    hours = burning(objective, (360, 0), (310, 8))
    yield Scenario(
        alert=fast, told="8 times for hours", series=hours, labels=labels, quiet=[360 + 240], fires=[360 + 300]
    )
    days = burning(objective, (720, 0), (400, 3))
    yield Scenario(alert=fast, told="3 times is not fast", series=days, quiet=[720 + 330, 720 + 390])
    yield Scenario(
        alert=slow, told="3 times for hours", series=days, labels=labels, quiet=[720 + 330], fires=[720 + 390]
    )
    nothing = burning(objective, (480, 0))
    yield Scenario(alert=slow, told="nothing is bad", series=nothing, quiet=[60, 470])
    yield Scenario(alert=fast, told="nothing is bad", series=nothing, quiet=[60, 470])


def at_night() -> Scenario:
    """One request in ten minutes, and each fails: ten in an hour wake somebody, six do not."""
    told = {"job": "gateway", "method": "GET", "route": "/v1/bookings"}
    good, bad = counter((360, 0.1), (130, 0)), counter((360, 0), (130, 0.1))
    return Scenario(
        alert="AvailableBurnsFast",
        told="a handful is bad at night",
        series={
            **scraped("http_requests_total", good, **told, status="200"),
            **scraped("http_requests_total", bad, **told, status="503"),
        },
        labels={"namespace": "here", "slo": "available"},
        quiet=[360 + 60, 360 + 80],
        fires=[360 + 120],
    )


# --- what somebody must act on ----------------------------------------------------------------------------------------
def ups(**values: str) -> dict[str, str]:
    told: dict[str, str] = {}
    for service in SERVICES:
        told |= scraped("up", values.get(service, "1x40"), job=service, instance=f"{service}:1")
    return told


def check_of(instance: str, values: str, *, required: str = "yes") -> dict[str, str]:
    told = {"job": "booking", "instance": instance, "check": "kafka", "required": required}
    return scraped("health_check_passed", values, **told)


def grown(alert: str, metric: str, labels: Mapping[str, str], **others: str) -> Iterator[Scenario]:
    """A counter whose first count is what matters: it begins with it, or with 0 where it has no labels of its own."""
    expected = {"namespace": "here", **labels}
    for begin in ("_x4", "0x4"):
        series = scraped(metric, f"{begin} 1x40", **labels, **others)
        told = f"the first of all, after {begin[0]}"
        yield Scenario(alert=alert, told=told, series=series, labels=expected, quiet=[3, 22], fires=[6, 15])
    series = scraped(metric, "7x40", **labels, **others)
    yield Scenario(alert=alert, told="an old count", series=series, quiet=[16, 30])


PUBLISHED = scraped("events_unpublished_age_seconds", "0x40", job="booking", stream="booking", instance="b:1")
LEADS = scraped("relay_leading", "1x40", job="booking", stream="booking", instance="b:1")
OF_STREAM = {"namespace": "here", "job": "booking", "stream": "booking"}
WEEK = 7 * 86_400
LAG = {"job": "booking", "consumer": "booking", "topic": "booking.commands.v1"}

SCENARIOS = [
    *itertools.chain.from_iterable(map(of_objective, OBJECTIVES)),
    at_night(),
    Scenario(
        alert="ServiceAbsent",
        told="the only instance goes",
        series=ups(gateway="1x5 0x30"),
        labels={"namespace": "here", "job": "gateway"},
        quiet=[3, 7],
        fires=[9],
    ),
    Scenario(
        alert="ServiceAbsent",
        told="one of two goes",
        series=ups(gateway="1x5 0x30") | scraped("up", "1x40", job="gateway", instance="gateway:2"),
        quiet=[20],
    ),
    Scenario(
        alert="ServiceAbsent",
        told="it was never there",
        series={series: values for series, values in ups().items() if "tenancy" not in series},
        labels={"system": "production-tool", "job": "tenancy"},
        quiet=[1],
        fires=[5],
    ),
    Scenario(
        alert="ServiceNotReady",
        told="first one instance, then both",
        series=check_of("b:1", "0x40") | check_of("b:2", "1x10 0x30"),
        labels={"namespace": "here", "job": "booking", "check": "kafka"},
        quiet=[10, 12],
        fires=[14],
    ),
    Scenario(
        alert="ServiceNotReady",
        told="what readiness does not depend on",
        series=check_of("b:1", "0x40", required="no"),
        quiet=[20],
    ),
    Scenario(
        alert="InstanceNotReady",
        told="one of two, for long",
        series=check_of("b:1", "0x40") | check_of("b:2", "1x40"),
        labels={"namespace": "here", "job": "booking", "instance": "b:1"},
        quiet=[10],
        fires=[16],
    ),
    Scenario(
        alert="InstanceNotReady",
        told="what readiness does not depend on",
        series=check_of("b:1", "0x40", required="no"),
        quiet=[30],
    ),
    Scenario(
        alert="ConsumerStopped",
        told="at one of two instances",
        series={
            **scraped("consumer_stopped", "0x40", job="booking", consumer="booking", instance="b:1"),
            **scraped("consumer_stopped", "0x5 1x30", job="booking", consumer="booking", instance="b:2"),
        },
        labels={"namespace": "here", "job": "booking", "consumer": "booking"},
        quiet=[5],
        fires=[8],
    ),
    *grown("DeadLetters", "consumer_dead_letters_total", {"job": "booking", "topic": "booking.commands.v1"}),
    Scenario(
        alert="EventsNotPublished",
        told="they wait",
        series=LEADS | scraped("events_unpublished_age_seconds", "0+5x40", job="booking", stream="booking"),
        labels=OF_STREAM,
        quiet=[6],
        fires=[9],
    ),
    Scenario(
        alert="EventsNotPublished",
        told="nobody is the relay",
        series=PUBLISHED | scraped("relay_leading", "1x5 0x30", job="booking", stream="booking", instance="b:1"),
        labels=OF_STREAM,
        quiet=[5],
        fires=[8],
    ),
    Scenario(
        alert="EventsNotPublished",
        told="another takes over",
        series={
            **PUBLISHED,
            **scraped("relay_leading", "1x5 0x30", job="booking", stream="booking", instance="b:1"),
            **scraped("relay_leading", "0x5 1x30", job="booking", stream="booking", instance="b:2"),
        },
        quiet=[8, 20],
    ),
    Scenario(
        alert="ConsumerFallsBehind",
        told="it stands still, over two instances",
        series={
            **scraped("consumer_lag_records", "600x40", **LAG, instance="b:1"),
            **scraped("consumer_lag_records", "600x40", **LAG, instance="b:2"),
        },
        labels={"namespace": "here", **LAG},
        quiet=[5],
        fires=[15],
    ),
    Scenario(
        alert="ConsumerFallsBehind",
        told="it catches up",
        series=scraped("consumer_lag_records", "90000-1000x40", **LAG, instance="b:1"),
        quiet=[5, 15, 40],
    ),
    Scenario(
        alert="ConsumerFallsBehind",
        told="it is behind by little",
        series=scraped("consumer_lag_records", "900x40", **LAG, instance="b:1"),
        quiet=[30],
    ),
    Scenario(
        alert="BatchesRetried",
        told="again and again",
        series=scraped("consumer_batches_retried_total", "0x5 1+4x30", job="booking", consumer="booking"),
        labels={"namespace": "here", "job": "booking", "consumer": "booking"},
        quiet=[8],
        fires=[13],
    ),
    Scenario(
        alert="BatchesRetried",
        told="once",
        series=scraped("consumer_batches_retried_total", "0x5 1x30", job="booking", consumer="booking"),
        quiet=[7, 9, 11, 13],
    ),
    *(
        Scenario(
            alert="Overloaded",
            told=f"{metric} for ten minutes",
            series=scraped(metric, "0x5 2+2x30", job="gateway", **others),
            labels={"namespace": "here", "job": "gateway"},
            quiet=[12],
            fires=[18],
        )
        for metric, others in (
            ("gateway_requests_shed_total", {"instance": "g:1"}),
            ("http_connections_crowded_total", {"instance": "g:1"}),
            ("notifications_connections_total", {"outcome": "unavailable"}),
        )
    ),
    Scenario(
        alert="Overloaded",
        told="refused for other reasons",
        series=scraped("notifications_connections_total", "0+2x40", job="notifications", outcome="unauthenticated"),
        quiet=[20, 40],
    ),
    Scenario(
        alert="KeysAway",
        told="for minutes",
        series=scraped("keyring_loads_total", "0x5 1+2x30", job="gateway", result="away"),
        labels={"namespace": "here", "job": "gateway"},
        quiet=[8],
        fires=[13],
    ),
    Scenario(
        alert="KeysAway",
        told="keys are read",
        series=scraped("keyring_loads_total", "0+2x40", job="gateway", result="read"),
        quiet=[13, 30],
    ),
    *grown("KeysUnreadable", "keyring_unreadable_total", {"job": "gateway", "instance": "g:1"}),
    *grown("RemovalUnreadable", "removals_unreadable_total", {"job": "gateway", "instance": "g:1"}),
    *grown("ForeignWriter", "commands_foreign_writers_total", {"job": "booking", "stream": "booking"}),
    *grown("RefusalsLost", "gateway_refusals_total", {"job": "gateway"}, result="lost"),
    Scenario(
        alert="RefusalsLost",
        told="they are published",
        series=scraped("gateway_refusals_total", "0+2x40", job="gateway", result="published"),
        quiet=[10, 30],
    ),
    Scenario(
        alert="CertificateNotRenewed",
        told="it fails each time it is looked at",
        series=scraped(
            "http_certificate_renewals_total", "_x4 1+6x40", job="gateway", instance="g:1", outcome="failed"
        ),
        labels={"namespace": "here", "job": "gateway", "instance": "g:1"},
        quiet=[10, 18],
        fires=[22],
    ),
    Scenario(
        alert="CertificateNotRenewed",
        told="it failed once, and the next look found both files",
        series=scraped("http_certificate_renewals_total", "_x4 1x40", job="gateway", instance="g:1", outcome="failed"),
        quiet=[10, 19, 21],
    ),
    Scenario(
        alert="CertificateEnds",
        told="in a week from minute 10 on, then renewed",
        series=scraped(
            "http_certificate_ends_timestamp_seconds", f"{WEEK + 600}x20 {90 * WEEK}x20", job="gateway", instance="g:1"
        ),
        labels={"namespace": "here", "job": "gateway", "instance": "g:1"},
        quiet=[5, 25],
        fires=[15],
    ),
    Scenario(
        alert="CertificateEnds",
        told="there is none",
        series=scraped("http_certificate_ends_timestamp_seconds", "0x40", job="gateway", instance="g:1"),
        quiet=[5, 30],
    ),
]


def told_to_promtool(rules: Path, *scenarios: Scenario) -> str:
    """Write a file of tests. What burns over hours is evaluated every five minutes, as 3,000 minutes take a minute."""
    every = "5m" if any("Burns" in scenario.alert for scenario in scenarios) else "1m"
    tests = [as_promtool_reads_it(scenario) for scenario in scenarios]
    return str(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": every, "tests": tests}))


def as_promtool_reads_it(scenario: Scenario) -> dict[str, Any]:
    fired = [{"exp_labels": {"severity": SEVERITIES[scenario.alert], **(scenario.labels or {})}}]
    asked = [(minute, fired) for minute in scenario.fires] + [(minute, []) for minute in scenario.quiet]
    return {
        "name": f"{scenario.alert}: {scenario.told}",
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in scenario.series.items()],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": scenario.alert, "exp_alerts": expected}
            for minute, expected in asked
        ],
    }


@pytest.fixture(scope="module")
def bare_rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rules without their annotations, which promtool would compare word by word."""
    bare = [
        {**group, "rules": [{key: rule[key] for key in rule if key != "annotations"} for rule in group["rules"]]}
        for group in groups()
    ]
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": bare}))
    return file


@pytest.mark.parametrize("alert", sorted(SEVERITIES))
def test_an_alert_fires_when_it_should_and_not_before(alert: str, bare_rules: Path, tmp_path: Path) -> None:
    scenarios = [scenario for scenario in SCENARIOS if scenario.alert == alert]
    assert any(scenario.fires for scenario in scenarios)
    assert any(scenario.quiet for scenario in scenarios)
    file = tmp_path / "test.yaml"
    file.write_text(told_to_promtool(bare_rules, *scenarios))
    done = check.run("promtool", "test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_scenario_that_is_told_wrong_fails(bare_rules: Path, tmp_path: Path) -> None:
    """Promtool bites: what fires is not taken for quiet."""
    quiet = Scenario(alert="ServiceAbsent", told="x", series=ups(gateway="0x30"), quiet=[20])
    file = tmp_path / "test.yaml"
    file.write_text(told_to_promtool(bare_rules, quiet))
    assert check.run("promtool", "test", "rules", str(file)).returncode != 0
