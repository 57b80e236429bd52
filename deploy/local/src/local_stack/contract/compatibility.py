"""Whether a contract may follow another: nobody who reads or writes the old form is broken by the new one.

A *record* is written and read by both: events are kept for ever, and instances of two versions run side by side during
a deployment. So what the new form writes must be readable as the old one, and the other way round. A *request* is read
by the gateway alone, which is deployed before its clients: what the old form writes must be readable as the new one.

Readable means that every document a writer can make is taken by the reader's schema, which jsonschema-rs decides
(`CanonicalSchema.covers`; what it can't prove counts as broken). A writer makes the fields that it declares and no
others, so its schema is closed first: two open schemas never cover each other once a field is added. What the schemas
can't tell is looked at besides: a field that is gone, and a default that means something else now.
"""

from collections.abc import Iterator
from typing import Any, Final

from jsonschema_rs import CanonicalSchema, canonicalize
from jsonschema_rs.canonical import Containment

from production_contracts.schemas import Contract

Schema = dict[str, Any]
REQUESTS: Final = "requests/"
_NOWHERE: Final = object()


def breaks(old: Contract, new: Contract) -> list[str]:
    """Say what of ``old`` is broken by ``new``, one sentence each; an empty list: nothing is."""
    found = [
        f"names: {table} {name} was {promised}, is {new.names.get(table, {}).get(name, 'gone')}"
        for table, names in old.names.items()
        for name, promised in names.items()
        if new.names.get(table, {}).get(name) != promised
    ]
    for name, schema in old.schemas.items():
        if name not in new.schemas:
            found.append(f"{name} is gone")
        else:
            both_ways = not name.startswith(REQUESTS)
            found += [f"{name}: {broken}" for broken in schema_breaks(schema, new.schemas[name], both_ways=both_ways)]
    return found


def schema_breaks(old: Schema, new: Schema, *, both_ways: bool) -> Iterator[str]:
    """Say what is broken between two versions of a schema; ``both_ways``: the old form also reads the new one."""
    before, after = dict(_fields(old)), dict(_fields(new))
    for field, schema in before.items():
        if field not in after:
            yield f"the field {field} is gone"
        elif schema.get("default", _NOWHERE) != after[field].get("default", _NOWHERE) and "default" in schema:
            yield f"the default of {field} was {schema['default']!r}, is {after[field].get('default', 'none')!r}"
    if not _reads(new, old):
        yield f"the new form does not read what the old one writes{_places(after, before)}"
    if both_ways and not _reads(old, new):
        yield f"the old form does not read what the new one writes{_places(before, after)}"


def _places(reader: dict[str, Schema], writer: dict[str, Schema]) -> str:
    """Name the fields that are to blame, where they are to blame by themselves."""
    places = [field for field, schema in reader.items() if field in writer and not _reads(schema, writer[field])]
    return f": {', '.join(places)}" if places else ""


def _reads(reader: Schema, writer: Schema) -> bool:
    return _canonical(reader).covers(_canonical(_closed(writer))) == Containment.YES


def _canonical(schema: Schema) -> CanonicalSchema:
    return canonicalize(schema, validate_formats=True)


def _closed(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Leave a writer the fields that it declares."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(part) for name, part in schema.items()}
    return closed | {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else closed


def _fields(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Give every field at every depth by its path (``data.notes.kid``, ``items[].id``), with its schema whole."""
    definitions = schema.get("$defs", {})

    def walk(part: Schema, path: str) -> Iterator[tuple[str, Schema]]:
        if "$ref" in part:
            yield from walk(definitions[part["$ref"].removeprefix("#/$defs/")], path)
        for variants in ("anyOf", "oneOf", "allOf"):
            for variant in part.get(variants, ()):
                yield from walk(variant, path)
        if isinstance(part.get("items"), dict):
            yield from walk(part["items"], f"{path}[]")
        if isinstance(part.get("additionalProperties"), dict):
            yield from walk(part["additionalProperties"], f"{path}{{}}")
        for name, field in part.get("properties", {}).items():
            inner = f"{path}.{name}" if path else name
            yield inner, {**field, "$defs": definitions}
            yield from walk(field, inner)

    yield from walk(schema, "")
