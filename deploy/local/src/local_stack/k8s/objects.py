"""Rendered manifests: what is in them, and what pods come of them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from local_stack.checkout import ROOT

K8S: Final = ROOT / "deploy/k8s"
RENDERED: Final = tuple(
    sorted(
        file.parent.relative_to(K8S)
        for folder in ("overlays", "examples")
        for file in K8S.glob(f"{folder}/*/kustomization.yaml")
    )
)
"""What is rendered and held to every policy, as folders of `deploy/k8s`."""

Manifest = dict[str, Any]
Finding = str
"""What is wrong, and with which object."""
Policy = Callable[["Rendering"], Iterator[Finding]]


class RenderingError(Exception):
    """kustomize could not render a folder; the message is its own."""


def kubectl() -> str:
    """Find kubectl: the one that the lock names, beside this interpreter; else the machine's."""
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("kubectl")
    if found is None:
        message = "kubectl is not there: run deploy/local/setup"
        raise RenderingError(message)
    return found


def render(folder: Path) -> list[Manifest]:
    """Render a folder with kustomize.

    Raises:
        RenderingError: it can't be rendered.
    """
    done = subprocess.run([kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RenderingError(done.stderr.strip())
    return [found for found in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if found]


def title(manifest: Manifest) -> str:
    """Name an object."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


@dataclass(frozen=True, kw_only=True)
class Pod:
    """The pods of one object: those that it describes, or those that an operator makes of it."""

    owner: Manifest
    labels: Mapping[str, str]
    spec: Manifest
    """Empty where an operator writes it."""
    ports: Sequence[int] = ()
    """What an operator's pod listens on, as far as our own policies must let somebody in."""

    @property
    def name(self) -> str:
        """Name it by its owner."""
        return title(self.owner)

    @property
    def containers(self) -> list[Manifest]:
        """Every container, those that come first included."""
        return [*self.spec.get("initContainers", []), *self.spec.get("containers", [])]

    @property
    def served(self) -> Iterator[tuple[str, int]]:
        """Every port, by name and number."""
        for container in self.spec.get("containers", []):
            for port in container.get("ports", []):
                yield port.get("name", ""), port["containerPort"]
        for number in self.ports:
            yield "", number


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """One rendered folder."""

    name: str
    objects: Sequence[Manifest]

    def of(self, *kinds: str) -> Iterator[Manifest]:
        """Give the objects of these kinds."""
        return (found for found in self.objects if found["kind"] in kinds)

    def find(self, kind: str, name: str) -> Manifest | None:
        """Find an object."""
        return next((found for found in self.of(kind) if found["metadata"]["name"] == name), None)

    @property
    def pods(self) -> list[Pod]:
        """The pods that objects describe."""
        return [
            Pod(owner=found, labels=template["metadata"].get("labels", {}), spec=template["spec"])
            for found in self.objects
            if (template := _template(found)) is not None
        ]

    @property
    def operators_pods(self) -> list[Pod]:
        """The pods that operators make, with the labels that those give them."""
        return [pod for found in self.objects for pod in _operators_pods(found)]


def _template(manifest: Manifest) -> Manifest | None:
    match manifest["kind"]:
        case "Deployment" | "StatefulSet" | "DaemonSet" | "Job":
            template: Manifest = manifest["spec"]["template"]
        case "CronJob":
            template = manifest["spec"]["jobTemplate"]["spec"]["template"]
        case "Pod":
            template = manifest
        case _:
            return None
    return template


def _operators_pods(manifest: Manifest) -> Iterator[Pod]:
    name, spec = manifest["metadata"]["name"], manifest.get("spec", {})
    match manifest["kind"]:
        case "Cluster":
            labels = {"cnpg.io/cluster": name, **spec.get("inheritedMetadata", {}).get("labels", {})}
            yield Pod(owner=manifest, labels=labels, spec={}, ports=(5432, 8000, 9187))
        case "Pooler":
            labels = {"cnpg.io/poolerName": name, **spec["template"]["metadata"].get("labels", {})}
            yield Pod(owner=manifest, labels=labels, spec={}, ports=(5432, 9127))
        case "KafkaNodePool":
            labels = {**manifest["metadata"]["labels"], "strimzi.io/pool-name": name, "app.kubernetes.io/name": "kafka"}
            yield Pod(owner=manifest, labels=labels, spec={})
        case _:
            return


def selects(selector: Manifest | None, labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector takes these labels; an empty one takes all, none takes nothing."""
    if selector is None:
        return False
    equal: Mapping[str, str] = selector.get("matchLabels") or {}
    if any(labels.get(name) != value for name, value in equal.items()):
        return False
    return all(_expressed(one, labels) for one in selector.get("matchExpressions") or [])


def _expressed(expression: Manifest, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case "Exists":
            return value is not None
        case operator:
            assert operator == "DoesNotExist"  # noqa: S101 - the API knows no other
            return value is None


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - JSON
    """Give every value in a manifest that is no container of others, with its path."""
    children: Iterable[tuple[Any, Any]]
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    else:
        yield path, value
        return
    for name, child in children:
        yield from walk(child, f"{path}.{name}" if path else str(name))
