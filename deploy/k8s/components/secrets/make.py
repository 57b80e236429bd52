"""Make the Secrets that are missing, and the keys that are missing in one: at random, in the cluster.

What is there is left as it is, so the job may run again. Standard library only: it runs in any image with Python.
"""

import base64
import json
import os
import secrets
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
OWNER: Final = {"app.kubernetes.io/part-of": "production-tool", "app.kubernetes.io/managed-by": "secrets"}


def fill(template: str) -> str:
    """Put random values in the places of a template."""
    while "{key}" in template:
        template = template.replace("{key}", base64.b64encode(secrets.token_bytes(32)).decode(), 1)
    while "{password}" in template:
        template = template.replace("{password}", secrets.token_hex(24), 1)
    return template


def lines(file: Path) -> Iterator[str]:
    """Give the lines of a file that say something."""
    for line in file.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


def wanted(folder: Path) -> dict[str, dict[str, str]]:
    """Give, per Secret, a template for each of its keys."""
    found: dict[str, dict[str, str]] = {}
    for line in lines(folder / "users"):
        name, user = line.split()
        found[name] = {"username": user, "password": "{password}"}
    for file in sorted(folder.glob("*.secret")):
        found[file.stem] = dict(line.split("=", 1) for line in lines(file))
    return found


class Cluster:
    """The Secrets of this pod's namespace."""

    def __init__(self) -> None:
        """Come as the pod's service account."""
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        host = f"[{host}]" if ":" in host else host
        namespace = (ACCOUNT / "namespace").read_text()
        self._url = f"https://{host}:{port}/api/v1/namespaces/{namespace}/secrets"
        self._token = (ACCOUNT / "token").read_text()
        self._tls = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))

    def _ask(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Any:  # noqa: ANN401
        request = urllib.request.Request(  # noqa: S310 - always https
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": kind, "Accept": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30, context=self._tls) as answer:  # noqa: S310 - the same
            return json.load(answer)

    def keys(self, name: str) -> set[str] | None:
        """Name the keys of a Secret; None where there is no such Secret."""
        try:
            return set(self._ask("GET", f"/{name}").get("data") or {})
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND:
                return None
            raise

    def create(self, name: str, values: dict[str, str]) -> None:
        """Create a Secret."""
        metadata = {"name": name, "labels": OWNER}
        self._ask("POST", "", {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values})

    def add(self, name: str, values: dict[str, str]) -> None:
        """Add keys to a Secret."""
        self._ask("PATCH", f"/{name}", {"stringData": values}, "application/merge-patch+json")


def make(folder: Path, cluster: Cluster) -> Iterator[str]:
    """Make what is missing, and tell."""
    for name, templates in wanted(folder).items():
        present = cluster.keys(name)
        missing = {key: fill(template) for key, template in templates.items() if key not in (present or ())}
        if present is None:
            cluster.create(name, missing)
            yield f"{name}: made"
        elif missing:
            cluster.add(name, missing)
            yield f"{name}: {', '.join(missing)} added"


if __name__ == "__main__":
    for told in make(Path(__file__).parent, Cluster()):
        sys.stdout.write(told + "\n")
