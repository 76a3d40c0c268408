"""Market risk of one sub-sample, step by step: small functions on P&L of shape `(n_units, n_scenarios)`.

    VaR_c = max(0, -quantile), plotting positions (i - 1/2) / n, linear between
    PMR   = VaR_c-low x t_nu(c-target) / t_nu(c-low)
    e_i   = VaR of a rolling window less VaR of all, where positive;   MER = sqrt(mean of e_i^2 over those)
    CB    = min(max(kappa MER, low x PMR), high x PMR)

The decision a reader would question: the quantile at a low level is scaled up by Student's t, not read off at the
target: few scenarios say more about 95% than about 99%. As two public replications have it, not the clearing house's
own guide.
"""

from __future__ import annotations

import numpy as np

from crossmargin.basics.arrays import FloatArray
from crossmargin.dependence.research import research


def value_at_risk(pnl: FloatArray, level: float) -> FloatArray:
    """VaR of each unit, at least 0; the last axis of `pnl` are equally likely scenarios.

    Between the order statistics at plotting positions `(i - 1/2) / n`; the worst itself below the first of them.
    """
    n = pnl.shape[-1]
    place = (1 - level) * n - 0.5  # of the quantile among the order statistics, counted from 0
    below = int(np.clip(np.floor(place), 0, n - 1))
    above = min(below + 1, n - 1)
    share = float(np.clip(place - below, 0.0, 1.0))
    worst = np.partition(pnl, (below, above), axis=-1)
    quantile = worst[..., below] + share * (worst[..., above] - worst[..., below])
    return np.asarray(np.maximum(-quantile, 0.0))


def robust_factor(level_low: float, level_target: float, degrees_of_freedom: float) -> float:
    """By how much Student's t is larger at the target than at the low level, through scipy."""
    stats = research("scipy.stats", "quantiles of Student's t")
    nu = degrees_of_freedom
    return float(stats.t.ppf(level_target, nu) / stats.t.ppf(level_low, nu))


def mean_excess_risk(pnl: FloatArray, level: float, window: int) -> FloatArray:
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
