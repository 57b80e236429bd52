"""Every object is one that the API server, or an operator, would take."""

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

from jsonschema_rs import Registry, validator_for
from jsonschema_rs import ValidationError as Refusal

from local_stack.k8s import definitions
from local_stack.k8s.objects import Finding, Rendering, title

VERSIONS: Final = ("1.32", "1.37")
"""The oldest Kubernetes that we support, and the newest whose schemas there are."""

_SCHEMAS: Final = files("kubernetes_validate") / "kubernetes-json-schema"
"""The schemas that the package `kubernetes-validate` brings; its own validator reads all of them for each object."""


def _folder(version: str) -> Traversable:
    return _SCHEMAS / f"v{version}.0-local-strict"


@cache
def _registry(version: str) -> Registry:
    shared = json.loads((_folder(version) / "_definitions.json").read_text())
    return Registry([(shared["$id"], shared)])


@cache
def _operators() -> dict[definitions.Kind, dict[str, Any]]:
    return definitions.known()


@cache
def _validators(group: str, kind: str) -> dict[str, Any]:
    """Give the validators of a kind, by who asks for it; none where it is unknown."""
    own = _operators().get((group, kind))
    if own is not None:
        return {"its operator": validator_for(own)}
    domain, _, version = group.rpartition("/")
    name = "-".join(part for part in (kind.lower(), domain.partition(".")[0], version) if part)
    files_of = {release: _folder(release) / f"{name}.json" for release in VERSIONS}
    return {
        f"Kubernetes {release}": validator_for(json.loads(file.read_text()), registry=_registry(release))
        for release, file in files_of.items()
        if file.is_file()
    }


def valid(rendering: Rendering) -> Iterator[Finding]:
    """Hold every object to the schema of its kind: strictly, so that no field is misspelt."""
    for manifest in rendering.objects:
        validators = _validators(manifest["apiVersion"], manifest["kind"])
        if not validators:
            yield f"{title(manifest)}: no schema of {manifest['apiVersion']} {manifest['kind']} is known"
        for who, validator in validators.items():
            refusals: Iterator[Refusal] = validator.iter_errors(manifest)
            for refusal in refusals:
                where = ".".join(map(str, refusal.instance_path))
                yield f"{title(manifest)}: {who} refuses {where or 'it'}: {refusal.message}"
