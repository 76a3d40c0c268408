"""How factors depend on each other beyond their correlation, and draws of factors that do.

Draws come of a seeded generator and are the same wherever numpy's are. The decision a reader would question: tails are
fitted to ranks (`rank / (n + 1)`), so that a factor's own distribution has no say in how it depends on others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from crossmargin.basics.arrays import FloatArray
from crossmargin.basics.errors import InputError, ShapeError
from crossmargin.dependence.research import research


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCopula:
    """A copula of two factors, by maximum likelihood.

    Parameters
    ----------
    correlation : float
        Its parameter.
    degrees_of_freedom : float or None
        Of Student's t; `None` of the Gaussian one.
    log_likelihood : float
        Of the ranks.
    """

    correlation: float
    degrees_of_freedom: float | None
    log_likelihood: float

    @property
    def tail_dependence(self) -> float:
        """Chance that one is in its extreme tail given that the other is; 0 for the Gaussian copula."""
        if self.degrees_of_freedom is None:
            return 0.0
        return tail_dependence(self.correlation, self.degrees_of_freedom)


def tail_dependence(correlation: float, degrees_of_freedom: float) -> float:
    """Of a t copula: `2 t_{nu+1}(-sqrt((nu + 1) (1 - rho) / (1 + rho)))`."""
    if correlation >= 1:
        return 1.0
    if correlation <= -1:
        return 0.0
    stats = research("scipy.stats", "the tail dependence of a t copula")
    nu = degrees_of_freedom
    return 2 * float(stats.t.cdf(-math.sqrt((nu + 1) * (1 - correlation) / (1 + correlation)), nu + 1))


def kendall_tau(one: FloatArray, other: FloatArray) -> float:
    """Kendall's tau of two series, through scipy."""
    stats = research("scipy.stats", "Kendall's tau")
    return float(stats.kendalltau(one, other).statistic)


def kendall_rho(tau: float) -> float:
    """Correlation of an elliptical copula with that tau: `sin(pi tau / 2)`."""
    return math.sin(math.pi * tau / 2)


def ranks(changes: FloatArray) -> FloatArray:
    """`rank / (n + 1)` of each column, ties in the order of their dates: in (0, 1)."""
    table = np.asarray(changes, dtype=np.float64)
    if table.ndim != 2 or not np.isfinite(table).all():
        raise ShapeError("ranks are of a table of finite changes, (n_dates, n_factors)")
    order = np.argsort(np.argsort(table, axis=0, kind="stable"), axis=0, kind="stable")
    return np.asarray((order + 1) / (len(table) + 1))


def fit_pair(one: FloatArray, other: FloatArray, family: Literal["gaussian", "student"] = "student") -> PairCopula:
    """A pair copula fitted to the ranks of two series, through pyvinecopulib.

    Raises
    ------
    InputError
        For series of different lengths, or fewer than 10 dates.
    """
    if np.shape(one) != np.shape(other) or len(one) < 10:
        raise InputError(
            f"series of {np.shape(one)} and {np.shape(other)} changes: 10 or more dates of both are needed"
        )
    pv = research("pyvinecopulib", "a fit of a copula")
    controls = pv.FitControlsBicop(family_set=[getattr(pv.BicopFamily, family)])
    fitted = pv.Bicop()
    data = ranks(np.stack((one, other), axis=1))
    fitted.select(data, controls)
    parameters = np.asarray(fitted.parameters).ravel()
    return PairCopula(
        correlation=float(parameters[0]),
        degrees_of_freedom=float(parameters[1]) if family == "student" else None,
        log_likelihood=float(fitted.loglik(data)),
    )


def gaussian_draws(root: FloatArray, n_draws: int, seed: int) -> FloatArray:
    """Normal draws of variance 1 with the correlation of `root @ root.T`, `(n_draws, n_factors)`."""
    return np.asarray(np.random.default_rng(seed).standard_normal((n_draws, len(root))) @ root.T)


def t_draws(root: FloatArray, n_draws: int, degrees_of_freedom: float, seed: int) -> FloatArray:
    """Student's t: normal draws over one `sqrt(chi2 / nu)` for all factors, so that extremes come together.

    Their variance is `nu / (nu - 2)`.
    """
    return grouped_t_draws(root, n_draws, [""] * len(root), degrees_of_freedom, seed)


def grouped_t_draws(
    root: FloatArray, n_draws: int, groups: Sequence[str], degrees_of_freedom: float, seed: int
) -> FloatArray:
    """The same with a mixing variable of its own for each group: extremes come together inside a group."""
    generator = np.random.default_rng(seed)
    normal = generator.standard_normal((n_draws, len(root))) @ root.T
    distinct = sorted(set(groups))
    mix = np.sqrt(generator.chisquare(degrees_of_freedom, (n_draws, len(distinct))) / degrees_of_freedom)
    return np.asarray(normal / mix[:, [distinct.index(group) for group in groups]])


def vine_draws(standard: FloatArray, n_draws: int, degrees_of_freedom: float, seed: int) -> FloatArray:
    """Draws of unit variance whose dependence is a vine of pair copulas, through pyvinecopulib.

    Parameters
    ----------
    standard : ndarray of shape (n_dates, n_factors)
        Changes over their volatility: the vine is fitted to their ranks.
    degrees_of_freedom : float
        Of Student's t that every factor has by itself.
    """
    pv = research("pyvinecopulib", "a vine copula")
    stats = research("scipy.stats", "quantiles of Student's t")
    families = [pv.BicopFamily.gaussian, pv.BicopFamily.student, pv.BicopFamily.clayton, pv.BicopFamily.gumbel]
    vine = pv.Vinecop.from_data(ranks(standard), controls=pv.FitControlsVinecop(family_set=families))
    uniform = vine.simulate(n_draws, seeds=[seed % 2**31])
    nu = degrees_of_freedom
    return np.asarray(stats.t.ppf(uniform, nu) * math.sqrt((nu - 2) / nu))
