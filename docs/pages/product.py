"""The page of what leaves the services for Sentry and PostHog, and of the feature flags, from the code."""

from collections.abc import Iterable
from typing import Final

from gateway.application.features import FLAGS
from gateway.application.usage import COMMAND_ENDED, PROPERTIES
from pages.markdown import code, table
from servicekit import posthog, sentry
from servicekit.product import GROUP

_HEAD: Final = """\
# Errors, events and flags

What leaves the services for Sentry and PostHog where they are [switched on](../how-to/product.md), and which features
can be on for some tenants. Made from the code that lets things through: what is not named here does not leave.

"""
_TOLD: Final = {
    "message": "of a line of ours the constant that it begins with; of a library's where it was logged",
    "server_name": "the name of the instance",
    "logger": "the module that logged it",
}


def page() -> str:
    """Make the page."""
    return f"{_HEAD}{_errors()}\n{_events()}\n{_flags()}"


def _errors() -> str:
    rows = [
        ("what it is", _list(sentry._PLAIN)),  # noqa: SLF001 - what passes is told from what lets it pass
        ("what it is found by", _list(sentry._TAGS)),  # noqa: SLF001 - as above
        ("each exception of the chain", _list(sentry._OF_EXCEPTION)),  # noqa: SLF001 - as above
        ("of each frame of our code and others'", _list(sentry._OF_FRAME)),  # noqa: SLF001 - as above
    ]
    meant = "\n".join(f"- {code(name)}: {what}." for name, what in _TOLD.items())
    return (
        "## Errors\n\nTo Sentry, of each service:\n\n"
        + table(("what", "fields"), rows)
        + f"\n{meant}\n\nFrames show lines of source. No exception's text, no value of a variable, and nothing of a"
        " request is in them. What a tag holds must look like an id.\n"
    )


def _events() -> str:
    rows = [(code(name), what) for name, what in PROPERTIES.items()]
    added = _list(sorted(posthog._SENT_ALONG))  # noqa: SLF001 - as above
    return (
        f"## Events\n\nTo PostHog, of the gateway: {code(COMMAND_ENDED)}"
        f", for the group {code(GROUP)} (the tenant's id) and a pseudonym of the person,"
        " with the time, an id of its own, and\n\n"
        + table(("property", "what it is"), rows)
        + f"\nThe client adds {added}. No profile of a person is made there.\n"
    )


def _flags() -> str:
    rows = [(code(flag.name), code(str(flag.default).lower()), flag.description) for flag in FLAGS]
    return "## Flags\n\n" + table(("flag", "default", "what is on with it"), rows)


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(code, names))
