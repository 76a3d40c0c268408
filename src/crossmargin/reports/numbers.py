"""Figures as people read them: the same in the terminal and on a page.

    1,234,567.89   money at the cent; the currency stands in the header
    −1,234.50      a loss has a minus sign (U+2212), never parentheses
    0              nothing
    –              unknown, or a ratio to nothing

What is asked of an account is rounded up to the cent, what it has left is rounded down: against the account, once,
here. Figures closer to a cent than a millionth of it are that cent: the noise of floating point asks for nothing.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal

import numpy as np

from crossmargin.basics.arrays import FloatArray

MINUS = "\N{MINUS SIGN}"
UNKNOWN = "\N{EN DASH}"

CENT = Decimal("0.01")
_NOISE = Decimal("1e-8")
_WIDE = Context(prec=60)


def requirement_cents(value: float) -> Decimal:
    """A requirement in whole cents, rounded up: against the account."""
    return _cents(value, ROUND_CEILING)


def available_cents(value: float) -> Decimal:
    """Equity, excess or collateral in whole cents, rounded down: against the account."""
    return _cents(value, ROUND_FLOOR)


def requirement_total(values: FloatArray) -> Decimal:
    """Sum of requirements, each rounded up to the cent: what a column of `requirement` cells adds up to."""
    cents = np.ceil(np.round(values * 100, 6))  # the noise of `requirement_cents`, in cents
    return Decimal(int(cents.sum())) / 100


def _cents(value: float, rounding: str) -> Decimal:
    exact = Decimal(float(value)).quantize(_NOISE, context=_WIDE)
    return exact.quantize(CENT, rounding=rounding, context=_WIDE)


def requirement(value: float | None) -> str:
    """A requirement, rounded up to the cent: `12,345.68`."""
    return UNKNOWN if value is None or _unknown(value) else money(requirement_cents(value))


def available(value: float | None) -> str:
    """What is available to the account, rounded down to the cent: `−1.23`."""
    return UNKNOWN if value is None or _unknown(value) else money(available_cents(value))


def money(value: float | Decimal | None, *, decimals: int = 2, signed: bool = False) -> str:
    """An amount with thousands separated, half up at its last decimal.

    Examples
    --------
    >>> money(-1234.5), money(0.001), money(None), money(7, signed=True)
    ('−1,234.50', '0', '–', '+7.00')
    """
    if value is None or _unknown(value):
        return UNKNOWN
    exact = value if isinstance(value, Decimal) else Decimal(float(value))
    rounded = exact.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP, context=_WIDE)
    if not rounded:
        return "0"
    sign = MINUS if rounded < 0 else "+" if signed else ""
    return f"{sign}{abs(rounded):,f}"


def percent(value: float | None, *, decimals: int = 1, signed: bool = False) -> str:
    """A ratio in percent: `0.4215` is `42.2%`; a ratio to nothing is unknown.

    Examples
    --------
    >>> percent(0.4215), percent(-0.16, decimals=0), percent(float("inf"))
    ('42.2%', '−16%', '–')
    """
    if value is None or _unknown(value):
        return UNKNOWN
    return money(Decimal(repr(float(value))) * 100, decimals=decimals, signed=signed) + "%"


def move(value: float) -> str:
    """A price move with its sign and no decimal that is not needed: `−13.5%`, `+16%`, `0%`."""
    text = money(Decimal(repr(float(value))) * 100, decimals=4, signed=True)
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "%"


def price(value: float | None) -> str:
    """A price level: whole above 1,000, with more decimals the smaller it is."""
    if value is None or _unknown(value):
        return UNKNOWN
    size = abs(value)
    return money(value, decimals=0 if size >= 1000 else 2 if size >= 1 else 6)


def plain(value: float) -> str:
    """A figure without unit (a factor, a share): up to six significant digits."""
    if _unknown(value):
        return UNKNOWN
    return f"{float(value) + 0.0:,.6g}".replace("-", MINUS)


def figure(value: float, unit: str, home: str) -> str:
    """A figure of a calculation: money in the currency `home`, an amount of something else with its unit.

    Examples
    --------
    >>> figure(1234.5, "USD", "USD"), figure(0.0125, "BTC", "USD"), figure(0.0125, "", "USD")
    ('1,234.50', '0.0125 BTC', '0.0125')
    """
    return money(value) if unit and unit == home else f"{plain(value)} {unit}".rstrip()


def quantity(text: str) -> str:
    """A quantity as `basics.quantities.format_quantity` writes it, with thousands and a minus sign."""
    whole, _, fraction = text.removeprefix("-").partition(".")
    sign = MINUS if text.startswith("-") else ""
    return sign + f"{int(whole):,}" + (f".{fraction}" if fraction else "")


def signs(text: str) -> str:
    """Words with numbers in them, hyphens before digits made minus signs: `BTC -16%` to `BTC −16%`."""
    return "".join(
        MINUS if char == "-" and text[k + 1 : k + 2].isdigit() and (k == 0 or text[k - 1] in " ('") else char
        for k, char in enumerate(text)
    )


def _unknown(value: float | Decimal) -> bool:
    return not math.isfinite(value)
