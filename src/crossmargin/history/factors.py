"""Risk factors: what moves, by name, and how its changes are measured.

A factor is called `kind:subject`: `price:BTC`, `vol:BTC`, `rate:USD-10Y`. A name without a kind is a price. What one
might question: a relative change is the logarithm of the ratio, so that changes add up over days and a scaled one never
takes a price below 0. What can be 0 or negative itself (a rate, a spread, crude oil in April 2020) changes absolutely.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from crossmargin.basics.errors import InputError, Problem


class Change(StrEnum):
    """How a factor's change is measured, and applied to today's level.

    `RELATIVE`: `ln(new / old)`, applied as `level * exp(change)`. `ABSOLUTE`: `new - old`, applied as `level + change`.
    """

    RELATIVE = "relative"
    ABSOLUTE = "absolute"


KINDS: dict[str, Change] = {
    "price": Change.RELATIVE,
    "forward": Change.RELATIVE,
    "vol": Change.RELATIVE,
    "skew": Change.ABSOLUTE,
    "term": Change.ABSOLUTE,
    "rate": Change.ABSOLUTE,
    "fx": Change.RELATIVE,
    "basis": Change.ABSOLUTE,
    "funding": Change.ABSOLUTE,
}
"""Kinds of factors and how each changes unless something else is stated.

* `price:X` the price of underlying X, or of the instrument called X; `forward:X-27MAR26` that of one expiry;
* `vol:X` the level of its implied volatilities, `skew:X` volatility by `ln(strike / forward) / sqrt(years)`,
  `term:X` volatility by `sqrt(30 days / time to expiry) - 1`;
* `rate:CCY` the zero rate that discounts, a decimal; `fx:CCY` US dollars for one unit;
* `basis:X` the yearly yield of its futures over its price, `funding:X` the premium of its perpetual, decimals.
"""


@dataclass(frozen=True, slots=True, order=True)
class Factor:
    """One risk factor.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    subject : str
        Underlying, instrument or currency.
    change : Change
        How it changes.
    """

    kind: str
    subject: str
    change: Change

    @property
    def name(self) -> str:
        """`kind:subject`."""
        return f"{self.kind}:{self.subject}"


def factor_of(text: str, change: Change | None = None) -> Factor:
    """The factor that is called so.

    Raises
    ------
    InputError
        If its kind is unknown or its subject is empty.
    """
    kind, colon, subject = text.strip().partition(":")
    if not colon:
        kind, subject = "price", kind
    kind, subject = kind.strip().lower(), subject.strip()
    if kind not in KINDS or not subject:
        raise InputError(
            Problem(
                found=f"'{text}' names no risk factor",
                needed=f"Write kind:subject, like price:BTC; kinds are {', '.join(KINDS)}.",
            )
        )
    return Factor(kind=kind, subject=subject, change=change or KINDS[kind])
