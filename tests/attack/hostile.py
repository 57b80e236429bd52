"""What an attacker writes: fragments that parsers stumble over, put in every place of what is well-formed."""

import copy
import json
from collections.abc import Iterator
from typing import Any, Final

from hypothesis import strategies as st

_MARK: Final = "@hostile@"

FRAGMENTS: Final = (
    *(b"null", b"true", b"0", b"-1", b"-0.0", b"1e999", b"1e300", b"1e-400", b"NaN", b"Infinity"),
    *(b"9223372036854775808", b"18446744073709551616", b"9" * 4301, b"9" * 100_000),
    *(b'""', b'" "', b'"\\u0000"', b'"\\ud800"', b'"\\udfff\\ud800"', b'"\xff"', b'"\xed\xa0\x80"', b'"\\x"'),
    *(b'"' + b"x" * 100_000 + b'"', b'"' + "\N{COMBINING ACUTE ACCENT}".encode() * 2_000 + b'"'),
    *(
        b'"2027-02-30T00:00:00Z"',
        b'"0001-01-01T00:00:00+23:59"',
        b'"9999-12-31T23:59:59-23:59"',
        b'"1e300"',
        b'"2027-05-08T20:00:00"',
    ),
    *(b"[]", b"{}", b"[null]", b"[[]]", b'{"":""}', b'{"a":1,"a":2}', b'{"__proto__":{}}'),
    *(b"[" * 100_000, b'{"a":' * 50_000, b"[" * 900 + b"]" * 900, b'{"a":' * 900 + b"1" + b"}" * 900),
    *(b"", b"\xef\xbb\xbf1", b"1 1", b"//", b"'x'", b"\x00"),
)
"""JSON, and what only looks like it."""

_atoms = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[]), max_size=8)
)
objects: Final = st.recursive(
    _atoms,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
"""What a JSON parser may give."""

texts: Final = st.text(st.characters(exclude_categories=[]), max_size=80)
"""Any text, lone surrogates included."""


def twisted(document: Any) -> Iterator[bytes]:  # noqa: ANN401 - any JSON
    """Write a document with every fragment in every place of it, and the fragments alone."""
    yield from FRAGMENTS
    for path in _paths(document):
        marked = _set(document, path, _MARK)
        written = json.dumps(marked).encode()
        yield from (written.replace(json.dumps(_MARK).encode(), fragment) for fragment in FRAGMENTS)


def mutated(sample: bytes) -> "st.SearchStrategy[bytes]":
    """Cut, repeat and overwrite pieces of a well-formed text."""
    places = st.integers(0, len(sample))
    pieces = st.binary(max_size=8) | st.sampled_from(FRAGMENTS).map(lambda fragment: fragment[:40])

    def cut(given: tuple[int, int, bytes]) -> bytes:
        begin, end, piece = given
        return sample[: min(begin, end)] + piece + sample[max(begin, end) :]

    return st.binary(max_size=60) | st.tuples(places, places, pieces).map(cut)


def _paths(document: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:  # noqa: ANN401
    inside = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for name, value in inside:
        yield (*path, name)
        yield from _paths(value, (*path, name))


def _set(document: Any, path: tuple[str | int, ...], value: str) -> Any:  # noqa: ANN401 - any JSON
    changed = copy.deepcopy(document)
    place = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return changed
