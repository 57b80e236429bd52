"""The environment that a container gets, as the kubelet puts it together, and where each value comes from."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from local_stack.k8s import secret_keys
from local_stack.k8s.objects import Pod, Rendering

_REFERENCE: Final = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")

Source = Literal["clear", "secret"]


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A variable: its value, and whether a Secret is in it."""

    value: str
    source: Source = "clear"


def environment(rendering: Rendering, container: Mapping[str, Any]) -> dict[str, Variable]:
    """Put together what a container is told; values of Secrets are examples.

    In the order of the kubelet: ``envFrom`` first, then ``env``, which can refer to what stands in ``env`` before it.
    """
    found: dict[str, Variable] = {}
    for source in container.get("envFrom", []):
        for name, variable in _all_of(rendering, source):
            found[source.get("prefix", "") + name] = variable
    stated: dict[str, Variable] = {}
    for one in container.get("env", []):
        variable = _one_of(rendering, one, stated)
        stated[one["name"]] = found[one["name"]] = variable
    return found


def _all_of(rendering: Rendering, source: Mapping[str, Any]) -> Iterator[tuple[str, Variable]]:
    if "configMapRef" in source:
        manifest = rendering.find("ConfigMap", source["configMapRef"]["name"]) or {}
        for name, value in manifest.get("data", {}).items():
            yield name, Variable(value=value)
    else:
        for name, value in secret_keys.services().get(source["secretRef"]["name"], {}).items():
            yield name, Variable(value=value, source="secret")


def _one_of(rendering: Rendering, one: Mapping[str, Any], stated: Mapping[str, Variable]) -> Variable:
    if "valueFrom" not in one:
        return _expanded(one.get("value", ""), stated)
    origin = one["valueFrom"]
    if "configMapKeyRef" in origin:
        manifest = rendering.find("ConfigMap", origin["configMapKeyRef"]["name"]) or {}
        return Variable(value=manifest.get("data", {}).get(origin["configMapKeyRef"]["key"], ""))
    if "secretKeyRef" in origin:
        return Variable(value=secret_keys.PASSWORD, source="secret")
    return Variable(value="example")


def _expanded(value: str, stated: Mapping[str, Variable]) -> Variable:
    used = [stated[name] for name in _REFERENCE.findall(value) if name in stated]
    text = _REFERENCE.sub(lambda found: stated[found[1]].value if found[1] in stated else found[0], value)
    return Variable(value=text, source="secret" if any(one.source == "secret" for one in used) else "clear")


def ours(pod: Pod) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give the containers that run something of ours, with what they run: a service, or `provisioning`."""
    for container in pod.containers:
        repository = container["image"].partition("@")[0].rpartition(":")[0] or container["image"]
        name = repository.rpartition("production-tool/")[2] if "production-tool/" in repository else None
        command = container.get("command")
        if command == ["python", "-m", "servicekit", "provision"]:
            yield "provisioning", container
        elif name and not command:
            yield name, container
