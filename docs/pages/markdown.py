"""Markdown as these pages need it: tables, code, amounts with their units, and the fields of a JSON Schema."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, Final

Schema = dict[str, Any]

_UNITS: Final = ((86_400, "days"), (3_600, "hours"), (60, "minutes"))
_KIB: Final = 1_024
_BOUNDS: Final = (
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
    ("minimum", "at least {}"),
    ("maximum", "at most {}"),
    ("exclusiveMinimum", "more than {}"),
    ("exclusiveMaximum", "less than {}"),
)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; a bar or a line break in a cell is written so that it stays in it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    pieces = text.replace("|", "\\|").replace("\n", " ").strip().split("`")
    pieces[::2] = (piece.replace("<", "&lt;").replace("{", "&#123;") for piece in pieces[::2])  # outside code
    return "`".join(pieces)


def code(value: object) -> str:
    """Write a value as it stands in JSON, in code font; text as it is."""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def block(value: object, language: str = "json") -> str:
    """Write a block of code; what is no text is written as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return f"```{language}\n{text}\n```\n"


def prose(text: str | None) -> str:
    """Turn a docstring into Markdown: one paragraph, code in single backquotes."""
    return " ".join((text or "").split()).replace("``", "`")


def number(value: float) -> str:
    """Write a number with its thousands apart."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.10g}"


def duration(value: timedelta | float) -> str:
    """Write a duration, given as such or in seconds, in the largest unit that it is a whole number of."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    for length, unit in _UNITS:
        if seconds >= length and seconds % length == 0:
            count = seconds / length
            return f"{number(count)} {unit if count > 1 else unit.removesuffix('s')}"
    return f"{number(seconds)} s"


def size(count: int) -> str:
    """Write a number of bytes."""
    return f"{number(count // _KIB)} KiB" if count % _KIB == 0 else f"{number(count)} bytes"


def fields(schema: Schema, names: str) -> str:
    """Write the table of an object's fields; ``names`` is what the address of a named schema's section begins with."""
    required = schema.get("required", [])
    rows = (
        (code(name), kind(property_, names), "yes" if name in required else "", remarks(property_))
        for name, property_ in schema.get("properties", {}).items()
    )
    return table(("field", "type", "required", ""), rows)


def kind(schema: Schema, names: str) -> str:
    """Tell the type of a value; a named one links to its section."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}]({names}{name.lower()})"
    if variants := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return " or ".join(kind(variant, names) for variant in variants)
    if "const" in schema:
        return code(schema["const"])
    if "enum" in schema:
        return " or ".join(code(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}), names)}"
    name = schema.get("type", "any JSON")
    return f"{name} ({schema['format']})" if "format" in schema else str(name)


def remarks(schema: Schema) -> str:
    """Tell the bounds, the default and the description of a value."""
    return "; ".join(dict.fromkeys(_remarks(schema)))


def _remarks(schema: Schema) -> Iterator[str]:
    for variant in schema.get("anyOf", ()):
        yield from _remarks(variant)
    yield from (told.format(number(schema[bound])) for bound, told in _BOUNDS if bound in schema)
    if schema.get("default") is not None:
        yield f"default {code(schema['default'])}"
    if "description" in schema and "$ref" not in schema:
        yield prose(schema["description"])
