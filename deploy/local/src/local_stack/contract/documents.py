"""The documents beside the contract's schemas: ``contracts/asyncapi.json`` and ``contracts/openapi.json``."""

import json
from typing import Any

from local_stack.contract.applications import gateway_document, receptions
from local_stack.contract.asyncapi import asyncapi
from local_stack.contract.releases import CONTRACTS, current_version


def documents() -> dict[str, dict[str, Any]]:
    """Make the documents, by the names of their files."""
    return {"asyncapi.json": asyncapi(current_version(), receptions()), "openapi.json": gateway_document()}


def text(document: dict[str, Any]) -> str:
    """Write a document as it stands in its file."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write() -> None:
    """Put the files in place."""
    for name, document in documents().items():
        (CONTRACTS / name).write_text(text(document), encoding="utf-8")
