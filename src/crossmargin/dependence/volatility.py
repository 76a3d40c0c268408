"""Volatility of factors through time: what was expected of each change the day before it came.

All filters take a table of changes, a column a factor, run over its dates once, and are causal: a later change never
moves an earlier figure. The decision a reader would question: a day without a known change leaves the variance as it
was.
"""

from __future__ import annotations

import numpy as np

from crossmargin.basics.arrays import FloatArray
from crossmargin.basics.errors import InputError


def ewma_variance(changes: FloatArray, decay: float, *, seed_days: int) -> tuple[FloatArray, FloatArray]:
    """Exponentially weighted variance about 0: `v' = decay v + (1 - decay) r^2`.

    Parameters
    ----------
    changes : ndarray of shape (n_changes, n_factors)
        NaN where unknown.
    decay : float
        Lambda.
    seed_days : int
        Known changes of each factor whose mean square is the first variance.

    Returns
    -------
    variance : ndarray of shape (n_changes, n_factors)
        Expected of each change the day before; NaN up to the last of the seed.
    following : ndarray of shape (n_factors,)
        Expected of the next; NaN for a factor with fewer changes than the seed.
    """
    return _filtered(changes, seed_days, np.zeros(changes.shape[1]), 1 - decay, decay)


def garch_filter(changes: FloatArray, *, alpha: float, beta: float, seed_days: int) -> tuple[FloatArray, FloatArray]:
    """GARCH(1, 1) with given `alpha` and `beta`: `v' = omega + alpha r^2 + beta v`; as `ewma_variance`.

    `omega` makes the long-run variance that of the seed: what came later is not known then.
    """
    if alpha + beta >= 1:
        raise InputError(f"GARCH with alpha {alpha:g} and beta {beta:g}: together they are below 1")
    return _filtered(changes, seed_days, (1 - alpha - beta) * _seed(changes, seed_days)[0], alpha, beta)


def _seed(changes: FloatArray, seed_days: int) -> tuple[FloatArray, np.ndarray]:
    """Mean square of the first known changes of each factor, and the row of the last of them; -1 where too few."""
    known = ~np.isnan(changes)
    count = np.cumsum(known, axis=0)
    in_seed = known & (count <= seed_days)
    square = np.where(in_seed, np.where(known, changes, 0.0) ** 2, 0.0).sum(axis=0) / seed_days
    enough = count[-1] >= seed_days if len(changes) else np.zeros(changes.shape[1], dtype=np.bool_)
    last = np.where(enough, np.argmax(count >= seed_days, axis=0), -1)
    return np.where(enough, square, np.nan), last


def _filtered(
    changes: FloatArray, seed_days: int, constant: FloatArray, alpha: float, beta: float
) -> tuple[FloatArray, FloatArray]:
    seed, last = _seed(changes, seed_days)
    variance = np.full(changes.shape, np.nan)
    now = np.full(changes.shape[1], np.nan)
    for t, row in enumerate(changes):
        variance[t] = now
        updated = constant + alpha * row * row + beta * now
        now = np.where(np.isnan(row), now, updated)
        now = np.where(last == t, seed, now)
    return variance, now
