"""Queries, held to what the services export: a name or a label that nobody exports is found before it is missed."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import promql_parser as promql

from local_stack.observability.exports import Export, exports, stated_values
from local_stack.observability.rules import Rule

TARGET: Final = frozenset({"system", "namespace", "job", "instance"})
"""What a scrape adds to each series, with Compose (but for `namespace`) and on Kubernetes."""

_SCRAPED: Final[Mapping[str, frozenset[str]]] = {"up": frozenset()}
_PLAIN: Final = re.compile(r"[\w-]+(\|[\w-]+)*")
"""An expression that is nothing but a choice of values."""

Finding = str
Labels = frozenset[str]


class QueryError(Exception):
    """A query that can't be read; the message is the parser's."""


@dataclass(frozen=True)
class Catalogue:
    """What may be asked for: series with their labels, and the values of labels where they are known."""

    series: dict[str, Labels] = field(default_factory=dict)
    values: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)

    def record(self, rule: Rule) -> None:
        """Add what a rule records."""
        labels, _ = look(str(rule["expr"]), self)
        self.series[str(rule["record"])] = labels | frozenset(rule.get("labels", {}))


def catalogue() -> Catalogue:
    """Make the catalogue of what the services export."""
    told = exports()
    series = {name: labels | TARGET for one in told.values() for name, labels in one.series.items()}
    values = {
        (series, label): found for (name, label), found in stated_values().items() for series in told[name].series
    }
    values |= {(f"{one.name}_bucket", "le"): frozenset(one.buckets) for one in told.values() if one.buckets}
    return Catalogue(series | {name: labels | TARGET for name, labels in _SCRAPED.items()}, values)


def look(query: str, known: Catalogue) -> tuple[Labels, list[Finding]]:
    """Look through a query: the labels of what it gives, and what is wrong with it.

    Raises:
        QueryError: it can't be read.
    """
    try:
        parsed = promql.parse(plain(query))
    except ValueError as error:
        raise QueryError(str(error)) from error
    found: list[Finding] = []
    return _labels(parsed, known, found), found


def plain(query: str) -> str:
    """Put a value in the place of each of Grafana's variables."""
    return query.replace("$__rate_interval", "5m").replace("$__range", "1h").replace("$namespace", ".*")


def asked(query: str) -> Iterator[tuple[str, Sequence[promql.Matcher]]]:
    """Give each series that a query asks for, with its matchers.

    Raises:
        QueryError: it can't be read.
    """
    try:
        parsed = promql.parse(plain(query))
    except ValueError as error:
        raise QueryError(str(error)) from error
    selectors: list[promql.VectorSelector] = []

    def visit(expression: promql.Expr) -> None:
        if isinstance(expression, promql.VectorSelector):
            selectors.append(expression)
        elif isinstance(expression, promql.MatrixSelector):
            selectors.append(expression.vector_selector)

    promql.walk(parsed, visit)
    return ((selector.name or "", selector.matchers.matchers) for selector in selectors)


def metric_of(series: str, told: Mapping[str, Export]) -> str | None:
    """Name the metric that a series belongs to; None where it is none of the services'."""
    return next((name for name, one in told.items() if series in one.series), None)


def _labels(expression: promql.Expr, known: Catalogue, found: list[Finding]) -> Labels:
    for kind, read in _READ.items():
        if isinstance(expression, kind):
            return read(expression, known, found)
    return frozenset()


def _of_selector(selector: promql.VectorSelector, known: Catalogue, found: list[Finding]) -> Labels:
    name = selector.name or ""
    if name not in known.series:
        found.append(f"nobody exports {name or 'a series without a name'}")
        return TARGET
    for matcher in selector.matchers.matchers:
        if matcher.name not in known.series[name]:
            found.append(f"{name} has no label {matcher.name}")
        found += [f"{name} never has {matcher.name}={value}" for value in _strangers(name, matcher, known)]
    return known.series[name]


def _strangers(name: str, matcher: promql.Matcher, known: Catalogue) -> set[str]:
    """Give the values that a matcher asks for and that never occur."""
    possible = known.values.get((name, matcher.name))
    is_pattern = matcher.op in (promql.MatchOp.Re, promql.MatchOp.NotRe)
    if possible is None or (is_pattern and not _PLAIN.fullmatch(matcher.value)):
        return set()
    return set(matcher.value.split("|") if is_pattern else [matcher.value]) - possible


def _of_aggregate(expression: promql.AggregateExpr, known: Catalogue, found: list[Finding]) -> Labels:
    inner = _labels(expression.expr, known, found)
    if expression.modifier is None:
        return frozenset()
    named = frozenset(expression.modifier.labels)
    found += [f"there is no label {label} to aggregate by" for label in sorted(named - inner)]
    return named if expression.modifier.type == promql.AggModifierType.By else inner - named


def _of_binary(expression: promql.BinaryExpr, known: Catalogue, found: list[Finding]) -> Labels:
    left, right = _labels(expression.lhs, known, found), _labels(expression.rhs, known, found)
    matching = expression.modifier.matching if expression.modifier is not None else None
    if matching is not None:
        found += [
            f"there is no label {label} to match by" for label in sorted(frozenset(matching.labels) - (left & right))
        ]
    elif left and right and left != right and str(expression.op) != "or":
        found.append(f"one side has the labels {sorted(left)}, the other {sorted(right)}: they never meet")
    return left | right


def _of_call(expression: promql.Call, known: Catalogue, found: list[Finding]) -> Labels:
    labels = frozenset().union(*(_labels(one, known, found) for one in expression.args))
    match expression.func.name:
        case "histogram_quantile":
            if "le" not in labels:
                found.append("a quantile without the label le")
            return labels - {"le"}
        case "absent":
            (selector,) = expression.args
            return frozenset(matcher.name for matcher in selector.matchers.matchers)
        case _:
            return labels


_READ: Final[Mapping[type, Callable[..., Labels]]] = {
    promql.VectorSelector: _of_selector,
    promql.MatrixSelector: lambda one, known, found: _of_selector(one.vector_selector, known, found),
    promql.AggregateExpr: _of_aggregate,
    promql.BinaryExpr: _of_binary,
    promql.Call: _of_call,
    promql.ParenExpr: lambda one, known, found: _labels(one.expr, known, found),
    promql.UnaryExpr: lambda one, known, found: _labels(one.expr, known, found),
    promql.SubqueryExpr: lambda one, known, found: _labels(one.expr, known, found),
}
