"""Pods: as whom they run, from which image, how large, how they are watched, and how they end."""

import re
from collections.abc import Iterator
from typing import Any, Final

from local_stack.k8s.objects import Finding, Manifest, Pod, Rendering, title, walk
from servicekit.kafka import COMMIT_TIMEOUT_S, DELIVERY_TIMEOUT_S

SERVICE: Final = "app.kubernetes.io/component"
_IMAGE: Final = re.compile(r"(?:^|\.)(image|imageName)$")
_TAGGED: Final = re.compile(r".+(@sha256:[0-9a-f]{64}|:(?!latest$)[\w][\w.-]*)")
_SIZES: Final = tuple((kind, what) for kind in ("requests", "limits") for what in ("cpu", "memory"))


def is_service(pod: Pod) -> bool:
    """Tell whether these are the pods of one of our services."""
    return pod.labels.get(SERVICE) == "service"


def images(rendering: Rendering) -> Iterator[Finding]:
    """An image is named with a version: what runs tomorrow is what ran today."""
    for manifest in rendering.objects:
        for path, value in walk(manifest.get("spec", {})):
            if _IMAGE.search(path) and isinstance(value, str) and not _TAGGED.fullmatch(value):
                yield f"{title(manifest)}: {path}: {value} has no version"


def restricted(rendering: Rendering) -> Iterator[Finding]:
    """A pod runs as the `restricted` Pod Security Standard asks, and on a file system that it can't write."""
    for pod in rendering.pods:
        for finding in _restricted(pod):
            yield f"{pod.name}: {finding}"


def _restricted(pod: Pod) -> Iterator[Finding]:
    context = pod.spec.get("securityContext", {})
    if not context.get("runAsNonRoot"):
        yield "runs as anybody: runAsNonRoot is not set"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "no seccompProfile"
    for host in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(host):
            yield f"shares the node's: {host}"
    for volume in pod.spec.get("volumes", []):
        if "hostPath" in volume:
            yield f"volume {volume['name']} is a folder of the node"
    for container in pod.containers:
        for finding in _restricted_container(container, context):
            yield f"{container['name']} {finding}"


def _restricted_container(container: Manifest, of_pod: Manifest) -> Iterator[Finding]:
    own = container.get("securityContext", {})
    if not own.get("runAsUser", of_pod.get("runAsUser")) or own.get("runAsNonRoot") is False:
        yield "runs as root, or as whom the image says"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"
    if own.get("privileged"):
        yield "is privileged"
    if own.get("capabilities", {}).get("drop") != ["ALL"] or own.get("capabilities", {}).get("add"):
        yield "has capabilities"
    if not own.get("readOnlyRootFilesystem"):
        yield "can write its own file system"


def namespaces(rendering: Rendering) -> Iterator[Finding]:
    """Everything stands in a namespace of the rendering, which enforces `restricted`."""
    known = {found["metadata"]["name"]: found["metadata"].get("labels", {}) for found in rendering.of("Namespace")}
    for name, labels in known.items():
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"Namespace/{name}: does not enforce restricted pods"
    for manifest in rendering.objects:
        if manifest["kind"] != "Namespace" and manifest["metadata"].get("namespace") not in known:
            yield f"{title(manifest)}: is in no namespace of ours"


def tokens(rendering: Rendering) -> Iterator[Finding]:
    """A pod has a service account of its own, and no token of the API server unless that account was given a role."""
    given = {
        subject["name"]
        for binding in rendering.of("RoleBinding")
        for subject in binding["subjects"]
        if subject["kind"] == "ServiceAccount"
    }
    for pod in rendering.pods:
        account = pod.spec.get("serviceAccountName", "default")
        if account == "default":
            yield f"{pod.name}: comes as the default service account"
        if pod.spec.get("automountServiceAccountToken") is not False and account not in given:
            yield f"{pod.name}: has a token of the API server, and no use for it"
    for manifest in rendering.of("ServiceAccount"):
        if manifest.get("automountServiceAccountToken") is not False:
            yield f"{title(manifest)}: gives its token to every pod"


def resources(rendering: Rendering) -> Iterator[Finding]:
    """Each container says what it needs and what it may take; so does what operators make."""
    for pod in rendering.pods:
        for container in pod.containers:
            yield from _sizes(f"{pod.name}: {container['name']}", container.get("resources", {}))
    for manifest in rendering.of("Cluster", "KafkaNodePool"):
        yield from _sizes(title(manifest), manifest["spec"].get("resources", {}))
    for manifest in rendering.of("Pooler"):
        for container in manifest["spec"]["template"]["spec"]["containers"]:
            yield from _sizes(f"{title(manifest)}: {container['name']}", container.get("resources", {}))
    for manifest in rendering.of("Kafka"):
        operators = manifest["spec"].get("entityOperator", {})
        for part in ("topicOperator", "userOperator"):
            yield from _sizes(f"{title(manifest)}: {part}", operators.get(part, {}).get("resources", {}))
        if "kafkaExporter" in manifest["spec"]:
            yield from _sizes(
                f"{title(manifest)}: kafkaExporter", manifest["spec"]["kafkaExporter"].get("resources", {})
            )


def _sizes(name: str, given: dict[str, Any]) -> Iterator[Finding]:
    for kind, what in _SIZES:
        if what not in given.get(kind, {}):
            yield f"{name}: no {kind} of {what}"


def probes(rendering: Rendering) -> Iterator[Finding]:
    """What runs on is watched. A service: started once it is ready, ended only when its own loop stands still."""
    for pod in rendering.pods:
        if pod.owner["kind"] in {"Job", "CronJob"}:
            continue
        for container in pod.spec["containers"]:
            for probe in ("readinessProbe", "livenessProbe"):
                if probe not in container:
                    yield f"{pod.name}: {container['name']}: no {probe}"
        if is_service(pod):
            yield from _service_probes(pod)


def _service_probes(pod: Pod) -> Iterator[Finding]:
    for container in pod.spec["containers"]:
        paths = {
            probe: container.get(probe, {}).get("httpGet", {}).get("path", "")
            for probe in ("startupProbe", "readinessProbe", "livenessProbe")
        }
        if paths["startupProbe"] != "/readyz":
            yield f"{pod.name}: counts before it is ready: the startupProbe does not ask /readyz"
        if paths["readinessProbe"].partition("?")[0] != "/readyz":
            yield f"{pod.name}: the readinessProbe does not ask /readyz"
        if paths["livenessProbe"] != "/healthz":
            yield f"{pod.name}: is started again for an outage elsewhere: the livenessProbe does not ask /healthz"


def endings(rendering: Rendering) -> Iterator[Finding]:
    """A service has time to finish: until nobody sends anything new, what is in hand, and a batch with its commit."""
    for pod in rendering.pods:
        if not is_service(pod):
            continue
        (container,) = pod.spec["containers"]
        quiet = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if not quiet:
            yield f"{pod.name}: ends while requests are still sent to it: no preStop"
        needed = quiet + _shutdown_seconds(container) + DELIVERY_TIMEOUT_S + COMMIT_TIMEOUT_S
        given = pod.spec.get("terminationGracePeriodSeconds", 30)
        if given < needed:
            yield f"{pod.name}: is killed after {given} s, and may need {needed:g} s"


def _shutdown_seconds(container: dict[str, Any]) -> float:
    set_here = [one for one in container.get("env", []) if one["name"].endswith("_HTTP_SHUTDOWN_SECONDS")]
    return float(set_here[0]["value"]) if set_here else 20.0


def disruptions(rendering: Rendering) -> Iterator[Finding]:
    """A service is spread, replaced one by one without going below its size, and has a budget."""
    budgets = [found["spec"]["selector"] for found in rendering.of("PodDisruptionBudget")]
    for pod in rendering.pods:
        if not is_service(pod):
            continue
        if not any(budget["matchLabels"].items() <= dict(pod.labels).items() for budget in budgets):
            yield f"{pod.name}: no PodDisruptionBudget"
        spread = {one["topologyKey"] for one in pod.spec.get("topologySpreadConstraints", [])}
        if spread != {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}:
            yield f"{pod.name}: is not spread over zones and nodes"
        rolling = pod.owner["spec"].get("strategy", {}).get("rollingUpdate", {})
        if rolling.get("maxUnavailable") != 0:
            yield f"{pod.name}: goes below its size while it is replaced"


def versions(rendering: Rendering) -> Iterator[Finding]:
    """A job of a version has the version in its name: a job that was made can't be changed."""
    for manifest in rendering.of("Job"):
        (container,) = manifest["spec"]["template"]["spec"]["containers"]
        _, _, tag = container["image"].rpartition(":")
        labels = manifest["metadata"].get("labels", {})
        depends = container["name"] == "job" and labels.get("app.kubernetes.io/name") != "secrets"
        if depends and not manifest["metadata"]["name"].endswith(f"-{tag}"):
            yield f"{title(manifest)}: its name does not end in -{tag}"
