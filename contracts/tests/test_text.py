"""Text as the contract takes it."""

import pytest
from pydantic import TypeAdapter, ValidationError

from production_contracts.text import ArtistName, Notes, Reason, TimeZone, Title, Venue

Kind = TypeAdapter[str]

LONGEST: list[tuple[Kind, int]] = [
    (TypeAdapter(Title), 200),
    (TypeAdapter(Venue), 200),
    (TypeAdapter(Notes), 10_000),
    (TypeAdapter(Reason), 1_000),
    (TypeAdapter(ArtistName), 200),
]


@pytest.mark.parametrize(("kind", "longest"), LONGEST)
def test_length_is_counted_in_code_points(kind: Kind, longest: int) -> None:
    assert kind.validate_python("𝄞" * longest) == "𝄞" * longest
    with pytest.raises(ValidationError):
        kind.validate_python("a" * (longest + 1))


@pytest.mark.parametrize("kind", [kind for kind, _ in LONGEST])
def test_nul_is_refused_wherever_it_stands(kind: Kind) -> None:
    for text in ("\x00", "a\x00b", "a\x00"):
        with pytest.raises(ValidationError, match="NUL"):
            kind.validate_python(text)
    with pytest.raises(ValidationError, match="NUL"):
        kind.validate_json(r'"a\u0000b"')


@pytest.mark.parametrize("kind", [kind for kind, _ in LONGEST])
@pytest.mark.parametrize("value", [1, 1.5, True, b"a", None, ["a"], "\ud800"])
def test_what_is_no_text_is_refused_and_not_made_one(kind: Kind, value: object) -> None:
    with pytest.raises(ValidationError):
        kind.validate_python(value)


@pytest.mark.parametrize("kind", [TypeAdapter(Title), TypeAdapter(ArtistName)])
@pytest.mark.parametrize("blank", ["", " ", "\t\n", "\u3000"])
def test_a_title_and_a_name_are_not_blank(kind: Kind, blank: str) -> None:
    with pytest.raises(ValidationError):
        kind.validate_python(blank)


def test_text_is_kept_as_it_was_given() -> None:
    assert TypeAdapter(Title).validate_python("  Nachtkonzert e\u0301 ") == "  Nachtkonzert e\u0301 "


def test_a_time_zone_is_a_name_of_the_iana_database() -> None:
    adapter: TypeAdapter[str] = TypeAdapter(TimeZone)
    assert adapter.validate_python("Europe/Berlin") == "Europe/Berlin"
    for name in ("europe/berlin", "Mars/Base", "../../etc/passwd", "UTC+2", "", "Europe/Berlin\x00"):
        with pytest.raises(ValidationError):
            adapter.validate_python(name)
