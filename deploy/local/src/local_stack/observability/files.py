"""What is written into `deploy/`: rules for Prometheus and for its operator, and a file for each dashboard."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from local_stack.checkout import ROOT
from local_stack.observability.dashboards import DASHBOARDS
from local_stack.observability.grafana import written
from local_stack.observability.rules import DOCS, groups

FOLDER: Final = ROOT / "deploy/observability"
MONITORING: Final = ROOT / "deploy/k8s/components/monitoring"
RULES: Final = FOLDER / "prometheus/rules.yaml"
_HEAD: Final = "# Made by `make observability` from local_stack.observability: change it there.\n"


def _yaml(document: Any) -> str:  # noqa: ANN401 - JSON
    """Write YAML with texts of several lines as blocks, so that a query can be read."""

    class Blocks(yaml.SafeDumper):  # type: ignore[misc] # it has no types
        pass

    def represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    Blocks.add_representer(str, represent)
    return _HEAD + str(yaml.dump(document, Dumper=Blocks, sort_keys=False, width=1_000, allow_unicode=True))


def dashboard_file(name: str) -> Path:
    """Tell where a dashboard stands: once, for Compose and for Kubernetes."""
    return MONITORING / "dashboards" / f"{name}.json"


def texts(docs: str = DOCS) -> dict[Path, str]:
    """Give the text of each file, with links to documentation that is served at ``docs``."""
    rules = groups(docs)
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "production-tool"},
        "spec": {"groups": rules},
    }
    return {
        RULES: _yaml({"groups": rules}),
        MONITORING / "rules.yaml": _yaml(resource),
        **{
            dashboard_file(one.name): json.dumps(written(one), indent=1, ensure_ascii=False) + "\n"
            for one in DASHBOARDS
        },
    }


def write(docs: str = DOCS) -> None:
    """Put the files in place."""
    for file, text in texts(docs).items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def stale() -> Iterator[str]:
    """Name the files that are not what the code makes of them, and dashboards that it does not make."""
    made = texts()
    for file, text in made.items():
        if not file.exists() or file.read_text() != text:
            yield f"{file.relative_to(ROOT)} is not what the code says: make observability"
    for file in sorted(dashboard_file("any").parent.glob("*")):
        if file not in made:
            yield f"{file.relative_to(ROOT)} is made by nothing"
