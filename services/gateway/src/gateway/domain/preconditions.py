"""Preconditions of a request (RFC 9110, section 13), for entity tags that are versions in quotes."""

import re

LONGEST_LIST = 100
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_VERSION = re.compile(r"[1-9][0-9]{0,17}")


class MalformedTagsError(ValueError):
    """This is not a list of entity tags, or too long a one."""


def expected_versions(if_match: str) -> list[int] | None:
    """Read the versions that an ``If-Match`` allows; None for ``*``, which allows any.

    A weak tag never matches, nor does one that is no version of ours: they add nothing to the list.

    Raises:
        MalformedTagsError: as it says.
    """
    if if_match.strip() == "*":
        return None
    tags = _read_tags(if_match)
    if tags is None or not tags or len(tags) > LONGEST_LIST:
        raise MalformedTagsError
    return [int(tag) for weak, tag in tags if not weak and _VERSION.fullmatch(tag)]


def is_unchanged(if_none_match: str, etag: str) -> bool:
    """Tell whether the caller has what we would send (weak comparison); what is no list of tags matches nothing."""
    if if_none_match.strip() == "*":
        return True
    return any(f'"{tag}"' == etag for _, tag in _read_tags(if_none_match) or ())


def version_tag(version: int) -> str:
    """Write a version as an entity tag."""
    return f'"{version}"'


def _read_tags(text: str) -> list[tuple[bool, str]] | None:
    tags: list[tuple[bool, str]] = []
    at, awaits_tag = 0, True
    while at < len(text):
        if text[at] in " \t":
            at += 1
        elif text[at] == ",":
            at += 1
            awaits_tag = True
        elif awaits_tag and (found := _TAG.match(text, at)):
            tags.append((found[1] is not None, found[2]))
            at = found.end()
            awaits_tag = False
        else:
            return None
    return tags
