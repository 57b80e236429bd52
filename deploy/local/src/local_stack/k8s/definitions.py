"""The definitions of operators' resources, condensed to JSON Schemas: what a rendering is validated against.

``python -m local_stack.k8s definitions FOLDER...`` makes them from folders of CustomResourceDefinitions, for the kinds
that we use; what they were made of stands in the folder's README.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from local_stack.checkout import ROOT

FOLDER: Final = ROOT / "deploy/k8s/definitions"
_KEPT: Final = {
    "additionalProperties",
    "allOf",
    "anyOf",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "not",
    "oneOf",
    "pattern",
    "required",
    "type",
}
_OF_EVERY_OBJECT: Final = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}

Kind = tuple[str, str]
"""``apiVersion`` and ``kind``."""


def file_of(kind: Kind) -> Path:
    """Tell where a kind's schema stands."""
    return FOLDER / f"{kind[0].replace('/', '_')}_{kind[1]}.json"


def known() -> dict[Kind, dict[str, Any]]:
    """Read every schema that stands there."""
    found: dict[Kind, dict[str, Any]] = {}
    for file in sorted(FOLDER.glob("*.json")):
        group, version, kind = file.stem.split("_")
        found[f"{group}/{version}", kind] = json.loads(file.read_text())
    return found


def condense(schema: Any, *, closed: bool = True) -> Any:  # noqa: ANN401 - JSON
    """Keep of a structural schema what validates; where it is ``closed``, a field that it does not name is refused.

    The API server prunes such a field, and `kubectl apply` refuses it.
    """
    if not isinstance(schema, dict):
        return schema
    kept = {name: value for name, value in schema.items() if name in _KEPT}
    for name in kept.keys() & {"allOf", "anyOf", "oneOf"}:
        kept[name] = [condense(one, closed=False) for one in kept[name]]
    if "not" in kept:
        kept["not"] = condense(kept["not"], closed=False)
    _say_types(schema, kept)
    _say_fields(schema, kept, closed=closed)
    return kept


def _say_types(schema: dict[str, Any], kept: dict[str, Any]) -> None:
    if schema.get("x-kubernetes-int-or-string"):
        kept.pop("type", None)
        kept.setdefault("anyOf", [{"type": "integer"}, {"type": "string"}])
    if schema.get("nullable") and "type" in kept:
        kept["type"] = [kept["type"], "null"]


def _say_fields(schema: dict[str, Any], kept: dict[str, Any], *, closed: bool) -> None:
    if "properties" in schema:
        kept["properties"] = {
            name: condense(value, closed=closed) for name, value in sorted(schema["properties"].items())
        }
    if "items" in schema:
        kept["items"] = condense(schema["items"], closed=closed)
    if isinstance(schema.get("additionalProperties"), dict):
        kept["additionalProperties"] = condense(schema["additionalProperties"], closed=closed)
    elif closed and "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        kept["additionalProperties"] = False


def read(folder: Path) -> Iterator[tuple[Kind, dict[str, Any]]]:
    """Read the definitions in a folder, each version of each kind."""
    for file in sorted(folder.glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            if not document or document.get("kind") != "CustomResourceDefinition":
                continue
            spec = document["spec"]
            for version in spec["versions"]:
                if version["served"]:
                    schema = condense(version["schema"]["openAPIV3Schema"])
                    schema["properties"] = {**schema.get("properties", {}), **_OF_EVERY_OBJECT}
                    yield (f"{spec['group']}/{version['name']}", spec["names"]["kind"]), schema


def write(folders: list[Path], used: set[Kind]) -> list[Kind]:
    """Write the schemas of the kinds that are used; gives those that were found."""
    FOLDER.mkdir(exist_ok=True)
    found = []
    for folder in folders:
        for kind, schema in read(folder):
            if kind in used:
                file_of(kind).write_text(json.dumps(schema, separators=(",", ":"), sort_keys=True) + "\n")
                found.append(kind)
    return found
