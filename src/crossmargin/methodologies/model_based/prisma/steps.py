"""The rules, step by step: small functions on P&L of shape `(n_units, n_scenarios)` and on figures of sub-samples.

    VaR_c = max(0, -quantile), plotting positions (i - 1/2) / n, linear between
    PMR   = VaR_c-low x t_nu(c-target) / t_nu(c-low)
    e_i   = VaR of a rolling window less VaR of all, where positive;   MER = sqrt(mean of e_i^2 over those)
    CB    = min(max(kappa MER, low x PMR), high x PMR)
    model error     = sqrt(sum of (quantity x error of one contract)^2)
    liquidity       = alpha x sum over positions of (factor of its size x its VaR alone + half its spread)
    alpha           = max(floor, VaR of all / sum of VaR of each alone)

The decision a reader would question: the quantile at a low level is scaled up by Student's t, not read off at the
target: few scenarios say more about 95% than about 99%. As two public replications have it, not the clearing house's
own guide.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from math import floor

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.dependence.research import research


class Aggregate(StrEnum):
    """How figures of sub-samples make one: their mean, the largest, or the one in the middle."""

    MEAN = "mean"
    LARGEST = "largest"
    MEDIAN = "median"


@lru_cache(maxsize=256)
def quantile_place(level: Decimal | float, n_scenarios: int) -> tuple[int, int, float]:
    """Between which order statistics the quantile lies, smallest first and from 0, and the weight of the second.

    At plotting positions `(i - 1/2) / n`; the smallest itself below the first of them.
    """
    # Exact: as floats, 5% of 750 less a half would lie a little beyond the 37th.
    place = (1 - Fraction(str(level))) * n_scenarios - Fraction(1, 2)
    below = min(max(floor(place), 0), n_scenarios - 1)
    return below, min(below + 1, n_scenarios - 1), float(min(max(place - below, Fraction(0)), Fraction(1)))


def value_at_risk(pnl: FloatArray, level: Decimal | float) -> FloatArray:
    """VaR of each unit, at least 0; the last axis of `pnl` are equally likely scenarios."""
    below, above, share = quantile_place(level, pnl.shape[-1])
    # A whole sort: of rows this short it is quicker than a partition.
    ordered = np.sort(pnl, axis=-1)
    quantile = ordered[..., below] + share * (ordered[..., above] - ordered[..., below])
    return np.asarray(np.maximum(-quantile, 0.0) + 0.0)


def robust_factor(level_low: Decimal | float, level_target: Decimal | float, degrees_of_freedom: float) -> float:
    """By how much Student's t is larger at the target than at the low level, through scipy."""
    special = research("scipy.special", "quantiles of Student's t")
    nu = degrees_of_freedom
    return float(special.stdtrit(nu, float(level_target)) / special.stdtrit(nu, float(level_low)))


def mean_excess_risk(pnl: FloatArray, level: Decimal | float, window: int) -> FloatArray:
    """Root mean square of what rolling windows of `window` scenarios ask for beyond all of them, `(n_units,)`."""
    whole = value_at_risk(pnl, level)
    squares, count = np.zeros(len(pnl)), np.zeros(len(pnl))
    # Window after window: units x windows x scenarios would be large.
    for first in range(pnl.shape[-1] - window + 1):
        excess = value_at_risk(pnl[:, first : first + window], level) - whole
        positive = excess > 0
        squares += np.where(positive, excess * excess, 0.0)
        count += positive
    return np.sqrt(np.divide(squares, count, out=np.zeros(len(pnl)), where=count > 0))


def correlation_break(excess: FloatArray, pure: FloatArray, *, kappa: float, least: float, most: float) -> FloatArray:
    """What is added because correlations were worse in some windows: `kappa` times the excess, within bounds."""
    return np.asarray(np.minimum(np.maximum(kappa * excess, least * pure), most * pure))


def aggregated(of_sub_samples: FloatArray, rule: Aggregate) -> FloatArray:
    """One figure out of those of the sub-samples, the last axis."""
    n = of_sub_samples.shape[-1]
    if rule is Aggregate.LARGEST:
        return np.asarray(of_sub_samples.max(axis=-1))
    chosen = of_sub_samples
    if rule is Aggregate.MEDIAN:
        chosen = np.sort(of_sub_samples, axis=-1)[..., (n - 1) // 2 : n // 2 + 1]
    total = chosen[..., 0].copy()
    for k in range(1, chosen.shape[-1]):
        total += chosen[..., k]
    return np.asarray(total / chosen.shape[-1])


def aggregate_weights(of_sub_samples: FloatArray, rule: Aggregate) -> FloatArray:
    """Weight of each sub-sample in `aggregated`, the same shape; the first among equals counts."""
    n = of_sub_samples.shape[-1]
    if rule is Aggregate.MEAN:
        return np.full(of_sub_samples.shape, 1.0 / n)
    if rule is Aggregate.LARGEST:
        chosen = of_sub_samples.argmax(axis=-1)[..., None]
    else:
        chosen = np.argsort(of_sub_samples, axis=-1, kind="stable")[..., (n - 1) // 2 : n // 2 + 1]
    weights = np.zeros(of_sub_samples.shape)
    np.put_along_axis(weights, chosen, 1.0 / chosen.shape[-1], axis=-1)
    return weights


def model_error(of_position: FloatArray, unit: IntArray, n_units: int) -> FloatArray:
    """Errors of positions as if they were independent: the root of the sum of their squares, `(n_units,)`."""
    squares = np.bincount(unit, weights=of_position * of_position, minlength=n_units)
    return np.asarray(np.sqrt(squares))


def liquidity_factor(days: FloatArray, knots: tuple[tuple[float, float], ...]) -> FloatArray:
    """Part of its VaR that a position of so many days' volume is charged: linear between knots, and on beyond the last.

    Parameters
    ----------
    knots : tuple of (float, float)
        Days, ascending, and the factor there; the first factor also stands for whatever is smaller.
    """
    if len(knots) == 1:
        return np.full(len(days), knots[0][1])
    at, factor = (np.array(column) for column in zip(*knots, strict=True))
    left = np.clip(np.searchsorted(at, days, side="right") - 1, 0, len(at) - 2)
    slope = (factor[left + 1] - factor[left]) / (at[left + 1] - at[left])
    return np.asarray(factor[left] + slope * np.maximum(days - at[left], 0.0))


def diversification_factor(var_together: FloatArray, var_apart: FloatArray, floor_at: float) -> FloatArray:
    """Alpha: what of the positions' own VaR is left in the portfolio, at least the floor; 1 where there is none."""
    ratio = np.divide(var_together, var_apart, out=np.ones(len(var_apart)), where=var_apart > 0)
    return np.asarray(np.maximum(ratio, floor_at))
