"""PromQL as it is written here: what is selected is of this system, and kept apart by namespace.

A scrape gives each series a label `system`, so that a `gateway` of somebody else is not taken for ours; `namespace` is
there on Kubernetes, where several installations may share one Prometheus.
"""

from typing import Final

SYSTEM: Final = "production-tool"
WHERE: Final = "namespace"
"""The label by which installations are kept apart; Compose has none, and PromQL takes that for an empty one."""

SERVICES: Final = ("gateway", "booking", "tenancy", "notifications")


def ours(metric: str, *matchers: str) -> str:
    """Select a metric of this system, by matchers such as `job="gateway"`."""
    return metric + "{" + ", ".join((f'system="{SYSTEM}"', *matchers)) + "}"


def rate(selected: str, *by: str, window: str = "5m") -> str:
    """Sum up what a counter grows by, per second; kept apart by namespace, and by these labels."""
    return f"sum by ({', '.join((WHERE, *by))}) (rate({selected}[{window}]))"


def largest(selected: str, *by: str) -> str:
    """Take the largest value of a gauge over the instances."""
    return f"max by ({', '.join((WHERE, *by))}) ({selected})"


def total(selected: str, *by: str) -> str:
    """Add a gauge up over the instances."""
    return f"sum by ({', '.join((WHERE, *by))}) ({selected})"


def grew(selected: str, *by: str, window: str = "15m") -> str:
    """Tell where a counter has grown within a window, by so much.

    A series with labels begins with its first count, and `increase` sees growth from the second sample on only: what
    was not there before the window counts whole.
    """
    labels = ", ".join((WHERE, *by))
    return (
        f"sum by ({labels}) (increase({selected}[{window}])) > 0\n"
        f"or sum by ({labels}) ({selected} unless {selected} offset {window}) > 0"
    )


def quantile(share: float, histogram: str, *by: str, window: str = "$__rate_interval") -> str:
    """Estimate a quantile of a histogram (its selector, by the name without suffix)."""
    name, brace, matchers = histogram.partition("{")
    buckets = rate(f"{name}_bucket{brace}{matchers}", "le", *by, window=window)
    return f"histogram_quantile({share}, {buckets})"
