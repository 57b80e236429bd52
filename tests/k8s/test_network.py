"""Just the arrows of the picture: who reaches whom, over every pair of pods and every port."""

import itertools

import pytest

from local_stack.k8s.objects import Pod, Rendering
from local_stack.k8s.policies.network import reaches

DEV = {
    ("gateway", "booking", 8002),
    ("gateway", "tenancy", 8003),
    ("gateway", "kafka", 9092),
    ("gateway", "redis", 6379),
    ("gateway", "issuer", 8090),
    ("notifications", "booking", 8002),
    ("notifications", "tenancy", 8003),
    ("notifications", "kafka", 9092),
    ("notifications", "redis", 6379),
    ("notifications", "issuer", 8090),
    ("booking", "kafka", 9092),
    ("booking", "booking-postgres", 5432),
    ("booking", "issuer", 8090),
    ("booking-migrate", "booking-postgres", 5432),
    ("booking-prune", "booking-postgres", 5432),
    ("tenancy", "kafka", 9092),
    ("tenancy", "tenancy-postgres", 5432),
    ("tenancy", "issuer", 8090),
    ("tenancy-migrate", "tenancy-postgres", 5432),
    ("tenancy-prune", "tenancy-postgres", 5432),
    ("provision", "kafka", 9092),
}
"""Who reaches whom where, of those that are not the same."""

PRODUCTION = {
    ("gateway", "booking", 8002),
    ("gateway", "tenancy", 8003),
    ("gateway", "redis", 6379),
    ("notifications", "booking", 8002),
    ("notifications", "tenancy", 8003),
    ("notifications", "redis", 6379),
    ("redis", "redis-nodes", 6379),
    ("booking", "booking-db", 5432),
    ("booking-prune", "booking-db", 5432),
    ("booking-db", "booking-postgres", 5432),
    ("booking-migrate", "booking-postgres", 5432),
    ("tenancy", "tenancy-db", 5432),
    ("tenancy-prune", "tenancy-db", 5432),
    ("tenancy-reconcile", "tenancy-db", 5432),
    ("tenancy-db", "tenancy-postgres", 5432),
    ("tenancy-migrate", "tenancy-postgres", 5432),
}
"""Into Kafka Strimzi's own policies let, of whom `networkPolicyPeers` says."""


def by_name(rendering: Rendering) -> dict[str, Pod]:
    return {pod.labels["app.kubernetes.io/name"]: pod for pod in [*rendering.pods, *rendering.operators_pods]}


@pytest.mark.parametrize(("name", "picture"), [("overlays/dev", DEV), ("overlays/production", PRODUCTION)])
def test_pods_reach_each_other_where_the_picture_has_an_arrow_and_nowhere_else(
    renderings: dict[str, Rendering], name: str, picture: set[tuple[str, str, int]]
) -> None:
    rendering = renderings[name]
    pods = by_name(rendering)
    ports = {port for pod in pods.values() for _, port in pod.served}
    found = {
        (source, target, port)
        for source, target in itertools.permutations(pods, 2)
        for port in ports
        if reaches(rendering, pods[source], pods[target], port)
    }
    assert found == picture


@pytest.mark.parametrize("name", ["overlays/dev", "overlays/production", "examples/whole"])
def test_a_pod_that_is_not_in_the_picture_reaches_nothing(renderings: dict[str, Rendering], name: str) -> None:
    rendering = renderings[name]
    stranger = Pod(owner={"kind": "Pod", "metadata": {"name": "stranger"}}, labels={"app": "stranger"}, spec={})
    for pod in by_name(rendering).values():
        assert not any(reaches(rendering, who, pod, port) for who in (stranger, "default") for _, port in pod.served)


def test_from_other_namespaces_come_ingress_prometheus_and_operators_alone(renderings: dict[str, Rendering]) -> None:
    rendering = renderings["overlays/production"]
    found = {
        (namespace, name, port)
        for name, pod in by_name(rendering).items()
        for namespace in ("default", "kube-system", "ingress-controller", "monitoring", "cnpg-system", "keda")
        for _, port in pod.served
        if reaches(rendering, namespace, pod, port)
    }
    assert found == {
        ("ingress-controller", "gateway", 8000),
        ("ingress-controller", "notifications", 8001),
        ("monitoring", "gateway", 8000),
        ("monitoring", "notifications", 8001),
        ("monitoring", "booking", 8002),
        ("monitoring", "tenancy", 8003),
        ("monitoring", "redis", 8404),
        ("monitoring", "booking-db", 9127),
        ("monitoring", "tenancy-db", 9127),
        ("monitoring", "booking-postgres", 9187),
        ("monitoring", "tenancy-postgres", 9187),
        *(("cnpg-system", f"{service}-postgres", port) for service in ("booking", "tenancy") for port in (5432, 8000)),
    }


def test_in_the_mesh_an_owner_is_reached_by_those_who_read_and_by_prometheus(renderings: dict[str, Rendering]) -> None:
    rendering = renderings["examples/whole"]
    (strict,) = rendering.of("PeerAuthentication")
    assert strict["spec"]["mtls"]["mode"] == "STRICT"
    rules = {found["metadata"]["name"]: found["spec"] for found in rendering.of("AuthorizationPolicy")}
    assert rules.pop("nobody") == {}
    assert rules.keys() == {"gateway", "booking", "tenancy", "notifications"}
    readers = {f"cluster.local/ns/production-tool/sa/{name}" for name in ("gateway", "notifications")}
    for owner in ("booking", "tenancy"):
        (rule,) = rules[owner]["rules"]
        principals = [set(one["source"]["principals"]) for one in rule["from"] if "principals" in one["source"]]
        assert principals == [readers]
