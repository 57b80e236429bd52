"""Text as the contract takes it."""

import pytest
from pydantic import TypeAdapter, ValidationError

from production_contracts.text import (
    ArtistName,
    ContactName,
    EmailAddress,
    Notes,
    PhoneNumber,
    Reason,
    TimeZone,
    Title,
    Venue,
)

Kind = TypeAdapter[str]

LONGEST: list[tuple[Kind, int]] = [
    (TypeAdapter(Title), 200),
    (TypeAdapter(Venue), 200),
    (TypeAdapter(Notes), 10_000),
    (TypeAdapter(Reason), 1_000),
    (TypeAdapter(ArtistName), 200),
    (TypeAdapter(ContactName), 200),
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


@pytest.mark.parametrize("kind", [TypeAdapter(Title), TypeAdapter(ArtistName), TypeAdapter(ContactName)])
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


@pytest.mark.parametrize(
    "address",
    ["ana@example.org", "a@b", "Ana.Sommer+tour@mail.example.co.uk", "анна@пример.рф", "x" * 64 + "@" + "y" * 255],
)
def test_an_address_has_one_at_between_two_parts(address: str) -> None:
    assert TypeAdapter(EmailAddress).validate_python(address) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "ana", "@", "ana@", "@example.org", "a@b@c", "a b@c", "a@b ", " a@b", "a@b\n", "a\x00@b", "a\x1f@b"),
        *("x" * 65 + "@y", "x@" + "y" * 256, "Ana <ana@example.org>", "a@b\u3000"),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(EmailAddress).validate_python(text)


@pytest.mark.parametrize(
    "number",
    ["+493012345678", "030 123 456-78", "(030) 12.34/56", "+49 (0)30 12 34", "110", "1" * 20, "+1 (555) 010-9999"],
)
def test_a_number_is_digits_and_what_people_write_between_them(number: str) -> None:
    assert TypeAdapter(PhoneNumber).validate_python(number) == number


@pytest.mark.parametrize(
    "text",
    [
        *("", "11", "+", "++4930", "call me", "030x12", "+49 30 \n12", "٠٣٠١٢٣", "1" * 21, "1" + " " * 38 + "23"),
        *("030\x001", "tel:+4930", " 030"),
    ],
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(PhoneNumber).validate_python(text)


@pytest.mark.parametrize("kind", [TypeAdapter(EmailAddress), TypeAdapter(PhoneNumber)])
@pytest.mark.parametrize("text", ["0" * 20 + " " * 19 + "0" * 20, "(" * 40, "1 " * 20 + "x", "@" * 320, "a" * 100_000])
def test_no_text_keeps_a_pattern_busy(kind: Kind, text: str) -> None:
    with pytest.raises(ValidationError):
        kind.validate_python(text)
