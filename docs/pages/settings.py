"""The page of settings: every variable that a service reads, from its ``Settings`` class."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from local_stack.settings_example import SETTINGS, default_text
from pages.markdown import code, number, table

_HEAD: Final = """\
# Settings

Every setting is an environment variable of one service; its name begins with the service's. The example of a whole
environment, with the values of the local stack, is the file `.env.example` of the repository. `make run` sets all of
this by itself and reads no `.env` file. A service that lacks a setting, or is given one it cannot read, does not start
and names it; no value shows up in the message.

Settings of two services must agree: `*_KAFKA_PARTITIONS` is the same everywhere and is what the topics were created
with; `*_AUTH_ISSUERS` is the same everywhere, or a token is good in one place and refused in another.

"""
_OWNER: Final = "database_owner_url"
_BOUNDS: Final = (("ge", "at least {}"), ("gt", "more than {}"), ("le", "at most {}"), ("lt", "less than {}"))
_SECRET: Final = " **Secret.**"  # noqa: S105 - the word that marks one


def page() -> str:
    """Make the page."""
    return _HEAD + "\n".join(_section(service, model) for service, model in SETTINGS.items())


def _section(service: str, model: type[BaseSettings]) -> str:
    rows = (_row(service, name, field) for name, field in model.model_fields.items())
    return f"## {service.capitalize()}\n\n" + table(("variable", "default", "range", "what it is"), rows)


def _row(service: str, name: str, field: FieldInfo) -> tuple[str, str, str, str]:
    described = (field.description or "") + ("" if field.repr else _SECRET)
    return code(f"{service}_{name}".upper()), _default(name, field), "; ".join(_ranges(field)), described


def _default(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "**must be set**"
    if name == _OWNER:
        return "unset"
    default = default_text(field)
    return code(default) if default else "see there"


def _ranges(field: FieldInfo) -> Iterator[str]:
    if get_origin(field.annotation) is Literal:
        yield ", ".join(code(choice) for choice in get_args(field.annotation))
    yield from _bounds(field.metadata)


def _bounds(metadata: Iterable[Any]) -> Iterator[str]:
    for bound in metadata:
        for name, told in _BOUNDS:
            if (value := getattr(bound, name, None)) is not None:
                yield told.format(number(value))
