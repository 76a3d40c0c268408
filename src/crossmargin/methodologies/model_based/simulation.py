"""Simulated scenarios: volatilities of now, correlations of the history, tails of Student's t.

    z = change / volatility expected of it        R = correlation of z, weighted towards now
    shock = volatility now * sqrt(days) * draw,   draw of unit variance with correlation R

All factors with a whole history take part in the draw, whoever holds them; the others are unknown in it.
"""

from __future__ import annotations

import math

import numpy as np

from crossmargin.basics.arrays import FloatArray
from crossmargin.basics.errors import InputError, Problem
from crossmargin.dependence.copulas import gaussian_draws, grouped_t_draws, t_draws, vine_draws
from crossmargin.dependence.correlation import correlation_of, correlation_root
from crossmargin.history.changes import FactorChanges
from crossmargin.methodologies.model_based.parameters import Dependence, Generation, Simulation
from crossmargin.scenarios.factor_scenarios import FactorScenarios, drawn


def simulated(
    changes: FactorChanges, standard: FloatArray, volatility_now: FloatArray, generation: Generation, *, name: str
) -> FactorScenarios:
    """Draws of all factors.

    Parameters
    ----------
    changes : FactorChanges
        Whose factors are drawn.
    standard : ndarray of shape (n_observations, n_factors)
        Changes over their volatility, NaN where unknown.
    volatility_now : ndarray of shape (n_factors,)
        Daily.

    Raises
    ------
    InputError
        If no factor has a whole history.
    """
    simulation = generation.simulation
    assert simulation is not None
    whole = ~np.isnan(standard).any(axis=0) & np.isfinite(volatility_now)
    if not whole.any():
        raise InputError(
            Problem(
                found=f"no factor is known on each of the last {len(standard)} dates of the history",
                needed="Ask for fewer observations, or give a history without gaps.",
            )
        )
    chosen = np.flatnonzero(whole)
    correlation = weighted_correlation(standard[:, chosen], simulation.correlation_decay)
    kinds = [changes.factors[k].kind for k in chosen.tolist()]
    shocks = np.full((simulation.draws, len(whole)), np.nan)
    daily = volatility_now[chosen] * math.sqrt(generation.horizon_days)
    shocks[:, chosen] = unit_draws(standard[:, chosen], correlation, kinds, simulation) * daily
    return drawn(changes.factors, shocks, name=name)


def weighted_correlation(standard: FloatArray, decay: float) -> FloatArray:
    """Correlation about 0 of standardised changes, the latest weighing most; all alike at a decay of 1."""
    weight = decay ** np.arange(len(standard))[::-1] if decay < 1 else np.ones(len(standard))
    weighted = standard * np.sqrt(weight / weight.sum())[:, None]
    return correlation_of(weighted.T @ weighted)


def unit_draws(standard: FloatArray, correlation: FloatArray, kinds: list[str], simulation: Simulation) -> FloatArray:
    """Draws of mean 0 and variance 1, `(n_draws, n_factors)`."""
    n, nu, seed = simulation.draws, simulation.degrees_of_freedom, simulation.seed
    if simulation.dependence is Dependence.VINE:
        return vine_draws(standard, n, nu, seed)
    root = correlation_root(correlation)
    if simulation.dependence is Dependence.GAUSSIAN:
        return gaussian_draws(root, n, seed)
    scale = math.sqrt((nu - 2) / nu)
    if simulation.dependence is Dependence.T:
        return t_draws(root, n, nu, seed) * scale
    return grouped_t_draws(root, n, kinds, nu, seed) * scale
