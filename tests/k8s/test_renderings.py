"""What stands in deploy/k8s is what is asked of it."""

import re
import subprocess

import pytest
import yaml

from local_stack.k8s import check, definitions, secret_keys, strimzi
from local_stack.k8s.objects import K8S, Policy, Rendering, kubectl
from production_contracts.principals import PRINCIPALS, PROVISIONING
from production_contracts.redis_users import REDIS_USERS
from production_contracts.topics import ALL_TOPICS, LARGEST_DEAD_LETTER, PARTITIONS_PRODUCTION
from servicekit.acls import Operation, Pattern, Resource, acls_of


@pytest.mark.parametrize("policy", check.POLICIES, ids=lambda policy: policy.__name__)
def test_every_rendering_is_held_to_every_policy(renderings: dict[str, Rendering], policy: Policy) -> None:
    assert {name: list(policy(rendering)) for name, rendering in renderings.items()} == {
        name: [] for name in renderings
    }


def test_there_are_a_development_and_a_production_overlay_and_examples(renderings: dict[str, Rendering]) -> None:
    assert set(renderings) == {"overlays/dev", "overlays/production", "examples/trial", "examples/whole"}


def test_every_component_stands_in_something_that_is_rendered() -> None:
    named = set()
    for file in K8S.glob("*/*/kustomization.yaml"):
        found = yaml.safe_load(file.read_text())
        named |= {entry.rpartition("/")[2] for entry in found.get("components", [])}
    assert named == {file.parent.name for file in K8S.glob("components/*/kustomization.yaml")}


def test_what_is_made_from_the_contracts_is_current() -> None:
    assert list(check.stale()) == []


def test_kubectl_is_of_the_lock_and_renders_components() -> None:
    told = subprocess.run([kubectl(), "version", "--client"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"Kustomize Version: v(\d+)", told)
    assert found is not None
    assert int(found[1]) >= 5


def test_production_needs_no_definition_but_those_of_its_four_operators(renderings: dict[str, Rendering]) -> None:
    kinds = {(found["apiVersion"], found["kind"]) for found in renderings["overlays/production"].objects}
    of_operators = {group.partition("/")[0] for group, _ in kinds & definitions.known().keys()}
    assert of_operators == {"kafka.strimzi.io", "postgresql.cnpg.io", "keda.sh", "cert-manager.io"}


def test_every_schema_of_an_operator_is_of_a_kind_that_is_used(renderings: dict[str, Rendering]) -> None:
    used = {(found["apiVersion"], found["kind"]) for one in renderings.values() for found in one.objects}
    assert definitions.known().keys() <= used


def test_strimzi_is_told_of_each_topic_as_the_contracts_declare_it(renderings: dict[str, Rendering]) -> None:
    told = {found["metadata"]["name"]: found["spec"] for found in renderings["overlays/production"].of("KafkaTopic")}
    assert told.keys() == {topic.name for topic in ALL_TOPICS}
    for topic in ALL_TOPICS:
        spec = told[topic.name]
        assert (spec["partitions"], spec["replicas"]) == (PARTITIONS_PRODUCTION, 3)
        assert spec["config"]["min.insync.replicas"] == 2
        assert spec["config"]["retention.ms"] == topic.retention_ms
        assert spec["config"]["max.message.bytes"] == topic.largest_record_bytes
    (kafka,) = renderings["overlays/production"].of("Kafka")
    assert kafka["spec"]["kafka"]["config"]["message.max.bytes"] == LARGEST_DEAD_LETTER


def test_strimzi_gives_each_principal_the_rights_that_our_own_job_gives(renderings: dict[str, Rendering]) -> None:
    told = {found["metadata"]["name"]: found["spec"] for found in renderings["overlays/production"].of("KafkaUser")}
    assert told.keys() == {principal.name for principal in PRINCIPALS}
    kinds = {"topic": Resource.TOPIC, "group": Resource.GROUP, "transactionalId": Resource.TRANSACTIONAL_ID}
    patterns = {"literal": Pattern.LITERAL, "prefix": Pattern.PREFIXED}
    for principal in PRINCIPALS:
        given = {
            (kinds[acl["resource"]["type"]], acl["resource"]["name"], patterns[acl["resource"]["patternType"]], one)
            for acl in told[principal.name]["authorization"]["acls"]
            for one in acl["operations"]
        }
        wanted = {
            (acl.resource, acl.name, acl.pattern, Operation(acl.operation).name.title()) for acl in acls_of(principal)
        }
        assert given == wanted


def test_each_principal_has_a_secret_and_a_password_that_the_job_sets(renderings: dict[str, Rendering]) -> None:
    users = {name.removeprefix("kafka-"): user for name, user in secret_keys.users().items() if "kafka-" in name}
    names = {principal.name for principal in PRINCIPALS}
    assert users == {name: name for name in names | {PROVISIONING, "broker"}}
    (job,) = (found for found in renderings["overlays/dev"].of("Job") if "provision-" in found["metadata"]["name"])
    (container,) = job["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one for one in container["env"]}
    passwords = yaml.safe_load(told["PROVISIONING_PASSWORDS"]["value"])
    assert passwords.keys() == names
    for principal, reference in passwords.items():
        source = told[reference.removeprefix("$(").removesuffix(")")]["valueFrom"]["secretKeyRef"]
        assert source == {"name": f"kafka-{principal}", "key": "password"}


def test_a_written_resource_holds_no_anchors_as_not_everything_reads_them() -> None:
    assert all("&" not in text and "*id" not in text for text in strimzi.texts().values())


def test_databases_are_made_as_in_compose() -> None:
    def statements(text: str) -> list[str]:
        return [*re.findall(r"--command '(.+)'", text), text.partition("<<'SQL'\n")[2].partition("\nSQL\n")[0]]

    ours = statements((K8S / "components/engines/postgres/one/database.sh").read_text())
    assert ours == statements((K8S.parent / "local/databases.sh").read_text())


@pytest.mark.parametrize("script", ["engines/redis/start.sh", "redis-sentinel/start.sh"])
def test_users_of_redis_may_do_what_the_contracts_say(script: str) -> None:
    told = dict(re.findall(r"^user (\w+) (.+)$", (K8S / "components" / script).read_text(), re.MULTILINE))
    assert told["default"] == "off"
    for user in REDIS_USERS:
        assert told[user.name] == f"on >${user.name.upper()}_PASSWORD {' '.join(user.rules)}"
    assert told.keys() - {"default", "admin", "front"} == {user.name for user in REDIS_USERS}


def test_a_probe_excludes_only_checks_that_there_are(renderings: dict[str, Rendering]) -> None:
    for rendering in renderings.values():
        for pod in rendering.pods:
            if pod.labels.get("app.kubernetes.io/component") != "service":
                continue
            (container,) = pod.spec["containers"]
            excluded = set(re.findall(r"exclude=([\w-]+)", container["readinessProbe"]["httpGet"]["path"]))
            name = pod.labels["app.kubernetes.io/name"]
            assert excluded < CHECKS[name], f"{name}: all but what is the pod's own"


def _checks_of(*sources: str) -> set[str]:
    root = K8S.parents[1]
    return {name for file in sources for name in re.findall(r'health\.add\(\s*"([\w-]+)"', (root / file).read_text())}


CHECKS = {
    "gateway": _checks_of("services/gateway/src/gateway/bootstrap.py"),
    "booking": _checks_of("libs/servicekit/src/servicekit/deciding_service.py"),
    "tenancy": _checks_of("libs/servicekit/src/servicekit/deciding_service.py"),
    "notifications": _checks_of("services/notifications/src/notifications/bootstrap.py"),
}
