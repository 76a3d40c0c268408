"""Correlation of risk factors: estimates, their shrinkage, and what is done with a matrix that is none.

    EWMA                    S' = lambda S + (1 - lambda) r r'
    DCC                     Q' = (1 - a - b) Qbar + a z z' + b Q,   R = diag(Q)^-1/2 Q diag(Q)^-1/2
    Ledoit-Wolf, OAS        (1 - d) S + d mu I
    denoised                eigenvalues below the Marchenko-Pastur edge replaced by their mean
    detoned                 without the first eigenvector, the market
    Gerber                  joint moves beyond half a deviation, counted

Changes are a table, a row a date and a column a factor. The decision a reader would question: nothing repairs a
matrix by itself. One that is not positive semidefinite is refused, naming the pairs that make it so, unless `nearest`
is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from crossmargin.basics.arrays import FloatArray
from crossmargin.basics.errors import InputError, ParameterError, Problem, ShapeError
from crossmargin.dependence.research import research

MOST_NEGATIVE = 1e-10
"""An eigenvalue down to minus this is rounding of 0."""
_MOST_PROJECTIONS = 20_000


class Shrunk(NamedTuple):
    """A shrunk covariance, and how far it was shrunk: 0 is the sample, 1 the target."""

    covariance: FloatArray
    shrinkage: float


def _changes(values: FloatArray, fewest: int = 2) -> FloatArray:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2:
        raise ShapeError(f"changes of shape {table.shape}; (n_dates, n_factors) is needed")
    if len(table) < fewest:
        raise InputError(f"{len(table)} dates of changes; at least {fewest} are needed")
    unknown = np.argwhere(~np.isfinite(table))
    if len(unknown):
        t, k = unknown[0].tolist()
        raise InputError(
            Problem(
                found=f"{len(unknown)} changes that are unknown, the first in row {t} of column {k}",
                needed="A correlation is of dates on which all factors are known: leave the others out.",
            )
        )
    return table


def correlation_of(covariance: FloatArray) -> FloatArray:
    """`covariance` over its deviations; a factor that never moves depends on nothing."""
    size = np.sqrt(np.diag(covariance))
    size = np.where(size > 0, size, 1.0)
    correlation = covariance / np.outer(size, size)
    np.fill_diagonal(correlation, 1.0)
    return np.asarray(correlation)


def ewma_covariance(changes: FloatArray, decay: float, *, seed_days: int) -> FloatArray:
    """Exponentially weighted covariance about 0, after the last change.

    Parameters
    ----------
    changes : ndarray of shape (n_dates, n_factors)
        Oldest first.
    decay : float
        Lambda: 0.94 is RiskMetrics' for days.
    seed_days : int
        First rows, whose second moments start it.

    Returns
    -------
    ndarray of shape (n_factors, n_factors)

    References
    ----------
    riskmetrics-1996: see docs/sources.md
    """
    table = _changes(changes, seed_days)
    if not 0 < decay < 1:
        raise ParameterError(f"a decay of {decay:g}; it is above 0 and below 1, like 0.94")
    if seed_days < 1:
        raise InputError(f"a seed of {seed_days} days; at least 1 is needed")
    covariance = table[:seed_days].T @ table[:seed_days] / seed_days
    for row in table[seed_days:]:
        covariance = decay * covariance + (1 - decay) * np.outer(row, row)
    return np.asarray(covariance)


def half_life_covariance(changes: FloatArray, half_life: float = 40.0) -> FloatArray:
    """Covariance about 0 with weights that halve every `half_life` rows, as skfolio has it."""
    moments = research("skfolio.moments", "an exponentially weighted covariance")
    return _fitted(moments.EWCovariance(half_life=half_life), _changes(changes))


def dcc_filter(standard: FloatArray, a: float, b: float, target: FloatArray) -> FloatArray:
    """Dynamic conditional correlation of each date, known the day before, with given parameters.

    Parameters
    ----------
    standard : ndarray of shape (n_dates, n_factors)
        Changes over their volatility.
    a, b : float
        Weight of the last day and of what was, at least 0, together below 1.
    target : ndarray of shape (n_factors, n_factors)
        `Qbar`, which it returns to and starts at.

    Returns
    -------
    ndarray of shape (n_dates, n_factors, n_factors)
        Correlations; that of date `t` has seen the days before `t`.

    References
    ----------
    engle-2002: "Dynamic conditional correlation" (see docs/sources.md)
    """
    z = _changes(standard, 1)
    if not (a >= 0 and b >= 0 and a + b < 1):
        raise InputError(f"DCC with a {a:g} and b {b:g}: neither is below 0, and together they are below 1")
    found = np.empty((len(z), z.shape[1], z.shape[1]))
    now = np.asarray(target, dtype=np.float64)
    for t, row in enumerate(z):
        found[t] = correlation_of(now)
        now = (1 - a - b) * target + a * np.outer(row, row) + b * now
    return found


def ledoit_wolf(changes: FloatArray) -> Shrunk:
    """Sample covariance shrunk to a scaled identity by Ledoit and Wolf's rule, through scikit-learn."""
    return _shrunk("LedoitWolf", changes)


def oas(changes: FloatArray) -> Shrunk:
    """The same by the oracle approximating rule of Chen, Wiesel, Eldar and Hero, through scikit-learn."""
    return _shrunk("OAS", changes)


def _shrunk(name: str, changes: FloatArray) -> Shrunk:
    module = research("sklearn.covariance", "shrinkage of a covariance")
    fitted = getattr(module, name)().fit(_changes(changes))
    return Shrunk(np.asarray(fitted.covariance_), float(fitted.shrinkage_))


def denoised(changes: FloatArray) -> FloatArray:
    """Covariance whose eigenvalues below the edge of pure noise are replaced by their mean, through skfolio."""
    moments = research("skfolio.moments", "denoising of a covariance")
    return _fitted(moments.DenoiseCovariance(), _changes(changes))


def detoned(changes: FloatArray) -> FloatArray:
    """Covariance without its first eigenvector, through skfolio: what is left when the market is taken out."""
    moments = research("skfolio.moments", "detoning of a covariance")
    return _fitted(moments.DetoneCovariance(), _changes(changes))


def gerber(changes: FloatArray, threshold: float = 0.5) -> FloatArray:
    """Covariance by the Gerber statistic, through skfolio: joint moves beyond `threshold` deviations, counted."""
    moments = research("skfolio.moments", "the Gerber statistic")
    return _fitted(moments.GerberCovariance(threshold=threshold), _changes(changes))


def _fitted(estimator: object, changes: FloatArray) -> FloatArray:
    fitted = estimator.fit(changes)  # type: ignore[attr-defined]  # skfolio is not typed, and imported late
    return np.asarray(fitted.covariance_, dtype=np.float64)


def nearest_correlation(matrix: FloatArray, *, tolerance: float = 1e-13) -> FloatArray:
    """The correlation matrix that is nearest in the Frobenius norm: Higham's alternating projections.

    Between the positive semidefinite matrices and those with a diagonal of 1, with Dykstra's correction; clipping
    eigenvalues and rescaling once (`clipped_correlation`) is near, and not nearest.

    Parameters
    ----------
    matrix : ndarray of shape (n_factors, n_factors)
        Symmetric; its diagonal need not be 1.
    tolerance : float
        Largest change of a cell in the last round.

    References
    ----------
    higham-2002: "Computing the nearest correlation matrix" (see docs/sources.md)
    """
    target = _symmetric(matrix)
    correction = np.zeros_like(target)
    for _ in range(_MOST_PROJECTIONS):
        values, vectors = np.linalg.eigh(target - correction)
        projected = (vectors * np.maximum(values, 0.0)) @ vectors.T
        correction = projected - (target - correction)
        before, target = target, projected.copy()
        np.fill_diagonal(target, 1.0)
        if np.abs(target - before).max() <= tolerance:
            return np.asarray(0.5 * (target + target.T))
    raise InputError(f"no nearest correlation within {_MOST_PROJECTIONS} rounds")


def clipped_correlation(matrix: FloatArray) -> FloatArray:
    """Negative eigenvalues set to 0, then rescaled to a diagonal of 1: cheap, and further away than the nearest."""
    values, vectors = np.linalg.eigh(_symmetric(matrix))
    if values[0] >= 0:
        return _symmetric(matrix)
    return correlation_of((vectors * np.maximum(values, 1e-15)) @ vectors.T)


def _symmetric(matrix: FloatArray) -> FloatArray:
    square = np.asarray(matrix, dtype=np.float64)
    if square.ndim != 2 or square.shape[0] != square.shape[1] or not np.isfinite(square).all():
        raise ShapeError(f"a matrix of shape {square.shape}; a finite square one is needed")
    if not np.allclose(square, square.T, rtol=0, atol=1e-12):
        raise InputError("a correlation that is not symmetric")
    return 0.5 * (square + square.T)


def require_positive(correlation: FloatArray, names: Sequence[str], *, nearest: bool = False) -> FloatArray:
    """`correlation` itself if it is positive semidefinite.

    Parameters
    ----------
    names : sequence of str
        Factors, for the message.
    nearest : bool
        Take the nearest one instead of refusing it.

    Raises
    ------
    InputError
        Naming the smallest eigenvalue and the pair of factors that weighs most in it.
    """
    square = _symmetric(correlation)
    values, vectors = np.linalg.eigh(square)
    if values[0] >= -MOST_NEGATIVE:
        return square
    if nearest:
        return nearest_correlation(square)
    weight = np.abs(np.outer(vectors[:, 0], vectors[:, 0]) * square)
    np.fill_diagonal(weight, 0.0)
    i, j = sorted(divmod(int(np.argmax(weight)), len(square)))
    raise InputError(
        Problem(
            found=f"a correlation that is not positive semidefinite: its smallest eigenvalue is {values[0]:.3g}, most "
            f"of it from '{names[i]}' and '{names[j]}' at {square[i, j]:.3f}",
            needed="Estimate all pairs from the same dates, or take the nearest correlation (nearest=True).",
        )
    )


def correlation_root(correlation: FloatArray) -> FloatArray:
    """Symmetric root of a positive semidefinite correlation: `root @ root.T` is it."""
    values, vectors = np.linalg.eigh(require_positive(correlation, [f"factor {k}" for k in range(len(correlation))]))
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)
