"""Derive instrument names to terms.

    BTC-20260327-90000-C     option on 1 BTC, strike in USDC, premium and payoff in USDC
    BTC-PERP                 perpetual on 1 BTC, in USDC

Options expire at 08:00 UTC and settle in cash on the index; the decimal point of a strike may be written `.` or `_`.
Everything is linear, paid in USDC, and an amount of 1 is one unit of the underlying: there is no contract size to know.

The decision a reader would question: these names stay as they are, and are not turned into those of Deribit. An option
of Derive pays USDC and one of Deribit on the same strike pays coin: they are two contracts that net under one
underlying.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

from crossmargin.basics.errors import Problem, SymbolError
from crossmargin.instruments.terms import (
    Delivery,
    Instrument,
    On,
    Payoff,
    Perpetual,
    Right,
    Style,
    VanillaOption,
)

DERIVE_NAME = re.compile(r"([A-Z0-9]+)-(?:PERP|([0-9]{8})-([0-9]+(?:[._][0-9]+)?)-([CP]))")
SPELLING = "Write it like BTC-20260327-90000-C or BTC-PERP"
EXPIRY_HOUR_UTC = 8
CURRENCY = "USDC"


def parse_derive(name: str) -> Instrument:
    """Terms of the instrument that Derive calls `name`.

    Raises
    ------
    SymbolError
        If it is no name of Derive's; the message says what is wrong.
    """
    match = DERIVE_NAME.fullmatch(name)
    if match is None:
        raise _error(name, "it is neither an option nor a perpetual")
    underlying, day, strike_text, right = match.groups()
    if day is None:
        return Perpetual(
            name=name,
            underlying=underlying,
            quote_currency=CURRENCY,
            settlement_currency=CURRENCY,
            payoff=Payoff.LINEAR,
            multiplier=Decimal(1),
        )
    try:
        expiry = datetime(int(day[:4]), int(day[4:6]), int(day[6:]), EXPIRY_HOUR_UTC, tzinfo=UTC)
    except ValueError:
        raise _error(name, f"'{day}' is no date") from None
    strike = Decimal(strike_text.replace("_", "."))
    if not strike:
        raise _error(name, f"'{strike_text}' is no strike")
    return VanillaOption(
        name=name,
        underlying=underlying,
        quote_currency=CURRENCY,
        settlement_currency=CURRENCY,
        payoff=Payoff.LINEAR,
        multiplier=Decimal(1),
        expiry=expiry,
        strike=strike,
        right=Right.CALL if right == "C" else Right.PUT,
        style=Style.EUROPEAN,
        delivery=Delivery.CASH,
        on=On.INDEX,
    )


def _error(name: str, found: str) -> SymbolError:
    return SymbolError(Problem(found=f"'{name}' is no Derive name: {found}", needed=SPELLING, kind=SymbolError))
