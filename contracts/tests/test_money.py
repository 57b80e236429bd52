"""Money as the contract takes it."""

import pytest
from pydantic import TypeAdapter, ValidationError

from production_contracts.money import CURRENCIES, LARGEST_AMOUNT, Currency

ADAPTER: TypeAdapter[str] = TypeAdapter(Currency)


@pytest.mark.parametrize("code", sorted(CURRENCIES))
def test_a_currency_is_known_by_its_code_of_three_capitals(code: str) -> None:
    assert ADAPTER.validate_python(code) == code


@pytest.mark.parametrize(
    "code", ["", "eur", "EU", "EURO", "EUR ", "EUR\n", "ABC", "XXX", "XTS", "XAU", "978", "\u20ac", 978, None]
)
def test_what_is_no_code_of_a_currency_is_refused(code: object) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(code)


def test_the_currencies_of_the_calendars_at_hand_are_there() -> None:
    assert {"EUR", "USD", "GBP", "CHF", "JPY", "SEK", "KWD", "XOF"} <= CURRENCIES
    assert len(CURRENCIES) > 150


def test_every_amount_is_a_number_that_a_double_holds_exactly() -> None:
    assert LARGEST_AMOUNT < 2**53
    assert int(float(LARGEST_AMOUNT)) == LARGEST_AMOUNT
