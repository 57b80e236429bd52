"""Dashboards as Grafana reads them from files: the few fields of its JSON that we need."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from local_stack.observability.promql import SYSTEM, WHERE

SCHEMA_VERSION: Final = 39
"""Of Grafana 10.4 and later; newer ones migrate it as they load it."""

_WIDTH: Final = 24
_COLUMNS: Final = 3
_HEIGHT: Final = 8
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Line:
    """A query, and what its lines are called."""

    query: str
    legend: str = ""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A graph, or with ``is_number`` the present value; units are Grafana's names of them."""

    title: str
    told: str
    """What it says, and what a bad picture looks like: shown at the panel."""
    lines: Sequence[Line]
    unit: str = "short"
    is_number: bool = False
    bad_above: float | None = None
    bad_below: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """Panels that belong together."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """A dashboard; its uid is stable, so that alerts and bookmarks lead to it."""

    name: str
    title: str
    told: str
    rows: Sequence[Row]

    @property
    def uid(self) -> str:
        """Its address."""
        return f"{SYSTEM}-{self.name}"

    @property
    def panels(self) -> list[Panel]:
        """Every panel, whatever its row."""
        return [panel for row in self.rows for panel in row.panels]


def written(dashboard: Dashboard) -> Json:
    """Write a dashboard."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.told,
        "tags": [SYSTEM],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "links": [
            {"title": "Production Tool", "type": "dashboards", "tags": [SYSTEM], "asDropdown": True, "keepTime": True}
        ],
        "templating": {"list": [_datasource(), _namespace()]},
        "annotations": {"list": []},
        "panels": _placed(dashboard.rows),
    }


def _datasource() -> Json:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _namespace() -> Json:
    """Choose among installations; all of them, and Compose, which has no namespace, at first."""
    query = f'label_values(up{{system="{SYSTEM}"}}, {WHERE})'
    return {
        "name": "namespace",
        "label": "Namespace",
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": "namespace"},
        "definition": query,
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _placed(rows: Sequence[Row]) -> list[Json]:
    """Lay the panels out, three beside each other, under the titles of their rows."""
    placed: list[Json] = []
    top = 0
    for row in rows:
        where = {"h": 1, "w": _WIDTH, "x": 0, "y": top}
        placed.append({"id": len(placed) + 1, "type": "row", "title": row.title, "gridPos": where, "panels": []})
        top += 1
        for index, panel in enumerate(row.panels):
            line, column = divmod(index, _COLUMNS)
            width = _WIDTH // _COLUMNS
            where = {"h": _HEIGHT, "w": width, "x": column * width, "y": top + line * _HEIGHT}
            placed.append({"id": len(placed) + 1, "gridPos": where, **_panel(panel)})
        top += _HEIGHT * -(-len(row.panels) // _COLUMNS)
    return placed


def _panel(panel: Panel) -> Json:
    defaults: Json = {"unit": panel.unit, "min": 0, "thresholds": _thresholds(panel)}
    if panel.at_most is not None:
        defaults["max"] = panel.at_most
    options: Json = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "background",
    }
    if not panel.is_number:
        has_threshold = panel.bad_above is not None or panel.bad_below is not None
        defaults["custom"] = {
            "fillOpacity": 8,
            "showPoints": "never",
            "thresholdsStyle": {"mode": "line" if has_threshold else "off"},
        }
        options = {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    return {
        "type": "stat" if panel.is_number else "timeseries",
        "title": panel.title,
        "description": panel.told,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": line.query,
                "legendFormat": line.legend or "__auto",
                "range": not panel.is_number,
                "instant": panel.is_number,
            }
            for index, line in enumerate(panel.lines)
        ],
    }


def _thresholds(panel: Panel) -> Json:
    steps: list[Json] = [{"color": "green" if panel.bad_below is None else "red", "value": None}]
    if panel.bad_above is not None:
        steps.append({"color": "red", "value": panel.bad_above})
    if panel.bad_below is not None:
        steps.append({"color": "green", "value": panel.bad_below})
    return {"mode": "absolute", "steps": steps}
