"""Unified symbols of ccxt to terms, and back.

    BTC/USDT                      spot
    BTC/USDT:USDT                 linear perpetual, paid in USDT
    BTC/USD:BTC                   inverse perpetual, paid in BTC
    BTC/USDT:USDT-260327          linear future
    BTC/USD:BTC-260327-90000-C    inverse option

What is settled in its base is inverse, anything else linear. All expire at 08:00 UTC in cash, as at every venue of
coins that lists them. ccxt keeps the contract size beside the symbol, since it is another one at every venue, so the
symbol alone counts in units: one contract here is one unit of the base, or of an inverse future one unit of the quote
currency. Whoever reads ccxt's positions multiplies contracts by their size.

The decision a reader would question: a symbol is an instrument of its own, and not another spelling of a Deribit name:
`BTC/USD:BTC` counts dollars and `BTC-PERPETUAL` ten dollars. `deribit_name` says what Deribit calls the same risk.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

from crossmargin.basics.errors import CrossmarginError, Problem, SymbolError
from crossmargin.instruments.deribit import MONTHS, parse_deribit
from crossmargin.instruments.terms import (
    DatedFuture,
    Delivery,
    Instrument,
    On,
    Payoff,
    Perpetual,
    Right,
    Spot,
    Style,
    VanillaOption,
)

_CODE = r"[A-Z0-9]{1,32}"
CCXT_SYMBOL = re.compile(
    rf"({_CODE})/({_CODE})(?::({_CODE})(?:-([0-9]{{6}})(?:-([0-9]+(?:\.[0-9]+)?)-([CP]))?)?)?",
)
SPELLING = "Write it like BTC/USDT:USDT, BTC/USD:BTC-260327 or BTC/USD:BTC-260327-90000-C"
EXPIRY_HOUR_UTC = 8


def parse_ccxt(symbol: str, *, multiplier: Decimal | None = None) -> Instrument:
    """Terms of the contract that ccxt calls `symbol`.

    Parameters
    ----------
    symbol : str
        Unified symbol.
    multiplier : Decimal or None
        Units of the base, or of the quote currency for an inverse future, in one contract; 1 if not given.

    Raises
    ------
    SymbolError
        If it is no unified symbol; the message says which part is wrong.
    """
    match = CCXT_SYMBOL.fullmatch(symbol)
    if match is None:
        raise _error(symbol, "its parts are base/quote:settle-date-strike-right")
    base, quote, settle, day, strike_text, right = match.groups()
    size = Decimal(1) if multiplier is None else multiplier
    if settle is None:
        return Spot(name=symbol, underlying=base, quote_currency=quote, settlement_currency=quote, multiplier=size)
    if base == quote:
        raise _error(symbol, f"{base} cannot be quoted in itself")
    payoff = Payoff.INVERSE if settle == base else Payoff.LINEAR
    if day is None:
        return Perpetual(
            name=symbol,
            underlying=base,
            quote_currency=quote,
            settlement_currency=settle,
            payoff=payoff,
            multiplier=size,
        )
    try:
        expiry = datetime(2000 + int(day[:2]), int(day[2:4]), int(day[4:]), EXPIRY_HOUR_UTC, tzinfo=UTC)
    except ValueError:
        raise _error(symbol, f"'{day}' is no date; a date is YYMMDD") from None
    if strike_text is None:
        return DatedFuture(
            name=symbol,
            underlying=base,
            quote_currency=quote,
            settlement_currency=settle,
            payoff=payoff,
            multiplier=size,
            expiry=expiry,
        )
    strike = Decimal(strike_text)
    if not strike:
        raise _error(symbol, f"'{strike_text}' is no strike")
    return VanillaOption(
        name=symbol,
        underlying=base,
        quote_currency=quote,
        settlement_currency=settle,
        payoff=payoff,
        multiplier=size,
        expiry=expiry,
        strike=strike,
        right=Right.CALL if right == "C" else Right.PUT,
        style=Style.EUROPEAN,
        delivery=Delivery.CASH,
        on=On.INDEX,
    )


def ccxt_symbol(instrument: Instrument) -> str:
    """What ccxt would call `instrument`, from its terms; no check that some venue lists it."""
    symbol = f"{instrument.underlying}/{instrument.quote_currency}"
    if isinstance(instrument, Spot):
        return symbol
    symbol += f":{instrument.settlement_currency}"
    if isinstance(instrument, Perpetual):
        return symbol
    symbol += f"-{instrument.expiry:%y%m%d}"
    if isinstance(instrument, DatedFuture):
        return symbol
    strike = f"{instrument.strike:f}"
    strike = strike.rstrip("0").rstrip(".") if "." in strike else strike
    return f"{symbol}-{strike}-{'C' if instrument.right is Right.CALL else 'P'}"


def deribit_name(instrument: Instrument) -> str | None:
    """What Deribit calls a contract of the same terms but for its size, where its size is known; `None` if nothing."""
    inverse = instrument.payoff is Payoff.INVERSE
    parts = [instrument.underlying if inverse else f"{instrument.underlying}_{instrument.quote_currency}"]
    if inverse and instrument.quote_currency != "USD":
        return None
    if isinstance(instrument, Perpetual):
        parts.append("PERPETUAL")
    elif isinstance(instrument, DatedFuture | VanillaOption):
        expiry = instrument.expiry
        parts.append(f"{expiry.day}{MONTHS[expiry.month - 1]}{expiry:%y}")
    if isinstance(instrument, VanillaOption):
        strike = f"{instrument.strike.normalize():f}".replace(".", "d")
        parts += [strike, "C" if instrument.right is Right.CALL else "P"]
    try:
        meant = parse_deribit("-".join(parts))
        return meant.name if meant.settlement_currency == instrument.settlement_currency else None
    except CrossmarginError:
        return None


def _error(symbol: str, found: str) -> SymbolError:
    return SymbolError(Problem(found=f"'{symbol}' is no symbol of ccxt: {found}", needed=SPELLING, kind=SymbolError))
