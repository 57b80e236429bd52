"""Network: nobody reaches anybody, but for what is said."""

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any, Final

from local_stack.k8s.objects import Finding, Pod, Rendering, selects, title

MESH_PORT: Final = 15008
"""Where the mesh takes what is meant for any port; it decides itself."""

Peer = Pod | str
"""A pod of ours, or the name of another namespace."""


def closed(rendering: Rendering) -> Iterator[Finding]:
    """One policy takes every pod and lets nothing in or out; no other lets in whoever comes."""
    policies = list(rendering.of("NetworkPolicy"))
    if not any(_denies_all(policy["spec"]) for policy in policies):
        yield "NetworkPolicy: none denies by default"
    for policy in policies:
        for rule in policy["spec"].get("ingress") or []:
            ports = {port.get("port") for port in rule.get("ports") or []}
            if not rule.get("from") and ports != {MESH_PORT}:
                yield f"{title(policy)}: lets in whoever comes"
            if not ports:
                yield f"{title(policy)}: lets in at every port"
            for block in _blocks(rule.get("from") or []):
                if ip_network(block).prefixlen < 8:  # noqa: PLR2004 - a network that somebody has, and not half of all
                    yield f"{title(policy)}: lets in {block}"
        for rule in policy["spec"].get("egress") or []:
            if not rule.get("ports"):
                yield f"{title(policy)}: lets out at every port"


def _denies_all(spec: dict[str, Any]) -> bool:
    takes_all = not spec["podSelector"] and set(spec["policyTypes"]) == {"Ingress", "Egress"}
    return bool(takes_all and not spec.get("ingress") and not spec.get("egress"))


def _blocks(peers: list[dict[str, Any]]) -> Iterator[str]:
    return (peer["ipBlock"]["cidr"] for peer in peers if "ipBlock" in peer)


def covered(rendering: Rendering) -> Iterator[Finding]:
    """Each port that a pod opens is one that a policy lets somebody reach: a port that nobody needs is not opened."""
    policies = [found["spec"] for found in rendering.of("NetworkPolicy")]
    for pod in [*rendering.pods, *rendering.operators_pods]:
        own = [spec for spec in policies if spec["podSelector"] and selects(spec["podSelector"], pod.labels)]
        if not own and not _by_strimzi(pod):
            yield f"{pod.name}: no NetworkPolicy of its own"
        for name, number in pod.served:
            rules = [rule for spec in own for rule in spec.get("ingress") or []]
            if not any(_takes_port(rule, number, name) for rule in rules):
                yield f"{pod.name}: port {number} is covered by no NetworkPolicy"


def _by_strimzi(pod: Pod) -> bool:
    return bool(pod.owner["kind"] == "KafkaNodePool")


def _takes_port(rule: dict[str, Any], number: int, name: str = "") -> bool:
    ports = rule.get("ports")
    return not ports or any(
        port.get("protocol", "TCP") == "TCP" and (port["port"] in {number, name} or _in_range(port, number))
        for port in ports
    )


def _in_range(port: dict[str, Any], number: int) -> bool:
    return isinstance(port["port"], int) and port["port"] <= number <= port.get("endPort", port["port"])


def reaches(rendering: Rendering, source: Peer, target: Pod, port: int) -> bool:
    """Tell whether the policies let ``source`` reach a port of ``target``: out of the one and into the other."""
    into = any(
        _takes_port(rule, port) and any(_is_peer(peer, source) for peer in rule.get("from") or [])
        for spec in _policies_of(rendering, target, "Ingress")
        for rule in spec.get("ingress") or []
    )
    if isinstance(source, str):
        return into
    out = any(
        _takes_port(rule, port) and any(_is_peer(peer, target) for peer in rule.get("to") or [])
        for spec in _policies_of(rendering, source, "Egress")
        for rule in spec.get("egress") or []
    )
    return into and out


def _policies_of(rendering: Rendering, pod: Pod, direction: str) -> Iterator[dict[str, Any]]:
    for policy in rendering.of("NetworkPolicy"):
        spec = policy["spec"]
        if direction in spec["policyTypes"] and selects(spec["podSelector"], pod.labels):
            yield spec


def _is_peer(peer: dict[str, Any], one: Peer) -> bool:
    if "ipBlock" in peer:
        return False
    if isinstance(one, str):
        return selects(peer.get("namespaceSelector"), {"kubernetes.io/metadata.name": one})
    return "namespaceSelector" not in peer and selects(peer.get("podSelector"), one.labels)
