"""Each policy bites: on what it is there for, seeded into a rendering that is fine."""

import re
from collections.abc import Callable

import pytest

from local_stack.k8s import check
from local_stack.k8s.objects import Manifest, Policy, Rendering
from local_stack.k8s.policies import network, pods, references, settings
from local_stack.k8s.schemas import valid

Seed = Callable[[Rendering], None]
DEV, PRODUCTION, WHOLE = "overlays/dev", "overlays/production", "examples/whole"


def of(rendering: Rendering, kind: str, name: str) -> Manifest:
    found = next((one for one in rendering.of(kind) if re.fullmatch(name, one["metadata"]["name"])), None)
    assert found is not None, f"{kind}/{name}"
    return found


def pod(rendering: Rendering, name: str = "gateway", kind: str = "Deployment") -> Manifest:
    spec: Manifest = of(rendering, kind, name)["spec"]["template"]["spec"]
    return spec


def container(rendering: Rendering, name: str = "gateway", kind: str = "Deployment") -> Manifest:
    one: Manifest = pod(rendering, name, kind)["containers"][0]
    return one


def without(manifest: Manifest, *path: str) -> None:
    for name in path[:-1]:
        manifest = manifest[name]
    del manifest[path[-1]]


def variable(rendering: Rendering, name: str, **more: object) -> None:
    container(rendering)["env"].append({"name": name, **more})


def data(rendering: Rendering, name: str) -> dict[str, str]:
    found: dict[str, str] = of(rendering, "ConfigMap", f"{name}-.*")["data"]
    return found


def a_copy_without_labels(rendering: Rendering) -> None:
    of(rendering, "Deployment", "gateway")["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"] = "other"


def a_secret(rendering: Rendering) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "stringData": {"a": "b"}}
    rendering.objects.append(secret)  # type: ignore[attr-defined] # a list, in a test


def a_password_among_the_settings(rendering: Rendering) -> None:
    update(data(rendering, "gateway"), GATEWAY_KAFKA_PASSWORD="x")
    update(container(rendering), env=[{"name": "GATEWAY_REDIS_URL", "value": "redis://redis"}])


def ports_rule(rendering: Rendering, name: str, direction: str) -> Manifest:
    rule: Manifest = of(rendering, "NetworkPolicy", name)["spec"][direction][0]
    return rule


def update(manifest: Manifest, **more: object) -> None:
    manifest.update(more)


SEEDS: list[tuple[Policy, str, Seed, str]] = [
    (valid, DEV, lambda r: update(of(r, "Deployment", "gateway")["spec"], replcas=2), "replcas"),
    (valid, DEV, lambda r: update(of(r, "Service", "gateway"), apiVersion="v2"), "no schema of v2 Service"),
    (valid, DEV, lambda r: update(container(r)["ports"][0], containerPort="http"), "containerPort"),
    (valid, PRODUCTION, lambda r: update(of(r, "Cluster", "booking-postgres")["spec"], instance=3), "instance"),
    (valid, PRODUCTION, lambda r: update(of(r, "KafkaTopic", ".*")["spec"], partitions="x"), "partitions"),
    (valid, PRODUCTION, lambda r: without(of(r, "ScaledObject", "booking"), "spec", "triggers"), "triggers"),
    (pods.images, DEV, lambda r: update(container(r), image="production-tool/gateway"), "has no version"),
    (pods.images, DEV, lambda r: update(container(r), image="a.example:5000/gateway"), "has no version"),
    (pods.images, DEV, lambda r: update(container(r), image="production-tool/gateway:latest"), "has no version"),
    (
        pods.images,
        PRODUCTION,
        lambda r: update(of(r, "Cluster", "booking-postgres")["spec"], imageName="postgresql:latest"),
        "imageName",
    ),
    (pods.restricted, DEV, lambda r: update(pod(r)["securityContext"], runAsNonRoot=False), "runs as anybody"),
    (pods.restricted, DEV, lambda r: update(pod(r)["securityContext"], runAsUser=0), "runs as root"),
    (pods.restricted, DEV, lambda r: without(pod(r), "securityContext", "seccompProfile"), "no seccompProfile"),
    (pods.restricted, DEV, lambda r: update(pod(r), hostNetwork=True), "hostNetwork"),
    (
        pods.restricted,
        DEV,
        lambda r: update(container(r)["securityContext"], capabilities={"drop": ["ALL"], "add": ["NET_RAW"]}),
        "capabilities",
    ),
    (
        pods.restricted,
        DEV,
        lambda r: without(pod(r, "booking")["initContainers"][0], "securityContext", "allowPrivilegeEscalation"),
        "may gain privileges",
    ),
    (pods.restricted, DEV, lambda r: update(container(r)["securityContext"], privileged=True), "is privileged"),
    (
        pods.restricted,
        DEV,
        lambda r: update(container(r, "kafka", "StatefulSet")["securityContext"], readOnlyRootFilesystem=False),
        "can write its own file system",
    ),
    (
        pods.restricted,
        DEV,
        lambda r: pod(r)["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
        "a folder of the node",
    ),
    (
        pods.namespaces,
        DEV,
        lambda r: without(of(r, "Namespace", ".*"), "metadata", "labels", "pod-security.kubernetes.io/enforce"),
        "does not enforce",
    ),
    (pods.namespaces, DEV, lambda r: update(of(r, "Service", "gateway")["metadata"], namespace="x"), "no namespace of"),
    (pods.tokens, DEV, lambda r: without(pod(r), "automountServiceAccountToken"), "no use for it"),
    (pods.tokens, DEV, lambda r: without(pod(r), "serviceAccountName"), "the default service account"),
    (
        pods.tokens,
        DEV,
        lambda r: without(of(r, "ServiceAccount", "gateway"), "automountServiceAccountToken"),
        "to every pod",
    ),
    (pods.resources, DEV, lambda r: without(container(r), "resources", "limits", "memory"), "no limits of memory"),
    (pods.resources, DEV, lambda r: without(pod(r, "booking")["initContainers"][0], "resources"), "migrated: no"),
    (pods.resources, PRODUCTION, lambda r: without(of(r, "KafkaNodePool", "brokers"), "spec", "resources"), "brokers"),
    (pods.resources, PRODUCTION, lambda r: without(of(r, "Cluster", ".*"), "spec", "resources"), "no requests of cpu"),
    (pods.probes, DEV, lambda r: without(container(r), "readinessProbe"), "no readinessProbe"),
    (pods.probes, DEV, lambda r: without(container(r, "redis", "StatefulSet"), "livenessProbe"), "no livenessProbe"),
    (
        pods.probes,
        DEV,
        lambda r: update(container(r)["livenessProbe"]["httpGet"], path="/readyz"),
        "started again for an outage elsewhere",
    ),
    (
        pods.probes,
        DEV,
        lambda r: update(container(r)["startupProbe"]["httpGet"], path="/healthz"),
        "before it is ready",
    ),
    (pods.probes, DEV, lambda r: update(container(r)["readinessProbe"]["httpGet"], path="/"), "does not ask /readyz"),
    (pods.endings, DEV, lambda r: update(pod(r), terminationGracePeriodSeconds=45), "is killed after 45 s"),
    (pods.endings, DEV, lambda r: without(container(r), "lifecycle"), "no preStop"),
    (
        pods.endings,
        DEV,
        lambda r: variable(r, "GATEWAY_HTTP_SHUTDOWN_SECONDS", value="120"),
        "may need 150 s",
    ),
    (pods.disruptions, DEV, lambda r: without(pod(r), "topologySpreadConstraints"), "is not spread"),
    (
        pods.disruptions,
        DEV,
        lambda r: update(of(r, "Deployment", "gateway")["spec"]["strategy"]["rollingUpdate"], maxUnavailable=1),
        "below its size",
    ),
    (
        pods.disruptions,
        DEV,
        lambda r: update(of(r, "PodDisruptionBudget", "gateway")["spec"]["selector"]["matchLabels"], other="x"),
        "no PodDisruptionBudget",
    ),
    (
        pods.versions,
        PRODUCTION,
        lambda r: update(of(r, "Job", "booking-migrate-.*")["metadata"], name="booking-migrate-2.0.0"),
        "does not end in -2.1.0",
    ),
    (network.closed, DEV, lambda r: update(of(r, "NetworkPolicy", "nobody")["spec"], egress=[{}]), "none denies"),
    (network.closed, DEV, lambda r: without(ports_rule(r, "redis", "ingress"), "from"), "lets in whoever comes"),
    (network.closed, DEV, lambda r: without(ports_rule(r, "redis", "ingress"), "ports"), "lets in at every port"),
    (network.closed, DEV, lambda r: without(ports_rule(r, "gateway", "egress"), "ports"), "lets out at every port"),
    (
        network.closed,
        DEV,
        lambda r: update(ports_rule(r, "redis", "ingress"), **{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}),
        "lets in 0.0.0.0/0",
    ),
    (
        network.covered,
        DEV,
        lambda r: container(r)["ports"].append({"name": "debug", "containerPort": 5678}),
        "port 5678 is covered by no NetworkPolicy",
    ),
    (
        network.covered,
        DEV,
        lambda r: update(of(r, "NetworkPolicy", "redis")["spec"]["podSelector"]["matchLabels"], other="x"),
        "no NetworkPolicy of its own",
    ),
    (references.selectors, DEV, a_copy_without_labels, "does not take its own pods"),
    (
        references.selectors,
        DEV,
        lambda r: update(of(r, "Service", "redis")["spec"]["selector"], other="x"),
        "selects 0 kinds of pods",
    ),
    (
        references.selectors,
        DEV,
        lambda r: update(of(r, "Service", "redis")["spec"]["ports"][0], targetPort="reddis"),
        "has no port reddis",
    ),
    (
        references.selectors,
        DEV,
        lambda r: update(of(r, "PodDisruptionBudget", "booking")["spec"]["selector"]["matchLabels"], other="x"),
        "selects no pod",
    ),
    (
        references.selectors,
        DEV,
        lambda r: update(of(r, "NetworkPolicy", "kafka")["spec"]["podSelector"]["matchLabels"], other="x"),
        "selects no pod",
    ),
    (
        references.selectors,
        PRODUCTION,
        lambda r: update(of(r, "ScaledObject", "booking")["spec"]["scaleTargetRef"], name="bookings"),
        "which is not there",
    ),
    (
        references.selectors,
        PRODUCTION,
        lambda r: update(of(r, "Deployment", "gateway")["spec"], replicas=2),
        "states its replicas",
    ),
    (
        references.selectors,
        PRODUCTION,
        lambda r: update(of(r, "Ingress", "gateway")["spec"]["rules"][0], host="plain.example.com"),
        "is served without TLS",
    ),
    (
        references.selectors,
        WHOLE,
        lambda r: update(of(r, "ServiceMonitor", "gateway")["spec"]["selector"]["matchLabels"], other="x"),
        "selects 0 Services instead of one",
    ),
    (
        references.selectors,
        WHOLE,
        lambda r: update(of(r, "ServiceMonitor", "gateway")["spec"]["endpoints"][0], port="metrics"),
        "its Service has no port metrics",
    ),
    (
        references.selectors,
        PRODUCTION,
        lambda r: of(r, "Ingress", "gateway")["metadata"]["annotations"].clear(),
        "takes TLS before 1.3",
    ),
    (
        references.references,
        DEV,
        lambda r: variable(r, "X", valueFrom={"secretKeyRef": {"name": "kafka-nobody", "key": "password"}}),
        "Secret kafka-nobody is not there",
    ),
    (
        references.references,
        DEV,
        lambda r: variable(r, "X", valueFrom={"secretKeyRef": {"name": "kafka-gateway", "key": "pasword"}}),
        "has no key pasword",
    ),
    (
        references.references,
        DEV,
        lambda r: update(container(r)["envFrom"][1]["configMapRef"], name="gateway-1"),
        "ConfigMap gateway-1 is not there",
    ),
    (references.references, DEV, lambda r: update(pod(r), serviceAccountName="x"), "ServiceAccount x is not there"),
    (references.mounts, DEV, lambda r: pod(r)["volumes"].clear(), "but mounted are"),
    (
        references.placeholders,
        DEV,
        lambda r: update(of(r, "Job", "booking-migrate-.*")["metadata"], name="booking-migrate-VERSION"),
        "is still booking-migrate-VERSION",
    ),
    (
        settings.settings,
        DEV,
        lambda r: without(data(r, "gateway"), "GATEWAY_BOOKING_URL"),
        "booking_url: Field required",
    ),
    (settings.settings, DEV, lambda r: without(data(r, "system"), "AUTH_ISSUERS"), "auth_issuers: Field required"),
    (settings.settings, DEV, lambda r: update(data(r, "gateway"), GATEWAY_WAIT_SECONDS="never"), "wait_seconds"),
    (settings.settings, DEV, lambda r: update(data(r, "gateway"), GATEWAY_WAIT="1"), "GATEWAY_WAIT is no setting"),
    (settings.settings, DEV, lambda r: update(data(r, "system"), KAFKA_BOTSTRAP="x"), "GATEWAY_KAFKA_BOTSTRAP is no"),
    (
        settings.settings,
        DEV,
        a_password_among_the_settings,
        "GATEWAY_KAFKA_PASSWORD is secret, and stands in clear",
    ),
    (
        settings.settings,
        PRODUCTION,
        lambda r: container(r)["volumeMounts"].clear(),
        "GATEWAY_KAFKA_CA_FILE: /etc/trust/kafka/ca.crt is mounted from nowhere",
    ),
    (settings.nothing_in_clear, DEV, a_secret, "a Secret stands in the files"),
    (
        settings.nothing_in_clear,
        DEV,
        lambda r: update(data(r, "gateway"), GATEWAY_REDIS_URL="redis://gateway:hunter22@redis"),
        "looks like a secret in clear",
    ),
    (
        settings.nothing_in_clear,
        DEV,
        lambda r: variable(r, "X", value="-----BEGIN EC PRIVATE KEY-----"),
        "looks like a secret in clear",
    ),
    (
        settings.nothing_in_clear,
        DEV,
        lambda r: update(data(r, "gateway"), X='["whsec_abcdefghij"]'),
        "looks like a secret in clear",
    ),
    (
        settings.nothing_in_clear,
        DEV,
        lambda r: container(r, "redis", "StatefulSet").update(args=["--requirepass", "x", "password=hunter22"]),
        "looks like a secret in clear",
    ),
]


def test_every_policy_is_tried() -> None:
    assert {policy for policy, *_ in SEEDS} == set(check.POLICIES)


@pytest.mark.parametrize(
    ("policy", "name", "seed", "told"), SEEDS, ids=lambda value: getattr(value, "__name__", str(value))[:40]
)
def test_a_seeded_violation_is_found(
    altered: Callable[[str], Rendering], policy: Policy, name: str, seed: Seed, told: str
) -> None:
    rendering = altered(name)
    seed(rendering)
    assert any(told in finding for finding in policy(rendering)), list(policy(rendering))
