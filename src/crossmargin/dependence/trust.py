"""How far the correlation of two factors can be trusted: its band, its range through time, its value in stress.

    band      tanh(atanh(r) -+ q / sqrt(n - 3))                             Fisher, at a confidence
    rolling   r of every run of `window` dates: smallest and largest
    outside   part of those runs whose own band does not hold the r of all dates
    now       of the exponentially weighted covariance
    stressed  r on the dates of named periods
    joint     of the dates on which one fell as in its worst 5%, the part on which the other did

The decision a reader would question: the band takes days as independent, of one correlation, and without fat tails, so
that it is too narrow for any market. It is given because it is what one would believe; `outside` says how wrong that
is. Were the correlation constant it would be one less the confidence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray
from crossmargin.basics.errors import InputError, ShapeError

WORST_PART = 0.05
"""Part of the dates that are the worst of a factor."""
FEWEST_STRESSED = 5
"""Dates that a stressed period needs for a correlation of its own."""
_STILL = 1e-12
"""A run in which a factor has less than this part of its variance does not move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTrust:
    """Figures of one pair; NaN where there are too few dates.

    Parameters
    ----------
    n : int
        Dates on which both changes are known.
    correlation, band_low, band_high : float
        Of all dates, about the means, with Fisher's band.
    now : float
        Exponentially weighted, about 0.
    rolling_low, rolling_high : float
        Over every run of dates.
    low_at, high_at : int
        The date, counted from 0 among all dates given, at which those runs end; -1 where there is none.
    outside : float
        Part of the runs whose band excludes `correlation`.
    stressed : mapping of str to float
        By named period; those with fewer than `FEWEST_STRESSED` dates are left out.
    joint_falls : float
        Of the worst days of the one, the part that is among the worst of the other.
    """

    n: int
    correlation: float
    band_low: float
    band_high: float
    now: float
    rolling_low: float
    rolling_high: float
    low_at: int
    high_at: int
    outside: float
    stressed: Mapping[str, float]
    joint_falls: float

    @property
    def lowest(self) -> float:
        """Least of everything that has been seen or cannot be excluded: what a hedge may rely on."""
        return min([self.band_low, self.rolling_low, *self._seen])

    @property
    def highest(self) -> float:
        """Most of it: what diversification may rely on."""
        return max([self.band_high, self.rolling_high, *self._seen])

    @property
    def _seen(self) -> list[float]:
        return [value for value in (self.now, *self.stressed.values()) if not math.isnan(value)]


def fisher_band(correlation: FloatArray | float, n: int, confidence: float) -> tuple[FloatArray, FloatArray]:
    """The band of a correlation of `n` pairs.

    References
    ----------
    fisher-1921: "On the probable error of a coefficient of correlation" (see docs/sources.md)
    """
    if n < 4:
        raise InputError(f"a band of a correlation of {n} pairs; at least 4 are needed")
    if not 0 < confidence < 1:
        raise InputError(f"a confidence of {confidence:g}; it is between 0 and 1")
    half = NormalDist().inv_cdf(0.5 + confidence / 2) / math.sqrt(n - 3)
    with np.errstate(divide="ignore"):
        middle = np.arctanh(np.clip(correlation, -1.0, 1.0))
    return np.tanh(middle - half), np.tanh(middle + half)


def rolling_correlation(one: FloatArray, other: FloatArray, window: int) -> FloatArray:
    """Correlation about the means of every run of `window` dates, `(n - window + 1,)`; NaN where one does not move."""
    x, y = _standard(one), _standard(other)
    n_runs = len(x) - window + 1

    def run(values: FloatArray) -> FloatArray:
        total = np.concatenate(([0.0], np.cumsum(values)))
        return np.asarray(total[window:] - total[:n_runs])

    sx, sy = run(x), run(y)
    variance_x, variance_y = run(x * x) - sx * sx / window, run(y * y) - sy * sy / window
    covariance = run(x * y) - sx * sy / window
    moves = (variance_x > _STILL * len(x)) & (variance_y > _STILL * len(y))
    root = np.sqrt(np.where(moves, variance_x * variance_y, 1.0))
    return np.where(moves, np.clip(covariance / root, -1.0, 1.0), np.nan)


def pair_trust(
    one: FloatArray,
    other: FloatArray,
    *,
    window: int,
    decay: float,
    confidence: float,
    periods: Mapping[str, BoolArray],
) -> PairTrust:
    """Every figure of a pair.

    Parameters
    ----------
    one, other : ndarray of shape (n_dates,)
        Changes; NaN where unknown.
    window : int
        Dates of a run.
    decay : float
        Lambda of `now`.
    confidence : float
        Of the bands.
    periods : mapping of str to ndarray of shape (n_dates,)
        The dates of each named period.
    """
    if one.shape != other.shape or one.ndim != 1:
        raise ShapeError(f"changes of shapes {one.shape} and {other.shape}; two of (n_dates,) are needed")
    if window < 4:
        raise InputError(f"runs of {window} dates; at least 4 are needed")
    both = np.flatnonzero(~(np.isnan(one) | np.isnan(other)))
    x, y = one[both], other[both]
    n = len(both)
    if n < window or not (np.ptp(x) > 0 and np.ptp(y) > 0):
        return _unknown(n)
    r = float(rolling_correlation(x, y, n)[0])
    low, high = fisher_band(r, n, confidence)
    rolling = rolling_correlation(x, y, window)
    seen = ~np.isnan(rolling)
    if not seen.any():
        return _unknown(n)
    of_low, of_high = int(np.nanargmin(rolling)), int(np.nanargmax(rolling))
    band_low, band_high = fisher_band(rolling[seen], window, confidence)
    stressed = {}
    for name, dates in periods.items():
        there = dates[both]
        if there.sum() >= FEWEST_STRESSED:
            value = float(rolling_correlation(x[there], y[there], int(there.sum()))[0])
            if not math.isnan(value):
                stressed[name] = value
    return PairTrust(
        n=n,
        correlation=r,
        band_low=float(low),
        band_high=float(high),
        now=_weighted(x, y, decay),
        rolling_low=float(rolling[of_low]),
        rolling_high=float(rolling[of_high]),
        low_at=int(both[of_low + window - 1]),
        high_at=int(both[of_high + window - 1]),
        outside=float(np.mean((r < band_low) | (r > band_high))),
        stressed=stressed,
        joint_falls=_joint_falls(x, y),
    )


def _standard(values: FloatArray) -> FloatArray:
    """About the mean and over the deviation: differences of sums stay exact enough whatever the unit."""
    centred = values - values.mean()
    size = math.sqrt(float(np.mean(centred * centred)))
    return np.asarray(centred / size) if size > 0 else centred


def _weighted(one: FloatArray, other: FloatArray, decay: float) -> float:
    weight = decay ** np.arange(len(one))[::-1]
    size = math.sqrt(float(weight @ (one * one)) * float(weight @ (other * other)))
    return float(weight @ (one * other)) / size if size > 0 else math.nan


def _joint_falls(one: FloatArray, other: FloatArray) -> float:
    k = max(1, int(WORST_PART * len(one)))
    worst = np.argsort(one, kind="stable")[:k]
    return float(np.isin(worst, np.argsort(other, kind="stable")[:k]).mean())


def _unknown(n: int) -> PairTrust:
    nan = math.nan
    return PairTrust(
        n=n,
        correlation=nan,
        band_low=nan,
        band_high=nan,
        now=nan,
        rolling_low=nan,
        rolling_high=nan,
        low_at=-1,
        high_at=-1,
        outside=nan,
        stressed={},
        joint_falls=nan,
    )
