"""What the services export: every metric with its labels, and the values of a label where the code states them."""

import ast
import importlib
import pkgutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

from prometheus_client import REGISTRY, Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.utils import floatToGoString

from production_contracts.problems import PROBLEM_TYPES

PACKAGES: Final = ("servicekit", "gateway", "booking", "tenancy", "notifications")


@dataclass(frozen=True, kw_only=True)
class Export:
    """A metric, by the name that its reference has."""

    name: str
    kind: str
    labels: tuple[str, ...]
    buckets: tuple[str, ...] = ()
    """Values of `le`, of a histogram."""

    @property
    def series(self) -> Mapping[str, frozenset[str]]:
        """Its series with their labels, as queries name them."""
        own = frozenset(self.labels)
        if self.kind != "histogram":
            return {self.name: own}
        return {f"{self.name}_bucket": own | {"le"}, f"{self.name}_count": own, f"{self.name}_sum": own}


@cache
def _modules() -> tuple[ModuleType, ...]:
    """Import every module of the services: what they export registers itself."""
    found = []
    for package in PACKAGES:
        root = importlib.import_module(package)
        names = (module.name for module in pkgutil.walk_packages(root.__path__, f"{package}."))
        found += [root, *(importlib.import_module(name) for name in names if not name.endswith("__main__"))]
    return tuple(found)


def _name(metric: MetricWrapperBase) -> str:
    return str(metric._name) + ("_total" if metric._type == "counter" else "")  # noqa: SLF001 - it has no public one


@cache
def exports() -> Mapping[str, Export]:
    """Give every metric of the services, by name; those of the client library are not among them."""
    _modules()
    metrics = [one for one in REGISTRY._collector_to_names if isinstance(one, MetricWrapperBase)]  # noqa: SLF001
    return {
        _name(one): Export(
            name=_name(one),
            kind=str(one._type),  # noqa: SLF001 - as above
            labels=tuple(one._labelnames),  # noqa: SLF001 - as above
            buckets=tuple(map(floatToGoString, one._upper_bounds)) if isinstance(one, Histogram) else (),  # noqa: SLF001
        )
        for one in metrics
        if not _name(one).startswith("test")
    }


@cache
def stated_values() -> Mapping[tuple[str, str], frozenset[str]]:
    """Give the values that a metric's label can have, where each place that counts states them.

    That is a text, a choice between texts, or the slug of a problem. Of other labels nothing is told.
    """
    found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    open_ended: set[tuple[str, str]] = set()
    for module in _modules():
        for metric, label, value in _counted(module):
            key = _name(metric), label
            stated = _stated(value)
            if stated is None:
                open_ended.add(key)
            else:
                found[key] |= stated
    return {key: frozenset(values) for key, values in found.items() if key not in open_ended}


def _counted(module: ModuleType) -> Iterator[tuple[MetricWrapperBase, str, ast.expr]]:
    """Find each `METRIC.labels(...)` of a module: the metric, and each label with what it is given."""
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "labels"):
            continue
        metric = getattr(module, node.func.value.id, None) if isinstance(node.func.value, ast.Name) else None
        if isinstance(metric, MetricWrapperBase):
            names = metric._labelnames  # noqa: SLF001 - as above
            yield from ((metric, name, value) for name, value in zip(names, node.args, strict=False))
            yield from ((metric, word.arg, word.value) for word in node.keywords if word.arg is not None)


def _stated(value: ast.expr) -> set[str] | None:
    match value:
        case ast.Constant(value=str() as text):
            return {text}
        case ast.IfExp(body=body, orelse=other):
            first, second = _stated(body), _stated(other)
            return None if first is None or second is None else first | second
        case ast.Attribute(attr="slug"):
            return set(PROBLEM_TYPES)
        case _:
            return None
