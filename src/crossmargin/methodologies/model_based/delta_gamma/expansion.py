"""The tail of a distribution from its skew and kurtosis: Cornish and Fisher, value at risk and shortfall.

    w(z) = z + (z^2 - 1) s / 6 + (z^3 - 3z) k / 24 - (2z^3 - 5z) s^2 / 36           z normal
    VaR  = -(mean + deviation x least w on [z, 0])                                   z the normal quantile, below 0
    ES   = larger of -(mean + deviation x E[w | below z]) and VaR

The decision a reader would question: where the expansion turns, a loss further out would be the smaller one. The least
`w` between the quantile and the middle is taken instead: the largest loss that the expansion gives at this level or any
lower one. It never asks for less than the plain expansion, and is the plain one wherever that rises with the level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray
from crossmargin.methodologies.model_based.parameters import Measure, Tool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Multiple:
    """How many deviations below the mean the measure is; arrays of shape `(n_units,)`.

    Parameters
    ----------
    value : ndarray
        The multiple: 2.33 of a normal at 99%, 2.67 for its shortfall.
    by_skew, by_kurtosis : ndarray
        Its derivatives.
    turned : ndarray of bool
        Where the plain expansion was not what is asked for.
    """

    value: FloatArray
    by_skew: FloatArray
    by_kurtosis: FloatArray
    turned: BoolArray


def multiple(skew: FloatArray, kurtosis: FloatArray, measure: Measure) -> Multiple:
    """The multiple of each unit.

    Parameters
    ----------
    skew, kurtosis : ndarray of shape (n_units,)
        Third and fourth (excess) standardised moments of the P&L.
    """
    z = NormalDist().inv_cdf(float(1 - measure.level))
    at, turned = turning_point(skew, kurtosis, z)
    var = Multiple(
        value=-_w(at, skew, kurtosis),
        by_skew=-((at**2 - 1) / 6 - (2 * at**3 - 5 * at) * skew / 18),
        by_kurtosis=-(at**3 - 3 * at) / 24,
        turned=turned,
    )
    if measure.tool is Tool.VAR:
        return var
    # E[Z | Z < z] = -h, E[Z^2 | ...] = 1 - z h, E[Z^3 | ...] = -(z^2 + 2) h
    h = math.exp(-z * z / 2) / math.sqrt(2 * math.pi) / float(1 - measure.level)
    value = h * (1 + skew * z / 6 + kurtosis * (z * z - 1) / 24 - skew**2 * (2 * z * z - 1) / 36)
    by_skew = h * (z / 6 - skew * (2 * z * z - 1) / 18)
    below = var.value > value
    return Multiple(
        value=np.where(below, var.value, value),
        by_skew=np.where(below, var.by_skew, by_skew),
        by_kurtosis=np.where(below, var.by_kurtosis, h * (z * z - 1) / 24),
        turned=below,
    )


def turning_point(skew: FloatArray, kurtosis: FloatArray, z: float) -> tuple[FloatArray, BoolArray]:
    """Where between `z` and 0 the expansion is least, and whether that is another place than `z`."""
    a, b = kurtosis / 8 - skew**2 / 6, skew / 3
    c = 1 - kurtosis / 8 + 5 * skew**2 / 36
    best, least = np.full(len(skew), z), _w(np.full(len(skew), z), skew, kurtosis)
    root = np.sqrt(np.maximum(b * b - 4 * a * c, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        # w' = a z^2 + b z + c; a line where a is 0.
        roots = [np.where(a != 0, (-b + sign * root) / (2 * a), -c / b) for sign in (1.0, -1.0)]
    for place in (*roots, np.zeros(len(skew))):
        inside = np.isfinite(place) & (place > z) & (place <= 0) & (b * b >= 4 * a * c)
        tried = np.where(inside, place, z)
        value = _w(tried, skew, kurtosis)
        lower = value < least
        best, least = np.where(lower, tried, best), np.where(lower, value, least)
    return best, best != z


def _w(z: FloatArray, skew: FloatArray, kurtosis: FloatArray) -> FloatArray:
    return np.asarray(z + (z**2 - 1) * skew / 6 + (z**3 - 3 * z) * kurtosis / 24 - (2 * z**3 - 5 * z) * skew**2 / 36)
