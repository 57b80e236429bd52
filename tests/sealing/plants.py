"""Plaintexts to look for: one in every sealed field that the contracts know, and the forms it could be found in."""

import base64
import random
import secrets
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Union

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from production_contracts.bookings import BookingRequest
from production_contracts.sealed import sensitive_fields


@dataclass
class Plants:
    """What was planted: texts that all hold one word which stands nowhere else, and numbers that are as rare."""

    word: str = field(default_factory=lambda: f"plant{secrets.token_hex(8)}")
    numbers: list[int] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)
    _count: int = 0

    def text(self) -> str:
        """Make a text to plant."""
        self._count += 1
        return f"{self.word}x{self._count}"

    def booking(self) -> dict[str, Any]:
        """State every sealed field of a booking, each of its leaves a plant, as far as its type lets it be one."""
        return {
            name: self._fill(name, BookingRequest.model_fields[name])
            for name in sorted({path.partition(".")[0] for path in sensitive_fields(BookingRequest)})
        }

    def patterns(self) -> list[bytes]:
        """Name what must not be found: each plant as it is, in hex, and in base64 at each of its three offsets."""
        plain = [self.word.encode(), *(str(number).encode() for number in self.numbers)]
        return [form for one in plain for form in (one, one.hex().encode(), *base64_forms(one))]

    def _fill(self, path: str, info: FieldInfo) -> Any:  # noqa: ANN401 - JSON
        model = next(
            (one for one in _kinds(info.annotation) if isinstance(one, type) and issubclass(one, BaseModel)), None
        )
        if model is not None:
            return {name: self._fill(f"{path}.{name}", inner) for name, inner in model.model_fields.items()}
        adapter: TypeAdapter[Any] = TypeAdapter(info.rebuild_annotation())
        for candidate in self._candidates():
            try:
                adapter.validate_json(TypeAdapter(type(candidate)).dump_json(candidate))
            except ValidationError:
                continue
            if isinstance(candidate, int):
                self.numbers.append(candidate)
            elif candidate.lstrip("+").isdecimal():
                self.numbers.append(int(candidate))
            if self.word in str(candidate) or isinstance(candidate, int) or candidate.startswith("+"):
                self.fields.append(path)
            return candidate
        message = f"nothing that can be planted in {path} is taken: add a candidate"
        raise AssertionError(message)

    def _candidates(self) -> Iterator[str | int]:
        yield self.text()
        yield f"{self.text()}@example.org"
        for digits in (15, 13, 12, 10):
            number = random.SystemRandom().randrange(10 ** (digits - 1), 10**digits)
            yield number
            yield f"+{number}"
        yield "EUR"


def _kinds(annotation: Any) -> list[Any]:  # noqa: ANN401 - an annotation
    """Give what an annotation may be, without what is said about it."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _kinds(typing.get_args(annotation)[0])
    if origin in {Union, types.UnionType}:
        return [kind for one in typing.get_args(annotation) for kind in _kinds(one)]
    return [annotation]


def base64_forms(plain: bytes) -> Iterator[bytes]:
    """Give what of base64 follows from a text alone, whatever stands before and after it."""
    for offset in range(3):
        encoded = base64.b64encode(b"\x00" * offset + plain)
        first = -(-offset * 8 // 6)
        yield encoded[first : (offset + len(plain)) * 8 // 6]
