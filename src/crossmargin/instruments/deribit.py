"""Deribit instrument names to terms, and back.

    BTC-27MAR26-90000-C       inverse option, 1 BTC, strike in USD, premium and payoff in BTC
    BTC-27MAR26               inverse future, 10 USD, paid in BTC
    BTC-PERPETUAL             inverse perpetual, 10 USD, paid in BTC
    SOL_USDC-27MAR26-150-C    linear option, 10 SOL, in USDC
    XRP_USDC-30JUN25-2d5-C    a strike of 2.5: `d` is the decimal point
    BTC_USDC-PERPETUAL        linear perpetual, 0.001 BTC, in USDC
    BTC_USDC                  spot

All expire at 08:00 UTC and settle in cash against Deribit's index. A name must be spelled exactly as Deribit
does, so that one contract has one name. Linear contracts net under the coin, with the inverse ones: Deribit
has settled BTC_USDC and ETH_USDC on the USD index since 15 July 2025.

The decision a reader would question: a contract size that no source tells us is not guessed (a wrong guess is
a margin wrong by that factor). Then the caller states `multiplier`, or gets an `UnsupportedError`.
"""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from crossmargin.basics.errors import InputError, Problem, SymbolError, UnsupportedError
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

EXPIRY_HOUR_UTC = 8
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
SPELLING = "Write it exactly as Deribit does, like BTC-27MAR26-90000-C, BTC-27MAR26, BTC-PERPETUAL or BTC_USDC"

# Contract sizes, by underlying and quote currency: facts, each with its source.
#
# Inverse futures and perpetuals, USD per contract.
# BTC: public/get_instruments, `contract_size` 10.0 for BTC-PERPETUAL and BTC-27DEC24, as stored in
#   nautilus_trader crates/adapters/deribit/test_data/http_get_instruments.json; also Deribit, "Deribit
#   Perpetual", https://www.deribit.com/pages/docs/perpetual ("contract size USD 10").
# ETH: Deribit API, ETH-PERPETUAL, `contractSize` 1, on 2019-05-07, as quoted in
#   https://github.com/instabot42/instabot-trader/issues/24
_INVERSE_FUTURE_SIZE = {("BTC", "USD"): Decimal(10), ("ETH", "USD"): Decimal(1)}
# Inverse options, coins per contract: Deribit Insights, "USDC settled altcoin options: live trade examples"
# ("the contract multiplier for the existing BTC and ETH options has always been 1").
_INVERSE_OPTION_SIZE = {("BTC", "USD"): Decimal(1), ("ETH", "USD"): Decimal(1)}
# Linear futures and perpetuals, coins per contract. BTC_USDC: public/get_instrument of BTC_USDC-PERPETUAL on
#   2025-07-09, `contract_size` 0.001. Dated linear futures: no source seen, so not here.
_LINEAR_PERPETUAL_SIZE = {("BTC", "USDC"): Decimal("0.001")}
_LINEAR_FUTURE_SIZE: dict[tuple[str, str], Decimal] = {}
# Linear options, coins per contract.
# SOL, XRP, MATIC: Deribit Insights (as above), March 2024; SOL also in Deribit Support 25944750999581,
#   "Linear USDC Options". AVAX, TRX: Cryptopolitan, 2026-01-14, on Deribit's announcement.
_LINEAR_OPTION_SIZE = {
    ("SOL", "USDC"): Decimal(10),
    ("XRP", "USDC"): Decimal(1_000),
    ("MATIC", "USDC"): Decimal(1_000),
    ("AVAX", "USDC"): Decimal(100),
    ("TRX", "USDC"): Decimal(10_000),
}
_SIZES = {
    (Payoff.INVERSE, "future"): _INVERSE_FUTURE_SIZE,
    (Payoff.INVERSE, "perpetual"): _INVERSE_FUTURE_SIZE,
    (Payoff.INVERSE, "option"): _INVERSE_OPTION_SIZE,
    (Payoff.LINEAR, "future"): _LINEAR_FUTURE_SIZE,
    (Payoff.LINEAR, "perpetual"): _LINEAR_PERPETUAL_SIZE,
    (Payoff.LINEAR, "option"): _LINEAR_OPTION_SIZE,
}
_LINEAR_QUOTES = ("USDC", "USDT")
_RIGHTS = {"C": Right.CALL, "P": Right.PUT}

_CURRENCY = re.compile(r"[0-9]*[A-Z][A-Z0-9]*")
_EXPIRY = re.compile(r"([0-9]{1,2})([A-Z]+)([0-9]{2})")
_STRIKE = re.compile(r"([1-9][0-9]*|0)(?:d([0-9]*[1-9]))?")
_DECIMAL_POINT = re.compile(r"(?<=[0-9])D(?=[0-9]+-[CP]$)")
_COMBO_CODE = re.compile(r"[A-Z][A-Z0-9]*")


class _PartError(Exception):
    """One part of a name is wrong; says which, as a clause."""


def parse_deribit(symbol: str, *, multiplier: Decimal | None = None) -> Instrument:
    """Terms of the instrument that Deribit calls `symbol`.

    Parameters
    ----------
    symbol : str
        Exact name.
    multiplier : Decimal or None
        Contract size where the caller knows it; needed for linear contracts whose size is not in our table.

    Raises
    ------
    SymbolError
        If it is no Deribit name; the message says which part is wrong.
    UnsupportedError
        If it is a combo, or a contract whose size is not known.
    InputError
        If `multiplier` contradicts the contract size that Deribit states.
    """
    try:
        return _parse(symbol, multiplier)
    except _PartError as error:
        raise SymbolError(Problem(found=f"'{symbol}' is no Deribit name: {error}", needed=SPELLING)) from None


def _parse(symbol: str, multiplier: Decimal | None) -> Instrument:
    head, *rest = symbol.split("-")
    if not symbol.isupper() and symbol != (upper := _DECIMAL_POINT.sub("d", symbol.upper())):
        raise _PartError(f"names are upper case; did you mean '{upper}'?")
    underlying, quote = _head(head)
    if not rest:
        if quote == "USD":
            raise _PartError(f"'{head}' alone names no instrument")
        return Spot(
            name=symbol,
            underlying=underlying,
            quote_currency=quote,
            settlement_currency=quote,
            multiplier=_checked(symbol, Decimal(1), multiplier),
        )

    payoff = Payoff.INVERSE if quote == "USD" else Payoff.LINEAR
    settlement = underlying if payoff is Payoff.INVERSE else quote
    if payoff is Payoff.LINEAR and quote not in _LINEAR_QUOTES:
        raise _PartError(f"linear contracts are in {' or '.join(_LINEAR_QUOTES)}, not {quote}")

    if rest == ["PERPETUAL"]:
        return Perpetual(
            name=symbol,
            underlying=underlying,
            quote_currency=quote,
            settlement_currency=settlement,
            payoff=payoff,
            multiplier=_size(symbol, payoff, "perpetual", underlying, quote, multiplier),
        )
    if len(rest) == 1:
        return DatedFuture(
            name=symbol,
            underlying=underlying,
            quote_currency=quote,
            settlement_currency=settlement,
            payoff=payoff,
            expiry=_expiry(rest[0]),
            multiplier=_size(symbol, payoff, "future", underlying, quote, multiplier),
        )
    right = _RIGHTS.get(rest[-1])
    if right is None and _COMBO_CODE.fullmatch(rest[0]) and rest[0] != "PERPETUAL":
        problem = Problem(found=f"'{symbol}' is a combo", needed="Give its legs, each as a position of its own")
        raise UnsupportedError(problem)
    if len(rest) != 3:
        raise _PartError(f"it has {len(rest) + 1} parts; an option has 4: coin, expiry, strike, C or P")
    if right is None:
        raise _PartError(f"'{rest[2]}' is neither C (call) nor P (put)")
    return VanillaOption(
        name=symbol,
        underlying=underlying,
        quote_currency=quote,
        settlement_currency=settlement,
        payoff=payoff,
        expiry=_expiry(rest[0]),
        strike=_strike(rest[1]),
        right=right,
        multiplier=_size(symbol, payoff, "option", underlying, quote, multiplier),
        style=Style.EUROPEAN,
        delivery=Delivery.CASH,
        on=On.INDEX,
    )


@lru_cache(maxsize=1024)
def _head(text: str) -> tuple[str, str]:
    """Underlying and quote currency: `BTC` is in USD, `BTC_USDC` says it."""
    underlying, mark, quote = text.partition("_")
    if not _CURRENCY.fullmatch(underlying):
        raise _PartError(f"'{underlying}' is no coin")
    if not mark:
        return underlying, "USD"
    if not _CURRENCY.fullmatch(quote):
        raise _PartError(f"'{quote}' is no currency")
    if quote == "USD":
        raise _PartError(f"contracts in USD have no '_USD'; write {underlying}")
    if quote == underlying:
        raise _PartError(f"{underlying} cannot be quoted in itself")
    return underlying, quote


@lru_cache(maxsize=4096)
def _expiry(text: str) -> datetime:
    match = _EXPIRY.fullmatch(text)
    if match is None:
        raise _PartError(f"'{text}' is no expiry; an expiry is like 27MAR26")
    day_text, month_text, year_text = match.groups()
    if month_text not in MONTHS:
        raise _PartError(f"'{month_text}' in '{text}' is no month; months are {', '.join(MONTHS)}")
    if day_text.startswith("0"):
        raise _PartError(f"the day in '{text}' has no leading zero; write {text.lstrip('0')}")
    year = 2000 + int(year_text)
    try:
        return datetime(year, MONTHS.index(month_text) + 1, int(day_text), EXPIRY_HOUR_UTC, tzinfo=UTC)
    except ValueError:
        raise _PartError(f"{month_text} {year} has no day {day_text}") from None


@lru_cache(maxsize=16384)
def _strike(text: str) -> Decimal:
    match = _STRIKE.fullmatch(text)
    if match is None or text == "0":
        raise _PartError(f"'{text}' is no strike; a strike is like 90000, or 2d5 for 2.5")
    whole, decimals = match.groups()
    return Decimal(f"{whole}.{decimals}") if decimals else Decimal(whole)


def _size(symbol: str, payoff: Payoff, kind: str, underlying: str, quote: str, multiplier: Decimal | None) -> Decimal:
    known = _SIZES[payoff, kind].get((underlying, quote))
    if known is not None:
        return _checked(symbol, known, multiplier)
    if multiplier is not None:
        return multiplier
    found = f"the contract size of '{symbol}' ({payoff} {kind} on {underlying} in {quote}) is not known"
    needed = "State it as `multiplier` in the plain market file"
    raise UnsupportedError(Problem(found=found, needed=needed, column="multiplier"))


def _checked(symbol: str, known: Decimal, stated: Decimal | None) -> Decimal:
    if stated is not None and stated != known:
        found = f"'{symbol}' is stated with multiplier {stated}, but Deribit's contract size is {known}"
        raise InputError(Problem(found=found, needed="Leave it out, or correct it", column="multiplier"))
    return known


def deribit_symbol(instrument: Instrument) -> str:
    """Deribit's name for `instrument`, from its terms; its present name does not matter.

    Raises
    ------
    SymbolError
        If Deribit lists no such contract: its name would mean other terms.
    """
    inverse = instrument.payoff == Payoff.INVERSE
    parts = [instrument.underlying if inverse else f"{instrument.underlying}_{instrument.quote_currency}"]
    match instrument:
        case Perpetual():
            parts.append("PERPETUAL")
        case DatedFuture(expiry=expiry):
            parts.append(_expiry_text(expiry))
        case VanillaOption(expiry=expiry, strike=strike, right=right):
            parts += [_expiry_text(expiry), _strike_text(strike), "C" if right == Right.CALL else "P"]
        case Spot():
            pass
    symbol = "-".join(parts)
    try:
        meant = parse_deribit(symbol, multiplier=instrument.multiplier)
    except (InputError, UnsupportedError) as error:
        found = f"instrument '{instrument.name}' has no Deribit name: {error}"
        raise SymbolError(found) from None
    differing = [
        f"{field.name} {getattr(instrument, field.name)} (Deribit: {getattr(meant, field.name)})"
        for field in fields(meant)
        if field.name != "name" and getattr(instrument, field.name) != getattr(meant, field.name)
    ]
    if differing:
        found = f"instrument '{instrument.name}' has no Deribit name: '{symbol}' would differ in "
        raise SymbolError(found + ", ".join(differing))
    return symbol


def _expiry_text(expiry: datetime) -> str:
    return f"{expiry.day}{MONTHS[expiry.month - 1]}{expiry.year % 100:02d}"


def _strike_text(strike: Decimal) -> str:
    text = f"{strike:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace(".", "d")
