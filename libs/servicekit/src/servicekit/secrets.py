"""Secrets in settings: which they are, and whether somebody could guess them.

A setting is a secret if its field says ``repr=False``. A service refuses to start with one that is published (a
placeholder, what the local stack comes with, an example of Clerk's or Svix's documentation) or easy to guess. A lost
secret this can't see; it is against the one that was never set.
"""

import base64
import binascii
import json
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final, Literal, NoReturn, TypeVar
from urllib.parse import quote, unquote, urlsplit

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsError

SHORTEST: Final = 16
"""Characters of a password, and bytes of a key."""
FEWEST: Final = 6
"""Different characters in it: random ones of 16 have fewer about once in 10,000 times if they are hex, else never."""
SHORTEST_SHOWN: Final = 8
"""A secret of fewer characters is not looked for in lines of text: it would be found in words."""
MARK: Final = "local-stack-only"
"""Stands in every secret that the repository holds, as text or in base64."""
PLACEHOLDERS: Final = ("change-me", "changeme", "change_me", "replace-me", "replaceme", MARK)
EXAMPLES: Final = frozenset({"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "plJ3nmyCDGBKInavdOK15jsl"})
"""Signing secrets that stand in Svix's documentation."""
PREFIXES: Final = ("whsec_", "sk_live_", "sk_test_")
EXIT_STATUS: Final = 78
"""EX_CONFIG of sysexits.h: to start again with the same settings is of no use."""


class SecretsSettings(BaseSettings):
    """Whether weak secrets are good enough."""

    weak_secrets: Literal["refused", "accepted"] = Field(
        default="refused",
        description="`accepted` on a developer's machine alone: secrets that are published, or easy to guess",
    )


S = TypeVar("S", bound=SecretsSettings)


def load(settings: type[S]) -> S:
    """Read a service's settings; what is wrong with them is said on standard error, without a value, and ends us.

    Raises:
        SystemExit: a setting is missing or can't be read, or a secret is weak and not accepted.
    """
    prefix = str(settings.model_config.get("env_prefix"))
    try:
        loaded = settings()
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        complaints = [(".".join(map(str, item["loc"])), item["msg"].removeprefix("Value error, ")) for item in found]
        _refuse([f"{prefix}{name.upper()}: {complaint}" if name else complaint for name, complaint in complaints])
    except SettingsError as error:
        _refuse([str(error)])  # a list or an object that is no JSON: it names the field, and no value
    weak = [f"{prefix}{name.upper()}: {complaint}" for name, complaint in weaknesses(loaded)]
    if weak and loaded.weak_secrets == "refused":
        _refuse(weak)
    if weak:
        sys.stderr.write(f"weak secrets are accepted, on a developer's machine alone: {'; '.join(weak)}\n")
    return loaded


def _refuse(complaints: list[str]) -> NoReturn:
    sys.stderr.write("\n".join(["not started: these settings must be mended", *complaints]) + "\n")
    sys.exit(EXIT_STATUS)


def weaknesses(settings: BaseSettings) -> list[tuple[str, str]]:
    """Name the settings that hold a weak secret, each with what is weak about it; no secret is in that."""
    return [
        (name, complaint)
        for name, field in type(settings).model_fields.items()
        if not field.repr
        for secret in secrets_in(name, getattr(settings, name))
        if (complaint := weakness(secret))
    ]


def secrets_in(name: str, value: Any) -> Iterator[str | bytes]:  # noqa: ANN401 - whatever a setting holds
    """Give the secrets that a setting's value holds: of a URL, the password."""
    if isinstance(value, dict):
        for one in value.values():
            yield from secrets_in(name, one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from secrets_in(name, one)
    elif isinstance(value, bytes):
        yield value
    elif isinstance(value, str) and name.endswith("_url"):
        yield password_of(value)
    elif isinstance(value, str):
        yield value


def written_secrets(settings: BaseSettings) -> set[str]:
    """Give the secrets of settings in every form in which one could turn up in a line of text."""
    found: set[str] = set()
    for name, field in type(settings).model_fields.items():
        for secret in () if field.repr else secrets_in(name, getattr(settings, name)):
            text = base64.b64encode(secret).decode() if isinstance(secret, bytes) else secret
            for prefix in PREFIXES:
                found.add(text.removeprefix(prefix))
            found |= {text, quote(text, safe=""), json.dumps(text)[1:-1], repr(text)[1:-1]}
            if isinstance(secret, bytes):
                found |= {secret.hex(), repr(secret)[2:-1]}
    return {text for text in found if len(text) >= SHORTEST_SHOWN}


def password_of(url: str) -> str:
    """Give the password in a URL; empty where there is none."""
    return unquote(urlsplit(url).password or "")


def weakness(secret: str | bytes) -> str | None:
    """Say what is weak about a secret; None where nothing is."""
    text = secret if isinstance(secret, str) else secret.decode("latin-1")
    for prefix in PREFIXES:
        text = text.removeprefix(prefix)
    if not text:
        return "it holds no secret"
    if text in EXAMPLES or any(word in read.lower() for read in (text, _decoded(text)) for word in PLACEHOLDERS):
        return "it is a placeholder or an example, and published"
    if len(text) < SHORTEST:
        return f"it is shorter than {SHORTEST} characters"
    if len(set(text)) < FEWEST or _is_regular(text):
        return "it is easy to guess: too few different characters, or too regular"
    return None


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("latin-1")
    except (binascii.Error, ValueError):
        return ""


def _is_regular(text: str) -> bool:
    """Tell whether a text repeats its beginning, or goes on by the same step most of the time: `abcd…`, `aaaa…`."""
    for period in range(1, len(text) // 2 + 1):
        if text[period:] == text[:-period]:
            return True
    steps = Counter(ord(after) - ord(before) for before, after in pairwise(text))
    return 2 * max(steps.values()) > len(text)
