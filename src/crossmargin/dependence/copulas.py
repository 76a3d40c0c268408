"""Draws of dependent factors."""

from __future__ import annotations

import numpy as np

from crossmargin.basics.arrays import FloatArray


def gaussian_draws(root: FloatArray, n_draws: int, seed: int) -> FloatArray:
    """Normal draws of variance 1 with the correlation of `root @ root.T`, `(n_draws, n_factors)`."""
    return np.asarray(np.random.default_rng(seed).standard_normal((n_draws, len(root))) @ root.T)


def t_draws(root: FloatArray, n_draws: int, degrees_of_freedom: float, seed: int) -> FloatArray:
    """Student's t: normal draws over one `sqrt(chi2 / nu)` for all factors, so that extremes come together."""
    generator = np.random.default_rng(seed)
    normal = generator.standard_normal((n_draws, len(root))) @ root.T
    mix = np.sqrt(generator.chisquare(degrees_of_freedom, n_draws) / degrees_of_freedom)
    return np.asarray(normal / mix[:, None])


def grouped_t_draws(
    root: FloatArray, n_draws: int, groups: list[str], degrees_of_freedom: float, seed: int
) -> FloatArray:
    """The same with a mixing variable of its own for each group."""
    generator = np.random.default_rng(seed)
    normal = generator.standard_normal((n_draws, len(root))) @ root.T
    distinct = sorted(set(groups))
    mix = np.sqrt(generator.chisquare(degrees_of_freedom, (n_draws, len(distinct))) / degrees_of_freedom)
    return np.asarray(normal / mix[:, [distinct.index(group) for group in groups]])


def vine_draws(standard: FloatArray, n_draws: int, degrees_of_freedom: float, seed: int) -> FloatArray:
    """Placeholder until merged."""
    raise NotImplementedError
