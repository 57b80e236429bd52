"""The job that makes Secrets: at random, once, and what is there is left."""

import base64
import importlib.util
from dataclasses import dataclass, field
from types import ModuleType

import pytest

from local_stack.k8s import secret_keys
from local_stack.k8s.objects import K8S

SCRIPT = K8S / "components/secrets/make.py"


@dataclass
class Cluster:
    """The Secrets of a namespace, in memory."""

    secrets: dict[str, dict[str, str]] = field(default_factory=dict)

    def keys(self, name: str) -> set[str] | None:
        return set(self.secrets[name]) if name in self.secrets else None

    def create(self, name: str, values: dict[str, str]) -> None:
        assert name not in self.secrets
        self.secrets[name] = dict(values)

    def add(self, name: str, values: dict[str, str]) -> None:
        assert not self.secrets[name].keys() & values.keys()
        self.secrets[name] |= values


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_secrets", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_every_secret_is_made_with_its_keys(script: ModuleType) -> None:
    cluster = Cluster()
    told = list(script.make(SCRIPT.parent, cluster))
    assert len(told) == len(cluster.secrets)
    wanted = {name: {"username", "password"} for name in secret_keys.users()}
    wanted |= {name: set(keys) for name, keys in secret_keys.services().items() if name != "tenancy-reconcile"}
    assert {name: set(values) for name, values in cluster.secrets.items()} == wanted


def test_nothing_is_the_same_twice_and_keys_are_32_bytes(script: ModuleType) -> None:
    cluster = Cluster()
    list(script.make(SCRIPT.parent, cluster))
    passwords = [values["password"] for values in cluster.secrets.values() if "password" in values]
    assert len(set(passwords)) == len(passwords)
    assert all(word.isalnum() and len(word) >= 32 for word in passwords), "they stand in URLs"
    assert len(base64.b64decode(cluster.secrets["gateway"]["GATEWAY_COMMAND_ID_KEY"])) == 32


def test_what_is_there_is_left_and_what_is_missing_is_added(script: ModuleType) -> None:
    cluster = Cluster(
        {"gateway": {"GATEWAY_COMMAND_ID_KEY": "kept"}, "redis-admin": {"username": "a", "password": "b"}}
    )
    list(script.make(SCRIPT.parent, cluster))
    assert cluster.secrets["gateway"]["GATEWAY_COMMAND_ID_KEY"] == "kept"
    assert "GATEWAY_CLERK_WEBHOOK_SECRETS" in cluster.secrets["gateway"]
    assert cluster.secrets["redis-admin"] == {"username": "a", "password": "b"}
    assert list(script.make(SCRIPT.parent, cluster)) == []
