"""References: whatever names or selects something finds it."""

from collections.abc import Iterator
from typing import Any

from local_stack.k8s import secret_keys
from local_stack.k8s.objects import Finding, Pod, Rendering, selects, title, walk


def selectors(rendering: Rendering) -> Iterator[Finding]:
    """Services, budgets, policies, scalers and monitors find what they are for; a workload takes its own pods."""
    pods = [*rendering.pods, *rendering.operators_pods]
    for manifest in rendering.of("Deployment", "StatefulSet"):
        labels = manifest["spec"]["template"]["metadata"].get("labels", {})
        if not selects(manifest["spec"]["selector"], labels):
            yield f"{title(manifest)}: its selector does not take its own pods"
    for manifest in rendering.of("Service"):
        yield from _service(manifest, pods)
    for manifest in rendering.of("PodDisruptionBudget"):
        yield from _finds(manifest, manifest["spec"]["selector"], pods)
    for manifest in rendering.of("NetworkPolicy"):
        yield from _finds(manifest, manifest["spec"]["podSelector"], pods)
    for manifest in rendering.of("AuthorizationPolicy"):
        if "selector" in manifest["spec"]:
            yield from _finds(manifest, manifest["spec"]["selector"], pods)
    for kinds, hold in (
        (("HorizontalPodAutoscaler", "ScaledObject"), _scaler),
        (("Ingress",), _ingress),
        (("ServiceMonitor",), _monitor),
    ):
        for manifest in rendering.of(*kinds):
            yield from hold(manifest, rendering)


def _scaler(manifest: dict[str, Any], rendering: Rendering) -> Iterator[Finding]:
    target = manifest["spec"]["scaleTargetRef"]
    found = rendering.find(target.get("kind", "Deployment"), target["name"])
    if found is None:
        yield f"{title(manifest)}: scales {target['name']}, which is not there"
    elif "replicas" in found["spec"]:
        yield f"{title(manifest)}: {title(found)} states its replicas, and sets them back whenever it is applied"


def _finds(manifest: dict[str, Any], selector: dict[str, Any], pods: list[Pod]) -> Iterator[Finding]:
    if not any(selects(selector, pod.labels) for pod in pods):
        yield f"{title(manifest)}: selects no pod"


def _service(manifest: dict[str, Any], pods: list[Pod]) -> Iterator[Finding]:
    chosen = [pod for pod in pods if selects({"matchLabels": manifest["spec"]["selector"]}, pod.labels)]
    if len(chosen) != 1:
        yield f"{title(manifest)}: selects {len(chosen)} kinds of pods instead of one"
    for pod in chosen:
        served = {part for name_and_number in pod.served for part in name_and_number}
        for port in manifest["spec"]["ports"]:
            if port.get("targetPort", port["port"]) not in served:
                yield f"{title(manifest)}: {pod.name} has no port {port.get('targetPort', port['port'])}"


def _monitor(manifest: dict[str, Any], rendering: Rendering) -> Iterator[Finding]:
    services = [
        found
        for found in rendering.of("Service")
        if selects(manifest["spec"]["selector"], found["metadata"].get("labels", {}))
    ]
    ports = {port["name"] for found in services for port in found["spec"]["ports"]}
    if len(services) != 1:
        yield f"{title(manifest)}: selects {len(services)} Services instead of one"
    for endpoint in manifest["spec"]["endpoints"]:
        if services and endpoint["port"] not in ports:
            yield f"{title(manifest)}: its Service has no port {endpoint['port']}"


def _ingress(manifest: dict[str, Any], rendering: Rendering) -> Iterator[Finding]:
    for rule in manifest["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            backend = path["backend"]["service"]
            service = rendering.find("Service", backend["name"])
            if service is None or backend["port"]["name"] not in {port["name"] for port in service["spec"]["ports"]}:
                yield f"{title(manifest)}: {path['path']} leads to a Service or port that is not there"
    hosts = {host for tls in manifest["spec"].get("tls", []) for host in tls["hosts"]}
    for rule in manifest["spec"]["rules"]:
        if rule.get("host") not in hosts:
            yield f"{title(manifest)}: {rule.get('host')} is served without TLS"
    options = manifest["metadata"].get("annotations", {}).get("haproxy-ingress.github.io/ssl-options-host", "")
    if "ssl-min-ver TLSv1.3" not in options:
        yield f"{title(manifest)}: takes TLS before 1.3"


def references(rendering: Rendering) -> Iterator[Finding]:
    """The accounts, ConfigMaps, Secrets and keys that a pod names are there, or somebody is known to make them."""
    accounts = {found["metadata"]["name"] for found in rendering.of("ServiceAccount")}
    maps = {found["metadata"]["name"]: set(found.get("data", {})) for found in rendering.of("ConfigMap")}
    secrets = secret_keys.known(rendering)
    for pod in rendering.pods:
        if pod.spec.get("serviceAccountName") not in accounts:
            yield f"{pod.name}: ServiceAccount {pod.spec.get('serviceAccountName')} is not there"
        for kind, name, key, optional in _named(pod):
            there = (maps if kind == "ConfigMap" else secrets).get(name)
            if there is None and not optional:
                yield f"{pod.name}: {kind} {name} is not there, and nobody makes it"
            elif there is not None and key is not None and key not in there:
                yield f"{pod.name}: {kind} {name} has no key {key}"


_Named = tuple[str, str, str | None, bool]
"""Kind, name, key if one is named, and whether it may be missing."""


def _named(pod: Pod) -> Iterator[_Named]:
    for container in pod.containers:
        yield from _named_by(container)
    for volume in pod.spec.get("volumes", []):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"], None, volume["configMap"].get("optional", False)
        if "secret" in volume:
            for item in volume["secret"].get("items") or [{"key": None}]:
                yield "Secret", volume["secret"]["secretName"], item["key"], volume["secret"].get("optional", False)


def _named_by(container: dict[str, Any]) -> Iterator[_Named]:
    whole = {"configMapRef": "ConfigMap", "secretRef": "Secret"}
    for source in container.get("envFrom", []):
        for field in whole.keys() & source.keys():
            yield whole[field], source[field]["name"], None, source[field].get("optional", False)
    keys = {"configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"}
    for variable in container.get("env", []):
        origin = variable.get("valueFrom", {})
        for field in keys.keys() & origin.keys():
            yield keys[field], origin[field]["name"], origin[field]["key"], origin[field].get("optional", False)


def mounts(rendering: Rendering) -> Iterator[Finding]:
    """Each volume that is mounted is there, and each that is there is mounted."""
    for pod in rendering.pods:
        claims = pod.owner["spec"].get("volumeClaimTemplates", [])
        there = {one["name"] for one in pod.spec.get("volumes", [])} | {one["metadata"]["name"] for one in claims}
        mounted = {one["name"] for container in pod.containers for one in container.get("volumeMounts", [])}
        if there != mounted:
            yield f"{pod.name}: volumes {sorted(there)}, but mounted are {sorted(mounted)}"


def placeholders(rendering: Rendering) -> Iterator[Finding]:
    """Nothing is left that something else should have replaced."""
    for manifest in rendering.objects:
        for path, value in walk(manifest):
            if isinstance(value, str) and value.endswith("-VERSION"):
                yield f"{title(manifest)}: {path} is still {value}"
