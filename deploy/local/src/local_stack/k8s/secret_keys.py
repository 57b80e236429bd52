"""The Secrets that there are, with their keys: who makes each, and where that stands.

Users of the engines and the services' own Secrets stand in files of `components/secrets` and `components/clerk`, once:
made at random in the cluster, or kept in a store under the same names. Operators make the rest.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from local_stack.k8s.objects import K8S, Rendering

USERS: Final = K8S / "components/secrets/users"
FOLDERS: Final = (K8S / "components/secrets", K8S / "components/clerk")
PASSWORD: Final = hashlib.sha384(b"an example").hexdigest()[:48]
"""An example of a password, of the kind that is made."""
_KEY: Final = base64.b64encode(hashlib.sha256(b"an example").digest()).decode()
_STRIMZI_CA: Final = "kafka-cluster-ca-cert"


def lines(file: Path) -> Iterator[str]:
    """Give the lines of a file that say something."""
    return (line for line in file.read_text().splitlines() if line.strip() and not line.startswith("#"))


def users() -> dict[str, str]:
    """Name the users of the engines, by the Secret that holds their password."""
    found = {}
    for line in lines(USERS):
        name, user = line.split()
        found[name] = user
    return found


def services() -> dict[str, dict[str, str]]:
    """Give an example of each of the services' own Secrets."""
    return {
        file.stem: {
            name: value.replace("{key}", _KEY).replace("{password}", PASSWORD)
            for name, value in (line.split("=", 1) for line in lines(file))
        }
        for folder in FOLDERS
        for file in sorted(folder.glob("*.secret"))
    }


def known(rendering: Rendering) -> Mapping[str, set[str]]:
    """Name every Secret that a rendering can count on, with its keys."""
    found = {name: {"username", "password"} for name in users()}
    found |= {name: set(values) for name, values in services().items()}
    for manifest in rendering.of("Certificate"):
        found[manifest["spec"]["secretName"]] = {"tls.crt", "tls.key", "ca.crt"}
    for manifest in rendering.of("Cluster"):
        found[f"{manifest['metadata']['name']}-ca"] = {"ca.crt", "ca.key"}
    if any(rendering.of("Kafka")):
        found[_STRIMZI_CA] = {"ca.crt", "ca.p12", "ca.password"}
    for manifest in rendering.of("KafkaUser"):
        found[f"kafka-{manifest['metadata']['name']}"] = {"password", "sasl.jaas.config"}
    return found
