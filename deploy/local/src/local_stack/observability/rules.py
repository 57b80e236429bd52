"""The rules of Prometheus: what is recorded of the objectives and of consumers, and every alert."""

from typing import Any, Final

from local_stack.observability.alerts import ALERTS, LAG, Alert
from local_stack.observability.objectives import (
    OBJECTIVES,
    Objective,
    all_of,
    bad_of,
    burn_alerts,
    ratio_of,
    windows,
)
from local_stack.observability.promql import ours, total

DOCS: Final = "https://docs.example.com/production-tool"
"""Where the documentation is served; `generate --docs` takes another address."""

Rule = dict[str, Any]
Group = dict[str, Any]


def every_alert() -> tuple[Alert, ...]:
    """Give every alert: those of the objectives first."""
    return (*(alert for objective in OBJECTIVES for alert in burn_alerts(objective)), *ALERTS)


def anchor(alert: Alert) -> str:
    """Name the section of the runbooks that is the alert's."""
    return alert.name.lower()


def groups(docs: str = DOCS) -> list[Group]:
    """Make the groups of rules, with links to runbooks that are served at ``docs``."""
    recorded = [rule for objective in OBJECTIVES for rule in _recorded(objective)]
    burns = [_alert(alert, docs) for objective in OBJECTIVES for alert in burn_alerts(objective)]
    lag: Rule = {"record": LAG, "expr": total(ours("consumer_lag_records"), "job", "consumer", "topic")}
    return [
        {"name": "production-tool-objectives", "rules": [*recorded, *burns]},
        {"name": "production-tool-alerts", "rules": [lag, *(_alert(alert, docs) for alert in ALERTS)]},
    ]


def _recorded(objective: Objective) -> list[Rule]:
    """Record the rates, and the share that is bad over each window: the sum of the bad by the sum of all."""
    every, bad = all_of(objective), bad_of(objective)
    shares = {
        window: f"{bad} / {every}"
        if window == "5m"
        else f"sum_over_time({bad}[{window}]) / sum_over_time({every}[{window}])"
        for window in windows()
    }
    told = {every: objective.all, bad: objective.bad}
    told |= {ratio_of(objective, window): expr for window, expr in shares.items()}
    return [
        {"record": selected.partition("{")[0], "expr": expr, "labels": {"slo": objective.name}}
        for selected, expr in told.items()
    ]


def _alert(alert: Alert, docs: str) -> Rule:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        **({"for": alert.lasting} if alert.lasting != "0s" else {}),
        "labels": {"severity": str(alert.severity), **alert.labels},
        "annotations": {
            "summary": alert.summary,
            "dashboard": f"production-tool-{alert.shown}",
            "runbook_url": f"{docs}/how-to/runbooks.html#{anchor(alert)}",
        },
    }
