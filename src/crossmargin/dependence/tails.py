"""Value at risk and expected shortfall of one series or one distribution; losses are positive.

What a portfolio's requirement uses is `aggregation.sweep.Tail`; these are the textbook conventions beside it, by
name, so that a figure from elsewhere can be reproduced and told apart. They differ by one observation, which at 99%
of 250 days is a quarter of the figure.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from crossmargin.basics.arrays import FloatArray
from crossmargin.basics.errors import InputError, ParameterError
from crossmargin.dependence.research import research

CONVENTIONS = (
    "inverted_cdf",
    "linear",
    "lower",
    "higher",
    "hazen",
    "weibull",
    "median_unbiased",
    "closest_observation",
)
"""How a quantile lies between observations: `inverted_cdf` is the loss that at most a part `1 - level` of the days
exceeds; the others are numpy's of the same names, of the P&L."""


class Risk(NamedTuple):
    """Value at risk and expected shortfall."""

    value_at_risk: float
    expected_shortfall: float


def _level(level: Decimal | str | float) -> Fraction:
    exact = Fraction(Decimal(str(level)))
    if not 0 < exact < 1:
        raise ParameterError(f"a confidence level of {level}; it is between 0 and 1, like 0.99")
    return exact


def _pnl(pnl: FloatArray) -> FloatArray:
    series = np.asarray(pnl, dtype=np.float64)
    if series.ndim != 1 or not len(series) or not np.isfinite(series).all():
        raise InputError("P&L is one series of finite numbers")
    return series


def historical_var(pnl: FloatArray, level: Decimal | str | float, convention: str = "inverted_cdf") -> float:
    """Value at risk of equally likely outcomes.

    Parameters
    ----------
    pnl : ndarray of shape (n_outcomes,)
        Positive is a gain.
    level : Decimal, str or float
        Confidence; a float is taken as it is written.
    convention : str
        One of `CONVENTIONS`.

    References
    ----------
    hyndman-fan-1996: "Sample quantiles in statistical packages" (see docs/sources.md)
    """
    series, exact = _pnl(pnl), _level(level)
    if convention not in CONVENTIONS:
        raise ParameterError(f"quantile convention '{convention}'; it is one of {', '.join(CONVENTIONS)}")
    if convention == "inverted_cdf":
        k = min(int((1 - exact) * len(series)), len(series) - 1)
        return -float(np.sort(series)[k])
    # As who calls numpy writes it: where an observation lies exactly half way, the last bit of `1 - level` decides.
    return -float(np.quantile(series, 1 - float(exact), method=convention))  # type: ignore[call-overload]


def historical_es(pnl: FloatArray, level: Decimal | str | float) -> float:
    """Mean of the worst `(1 - level) n` outcomes, the last of them in part: Acerbi and Tasche's coherent estimator."""
    series, exact = _pnl(pnl), _level(level)
    size = (1 - exact) * len(series)
    whole, rest = int(size), float(size % 1)
    worst = np.sort(series)
    total = math.fsum(worst[:whole]) + (rest * worst[whole] if rest else 0.0)
    return -total / float(size)


def entropic_var(pnl: FloatArray, level: Decimal | str | float) -> float:
    """The tightest bound of both that Chernoff's inequality gives, through skfolio."""
    measures = research("skfolio.measures", "an entropic value at risk")
    return float(measures.evar(_pnl(pnl), beta=float(_level(level))))


def normal_risk(level: Decimal | str | float, sigma: float, mu: float = 0.0) -> Risk:
    """Of a normal P&L: `sigma z - mu`, `sigma phi(z) / (1 - level) - mu`."""
    exact = float(_level(level))
    z = NormalDist().inv_cdf(exact)
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return Risk(sigma * z - mu, sigma * density / (1 - exact) - mu)


def t_risk(level: Decimal | str | float, sigma: float, degrees_of_freedom: float, mu: float = 0.0) -> Risk:
    """Of a P&L with Student's t of standard deviation `sigma`, through scipy."""
    if not degrees_of_freedom > 2:
        raise ParameterError(f"{degrees_of_freedom:g} degrees of freedom: a standard deviation needs more than 2")
    stats = research("scipy.stats", "quantiles of Student's t")
    exact, nu = float(_level(level)), degrees_of_freedom
    scale = sigma * math.sqrt((nu - 2) / nu)
    q = float(stats.t.ppf(exact, nu))
    shortfall = float(stats.t.pdf(q, nu)) * (nu + q * q) / ((nu - 1) * (1 - exact))
    return Risk(scale * q - mu, scale * shortfall - mu)


def cornish_fisher_quantile(z: float, skew: float, excess_kurtosis: float) -> float:
    """The quantile of a distribution of unit variance, from the normal one and its third and fourth moments."""
    return z + (z**2 - 1) * skew / 6 + (z**3 - 3 * z) * excess_kurtosis / 24 - (2 * z**3 - 5 * z) * skew**2 / 36


def cornish_fisher_var(level: Decimal | str | float, sigma: float, skew: float, excess_kurtosis: float) -> float:
    """Value at risk of a P&L with those moments: minus the expanded quantile at `1 - level`."""
    z = NormalDist().inv_cdf(float(1 - _level(level)))
    return -sigma * cornish_fisher_quantile(z, skew, excess_kurtosis)
