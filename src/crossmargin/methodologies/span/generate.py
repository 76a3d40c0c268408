"""Risk arrays and composite deltas of our own, where a venue has prices and ranges but ships no file.

    loss_k = C_k x (price now - model(price + m_k x range, vol + v_k x vol range, time - look-ahead)) x value factor

with the multiples m_k, v_k and the covered part C_k of each of the 16 scenarios. What a reader might question: the
covered part is multiplied in here and nowhere else, as exchanges do it, so that an array of ours is read like theirs. A
future has no price drift in the scenarios without a move; arrays of an exchange may have one.

References
----------
cme-span: "Risk arrays", "Composite delta"
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray
from crossmargin.basics.errors import ParameterError, Problem, ShapeError, raise_problems
from crossmargin.methodologies.span.parameters import STANDARD_SCENARIOS, Scenarios
from crossmargin.revaluation.black import bachelier, bachelier_greeks, black76, black76_greeks

DELTA_POINTS = ((0.0, 0.270), (1 / 3, 0.217), (2 / 3, 0.111), (1.0, 0.037))
"""Price moves, up and down alike, and weights: the outer three read in an exchange's file, the centre by difference."""


class Model(StrEnum):
    """How options are priced: `BLACK76` on a forward price above 0, `BACHELIER` on a price of any sign."""

    BLACK76 = "black76"
    BACHELIER = "bachelier"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayRules:
    """How arrays are made.

    Parameters
    ----------
    scenarios : Scenarios
        Multiples of the ranges and covered parts.
    look_ahead_years : float
        Time that passes until the scenario.
    vol_relative : bool
        Whether the volatility range is a fraction of the volatility, and not added to it.
    """

    scenarios: Scenarios = STANDARD_SCENARIOS
    look_ahead_years: float = 1 / 365
    vol_relative: bool = False
    model: Model = Model.BLACK76


def array_rules(
    *,
    extreme_multiple: float = 3.0,
    extreme_cover: float = 0.33,
    look_ahead_days: float = 1.0,
    vol_relative: bool = False,
    model: Model = Model.BLACK76,
) -> ArrayRules:
    """Rules with an extreme move of so many ranges of which so much is covered.

    Raises
    ------
    ParameterError
        Listing what is out of range.
    """
    problems = [
        Problem(found=f"{what} is {value:g}", needed=f"It is {needed}.", kind=ParameterError)
        for what, value, fine, needed in (
            ("extreme multiple", extreme_multiple, 1 <= extreme_multiple <= 100, "from 1 to 100"),
            ("extreme cover", extreme_cover, 0 < extreme_cover <= 1, "above 0 and at most 1"),
            ("look-ahead in days", look_ahead_days, 0 <= look_ahead_days <= 365, "from 0 to 365"),
        )
        if not fine
    ]
    raise_problems(problems)
    standard = STANDARD_SCENARIOS
    scenarios = replace(
        standard,
        price=(*standard.price[:14], extreme_multiple, -extreme_multiple),
        cover=(*standard.cover[:14], extreme_cover, extreme_cover),
    )
    return ArrayRules(
        scenarios=scenarios, look_ahead_years=look_ahead_days / 365, vol_relative=vol_relative, model=model
    )


def linear_arrays(price_scan: FloatArray, value_factor: FloatArray, rules: ArrayRules) -> FloatArray:
    """Losses of one long future or physical, shape `(n, 16)`, money.

    Parameters
    ----------
    price_scan, value_factor : ndarray of shape (n,)
        Price scan range in price units, and money for one of them.
    """
    move = np.array(rules.scenarios.price) * np.array(rules.scenarios.cover)
    return 0.0 - np.outer(price_scan * value_factor, move)


def option_arrays(
    *,
    underlying: FloatArray,
    strike: FloatArray,
    is_call: BoolArray,
    vol: FloatArray,
    years: FloatArray,
    price: FloatArray,
    price_scan: FloatArray,
    vol_scan: FloatArray,
    value_factor: FloatArray,
    rules: ArrayRules,
) -> tuple[FloatArray, FloatArray]:
    """Losses and composite delta of one long option.

    Parameters
    ----------
    underlying, strike : ndarray of shape (n,)
        Price of what it is an option on, for delivery at its expiry, and its strike; price units.
    vol, years : ndarray of shape (n,)
        Volatility a year (in price units for Bachelier), time to expiry.
    price : ndarray of shape (n,)
        Where it stands now; NaN takes the model's price.
    price_scan, vol_scan : ndarray of shape (n,)
        Ranges.

    Returns
    -------
    loss : ndarray of shape (n, 16)
        Money; a gain is negative.
    delta : ndarray of shape (n,)
        Composite delta: the weighted delta over seven prices when the look-ahead time has passed; a put's is negative.

    Raises
    ------
    ShapeError
        If the arrays have different lengths.
    """
    columns = (underlying, strike, is_call, vol, years, price, price_scan, vol_scan, value_factor)
    if len({len(column) for column in columns}) > 1:
        raise ShapeError(f"columns of {', '.join(str(len(column)) for column in columns)} options")
    value = black76 if rules.model is Model.BLACK76 else bachelier
    greeks = black76_greeks if rules.model is Model.BLACK76 else bachelier_greeks
    later = np.maximum(0.0, years - rules.look_ahead_years)
    now = np.where(np.isnan(price), value(underlying, strike, vol * np.sqrt(years), is_call), price)

    loss = np.empty((len(strike), len(rules.scenarios.price)))
    for k, (move, direction, cover) in enumerate(
        zip(rules.scenarios.price, rules.scenarios.vol, rules.scenarios.cover, strict=True)
    ):
        moved = _moved(underlying, move * price_scan, rules)
        shifted = vol * (1 + direction * vol_scan) if rules.vol_relative else vol + direction * vol_scan
        then = value(moved, strike, np.maximum(0.0, shifted) * np.sqrt(later), is_call)
        loss[:, k] = cover * (now - then) * value_factor
    delta = np.zeros(len(strike))
    for move, weight in DELTA_POINTS:
        for sign in (1, -1) if move else (1,):
            moved = _moved(underlying, sign * move * price_scan, rules)
            delta += weight * greeks(moved, strike, vol, later, is_call).delta
    return loss, delta


_LEAST = 1e-9
"""Fraction of its price to which a scenario can lower a price that the model needs above 0."""


def _moved(underlying: FloatArray, move: FloatArray, rules: ArrayRules) -> FloatArray:
    moved = underlying + move
    return np.maximum(moved, _LEAST * underlying) if rules.model is Model.BLACK76 else moved
