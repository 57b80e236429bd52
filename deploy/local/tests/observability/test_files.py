"""What stands in `deploy/` is what the code makes, what its readers take, and what the runbooks tell of."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_stack.checkout import ROOT
from local_stack.observability import check, files
from local_stack.observability.alerts import Alert
from local_stack.observability.dashboards import DASHBOARDS
from local_stack.observability.grafana import Dashboard, written
from local_stack.observability.promql import SERVICES
from local_stack.observability.rules import anchor, every_alert, groups
from local_stack.port import Ports

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
RUNBOOKS = (ROOT / "docs/how-to/runbooks.md").read_text()


def test_what_is_made_is_current() -> None:
    assert list(files.stale()) == []


def test_a_file_that_is_not_current_or_not_ours_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "ROOT", tmp_path)
    monkeypatch.setattr(files, "RULES", tmp_path / "rules.yaml")
    monkeypatch.setattr(files, "MONITORING", tmp_path / "monitoring")
    assert len(list(files.stale())) == 2 + len(DASHBOARDS)
    files.write()
    assert list(files.stale()) == []
    files.RULES.write_text("groups: []\n")
    files.dashboard_file("by-hand").write_text("{}")
    assert [finding.partition(" is ")[0] for finding in files.stale()] == [
        "rules.yaml",
        "monitoring/dashboards/by-hand.json",
    ]


def test_prometheus_and_haproxy_take_what_is_theirs() -> None:
    assert list(check.refused()) == []


def test_each_alert_has_a_section_in_the_runbooks_in_the_same_order_and_each_section_an_alert() -> None:
    assert re.findall(r"^### (\w+)$", RUNBOOKS, re.MULTILINE) == [alert.name for alert in every_alert()]


@pytest.mark.parametrize("alert", every_alert(), ids=lambda alert: alert.name)
def test_a_runbook_tells_what_it_means_how_to_see_it_what_to_do_and_whom_to_wake(alert: Alert) -> None:
    section = re.search(rf"^### {alert.name}\n(.*?)(?=^##|\Z)", RUNBOOKS, re.MULTILINE | re.DOTALL)
    assert section is not None
    told = re.findall(r"^\*\*([\w ]+)\.\*\*", section[1], re.MULTILINE)
    assert told == ["For users", "See it", "Do", "Wake somebody"]


def test_an_alert_leads_to_its_runbook_and_to_a_dashboard_that_is_there() -> None:
    dashboards = {one.uid for one in DASHBOARDS}
    rules = {
        rule["alert"]: rule
        for group in groups("https://docs.acme.example")
        for rule in group["rules"]
        if "alert" in rule
    }
    for alert in every_alert():
        told = rules[alert.name]["annotations"]
        assert told["runbook_url"] == f"https://docs.acme.example/how-to/runbooks.html#{anchor(alert)}"
        assert told["dashboard"] in dashboards


def test_names_of_alerts_and_addresses_of_dashboards_are_given_once() -> None:
    names = [alert.name for alert in every_alert()]
    assert len(names) == len(set(names))
    assert len({one.uid for one in DASHBOARDS}) == len({one.name for one in DASHBOARDS}) == len(DASHBOARDS)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.name)
def test_panels_have_numbers_of_their_own_and_do_not_lie_on_each_other(dashboard: Dashboard) -> None:
    panels = json.loads(json.dumps(written(dashboard)))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        where = panel["gridPos"]
        cells = {(where["x"] + right, where["y"] + down) for right in range(where["w"]) for down in range(where["h"])}
        assert not cells & taken, panel["title"]
        assert where["x"] + where["w"] <= 24
        taken |= cells


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.name)
def test_a_panel_looks_at_what_is_ours_in_the_namespace_that_was_chosen(dashboard: Dashboard) -> None:
    for panel in dashboard.panels:
        assert panel.told
        for line in panel.lines:
            selected = re.findall(r"[\w:]+\{[^}]*\}", line.query)
            assert selected, line.query
            for one in selected:
                assert 'namespace=~"$namespace"' in one
                assert 'system="production-tool"' in one or ":" in one.partition("{")[0], "recorded of what is ours"


def test_prometheus_finds_each_service_of_compose_at_its_port() -> None:
    told = yaml.safe_load(check.PROMETHEUS.read_text())
    assert {job["job_name"] for job in told["scrape_configs"]} == set(SERVICES)
    for job in told["scrape_configs"]:
        (where,) = job["dns_sd_configs"]
        assert where["port"] == getattr(Ports(), job["job_name"])
        assert job["relabel_configs"] == [{"target_label": "system", "replacement": "production-tool"}]
        assert set(where["names"]) <= COMPOSE["services"].keys()


def test_traces_go_from_the_services_by_the_collector_to_jaeger() -> None:
    told = yaml.safe_load((files.FOLDER / "collector/collector.yaml").read_text())
    for pipeline in told["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            assert set(names) <= told[kind].keys()
    assert told["receivers"]["otlp"]["protocols"]["http"]["endpoint"].endswith(":4318"), "where OTLP over HTTP goes"
    assert told["exporters"]["otlp/jaeger"]["endpoint"].partition(":")[0] in COMPOSE["services"]
    for service in SERVICES:
        assert "OTEL_EXPORTER_OTLP_ENDPOINT" in COMPOSE["services"][service]["environment"], service


def test_grafana_is_given_its_sources_and_the_folder_of_the_dashboards() -> None:
    provisioning = files.FOLDER / "grafana/provisioning"
    sources = yaml.safe_load((provisioning / "datasources/sources.yaml").read_text())["datasources"]
    for source in sources:
        assert re.fullmatch(r"http://(\w+):\d+", source["url"])[1] in COMPOSE["services"]  # type: ignore[index]
    (provider,) = yaml.safe_load((provisioning / "dashboards/dashboards.yaml").read_text())["providers"]
    mounted = dict(volume.split(":")[:2] for volume in COMPOSE["services"]["grafana"]["volumes"] if volume[0] == ".")
    at = {inside: (ROOT / outside).resolve() for outside, inside in mounted.items()}
    assert at[provider["options"]["path"]] == files.dashboard_file("any").parent
    assert at["/etc/grafana/provisioning"] == provisioning


def test_behind_the_proxy_are_two_of_each_service_and_the_proxy_knows_those_that_are_asked_from_outside() -> None:
    services = COMPOSE["services"]
    for service in SERVICES:
        second = services[f"{service}-2"]
        assert second["profiles"] == ["scale"]
        changed = {f"{service.upper()}_INSTANCE": f"{service}-2"}
        assert second["environment"] == services[service]["environment"] | changed
    for owner in ("booking", "tenancy"):
        assert services[f"{owner}-2"]["networks"]["default"]["aliases"] == [owner], "found by the name others ask for"
    servers = re.findall(r"^  server \S+ (\S+):(\d+)", check.PROXY.read_text(), re.MULTILINE)
    assert servers == [
        (name, str(getattr(Ports(), service)))
        for service in ("gateway", "notifications")
        for name in (service, f"{service}-2")
    ]
