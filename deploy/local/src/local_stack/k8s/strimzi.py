"""Topics, users and their rights as resources of Strimzi's operators, made from the tables of the contracts.

``python -m local_stack.k8s generate`` writes them; a test holds that they are current.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from local_stack.checkout import ROOT
from production_contracts.principals import ANY, PRINCIPALS, Principal
from production_contracts.topics import ALL_TOPICS, PARTITIONS_PRODUCTION, Topic

FOLDER: Final = ROOT / "deploy/k8s/components/strimzi"
CLUSTER: Final = "kafka"
REPLICAS: Final = 3
IN_SYNC: Final = 2
_HEAD: Final = "# Made from production_contracts.{} by `python -m local_stack.k8s generate`: change it there.\n"


def topic(declared: Topic) -> dict[str, Any]:
    """Make a topic's resource: a copy on each of three brokers, two of which have what was acknowledged."""
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaTopic",
        "metadata": {"name": declared.name, "labels": {"strimzi.io/cluster": CLUSTER}},
        "spec": {
            "partitions": PARTITIONS_PRODUCTION,
            "replicas": REPLICAS,
            "config": {
                "cleanup.policy": "delete",
                "max.message.bytes": declared.largest_record_bytes,
                "min.insync.replicas": IN_SYNC,
                "retention.ms": declared.retention_ms,
            },
        },
    }


def user(principal: Principal) -> dict[str, Any]:
    """Make a principal's resource: the operator makes its password and puts it into the Secret `kafka-<name>`."""
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaUser",
        "metadata": {"name": principal.name, "labels": {"strimzi.io/cluster": CLUSTER}},
        "spec": {
            "authentication": {"type": "scram-sha-512"},
            "authorization": {"type": "simple", "acls": list(_acls(principal))},
        },
    }


def _acls(principal: Principal) -> Iterator[dict[str, Any]]:
    rights = (
        ("topic", "Read", principal.reads),
        ("topic", "Write", principal.writes),
        ("group", "Read", principal.groups),
        ("transactionalId", "Write", principal.transactions),
    )
    for kind, operation, names in rights:
        for name in names:
            pattern = "prefix" if name.endswith(ANY) else "literal"
            resource = {"type": kind, "name": name.removesuffix(ANY), "patternType": pattern}
            yield {"resource": resource, "operations": [operation]}


def texts() -> dict[Path, str]:
    """Give the text of each file that is made."""
    made = {
        "topics": [topic(declared) for declared in ALL_TOPICS],
        "principals": [user(principal) for principal in PRINCIPALS],
    }
    return {
        FOLDER / f"{name}.yaml": _HEAD.format(name)
        + yaml.safe_dump_all(resources, sort_keys=False, default_flow_style=False, width=120, explicit_start=True)
        for name, resources in made.items()
    }


def write() -> None:
    """Put the files in place."""
    for file, text in texts().items():
        file.write_text(text)
