"""Money: an amount in the minor unit of its currency, and the currency's code.

Source: ISO 4217. How many digits the minor unit has is the currency's own affair (EUR 2, JPY 0, KWD 3); nothing here
counts in major units, so nothing here rounds.
"""

from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

LARGEST_AMOUNT: Final = 10**15 - 1
"""The most of a minor unit: below 2^53, so that every JSON parser reads it exactly (RFC 8259, section 6)."""

CURRENCIES: Final = frozenset(
    """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD
    CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS
    GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD
    KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK
    NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP
    STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST
    XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
    """.split()  # noqa: SIM905 - a list of quoted codes is longer and says no more
)
"""The alphabetic codes that pay: those of ISO 4217 in use in 2026, without metals, units of account and test codes.

It grows only: a code that is withdrawn one day is still taken, as bookings may name it.
"""


def _refuse_unknown(code: str) -> str:
    if code not in CURRENCIES:
        message = "not an alphabetic code of ISO 4217, such as EUR"
        raise ValueError(message)
    return code


Amount = Annotated[
    int,
    Field(
        strict=True,
        ge=0,
        le=LARGEST_AMOUNT,
        description="In the currency's minor unit (ISO 4217): 150000 is EUR 1,500.00",
    ),
]
Currency = Annotated[
    str,
    StringConstraints(strict=True, pattern="^[A-Z]{3}$"),
    AfterValidator(_refuse_unknown),
    Field(description="An alphabetic code of ISO 4217, such as EUR"),
]
