"""`delta-gamma-parametric`, top to bottom, for all risk units at once.

d, G        first and second derivatives of the unit's value by each factor; G diagonal
x           changes of the factors over the horizon: normal, mean 0, covariance C
P&L         d'x + x'Gx / 2, no time passes
loss        -mean + deviation x multiple                  multiple of its skew and kurtosis; no mean gain
requirement = loss, at least 0, + volatility charge
maintenance = factor x requirement

The decision a reader would question: a mean loss counts, a mean gain does not. What gammas earn on average is what time
decay costs, near enough, and no time passes here: to credit one without the other would give whoever holds options
money for nothing. It also covers the place where the expansion is weakest, a positive skew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray, read_only
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.model_based.charges import volatility_charge, volatility_share
from crossmargin.methodologies.model_based.contracts import ModelContracts
from crossmargin.methodologies.model_based.delta_gamma.expansion import Multiple, multiple
from crossmargin.methodologies.model_based.delta_gamma.exposures import Exposures, Netted, exposures, netted
from crossmargin.methodologies.model_based.delta_gamma.parameters import DeltaGammaParameters
from crossmargin.methodologies.model_based.delta_gamma.quadratic import Cumulants, cumulants, gradients

_CELLS = 100_000
"""Numbers of the covariances of the units that are at hand at once: products of such matrices stay in cache."""
_NOTHING = 1e-60
"""Dollars: a deviation below this is none. Its fourth power would be 0, and a kurtosis by it no number."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeltaGammaBreakdown:
    """Every figure of the calculation; arrays of shape `(n_units,)`, US dollars.

    Parameters
    ----------
    entries, by_factor
        Derivatives of positions and of units.
    cumulants : Cumulants
        Of the P&L.
    deviation, skew, kurtosis : ndarray
        Of it; the last two are 0 where nothing moves.
    multiple : Multiple
        Deviations below the mean.
    mean : ndarray
        What counts of the mean: all of it, or a loss only.
    loss : ndarray
        Measure of the loss before the floor at 0.
    volatility : ndarray
        Charge for volatilities without a history.
    requirement, maintenance : ndarray
        `0 <= maintenance <= requirement`.
    """

    entries: Exposures
    by_factor: Netted
    cumulants: Cumulants
    deviation: FloatArray
    skew: FloatArray
    kurtosis: FloatArray
    multiple: Multiple
    mean: FloatArray
    loss: FloatArray
    volatility: FloatArray
    requirement: FloatArray
    maintenance: FloatArray

    @property
    def counts(self) -> BoolArray:
        """Units whose loss counts: not where the floor replaced it."""
        return np.asarray(self.loss > 0)


def delta_gamma_requirement(
    book: UnitBook, contracts: ModelContracts, covariance: FloatArray, parameters: DeltaGammaParameters
) -> DeltaGammaBreakdown:
    """Requirement of each risk unit.

    Parameters
    ----------
    covariance : ndarray of shape (n_factors, n_factors)
        Over the horizon; NaN of factors that nobody can hold.
    """
    held = book.holdings
    entries = exposures(held, contracts, np.sqrt(np.diag(covariance)))
    by_factor = netted(entries, book.n_units, len(covariance))
    found = np.zeros((5, book.n_units))
    for units, rows in same_width(by_factor):
        c = _of_units(covariance, by_factor.factor[rows])
        k = cumulants(by_factor.delta[rows], by_factor.gamma[rows], c)
        found[:, units] = k.k1, k.k2, k.k3, k.k4, k.linear
    k = Cumulants(k1=found[0], k2=found[1], k3=found[2], k4=found[3], linear=found[4])
    deviation = np.sqrt(np.maximum(k.k2, 0.0))
    moves = deviation > _NOTHING
    deviation = np.where(moves, deviation, 0.0)
    size = np.where(moves, deviation, 1.0)
    skew, kurtosis = np.where(moves, k.k3 / size**3, 0.0), np.where(moves, k.k4 / size**4, 0.0)
    times = multiple(skew, kurtosis, parameters.measure)
    mean = counted_mean(k.k1, parameters.credit_mean_gain)
    loss = deviation * times.value - mean
    volatility = volatility_charge(book, contracts)
    requirement = np.maximum(loss, 0.0) + volatility
    return DeltaGammaBreakdown(
        entries=entries,
        by_factor=by_factor,
        cumulants=k,
        deviation=deviation,
        skew=skew,
        kurtosis=kurtosis,
        multiple=times,
        mean=mean,
        loss=loss,
        volatility=volatility,
        requirement=read_only(requirement),
        maintenance=read_only(parameters.maintenance_factor * requirement),
    )


def counted_mean(k1: FloatArray, credit_gain: bool) -> FloatArray:
    """What counts of the mean of the P&L, `(n_units,)`."""
    return k1 if credit_gain else np.minimum(k1, 0.0)


def same_width(by_factor: Netted) -> Iterator[tuple[IntArray, IntArray]]:
    """Units with the same number of factors, in blocks, and their entries, `(n_units, n_factors)`."""
    width = np.diff(by_factor.offsets)
    for w in np.unique(width[width > 0]).tolist():
        units = np.flatnonzero(width == w)
        block = max(1, _CELLS // (w * w))
        for first in range(0, len(units), block):
            chosen = units[first : first + block]
            yield chosen, by_factor.offsets[chosen][:, None] + np.arange(w)


def _of_units(covariance: FloatArray, factor: IntArray) -> FloatArray:
    return np.asarray(covariance[factor[:, :, None], factor[:, None, :]])


def position_shares(
    book: UnitBook, contracts: ModelContracts, covariance: FloatArray, b: DeltaGammaBreakdown
) -> tuple[FloatArray, FloatArray]:
    """P&L in the worst scenario, which there is not, and contribution of each position, both `(n_positions,)`.

    Euler's rule: the loss is of one order in the positions, for `d` and `G` are.
    """
    held, by_factor = book.holdings, b.by_factor
    by_delta, by_gamma = np.zeros(len(by_factor.factor)), np.zeros(len(by_factor.factor))
    for units, rows in same_width(by_factor):
        c = _of_units(covariance, by_factor.factor[rows])
        gradient = gradients(by_factor.delta[rows], by_factor.gamma[rows], c)
        weight = by_cumulant(b, units)
        for order in range(4):
            by_delta[rows] += weight[order][:, None] * gradient.delta[order]
            by_gamma[rows] += weight[order][:, None] * gradient.gamma[order]
    entry = b.entries
    of_entry = by_delta[by_factor.of_entry] * entry.delta + by_gamma[by_factor.of_entry] * entry.gamma
    n = len(held.quantity)
    contribution = np.bincount(entry.position, weights=of_entry, minlength=n).astype(np.float64)
    contribution = np.where(b.counts[held.unit()], contribution, 0.0)
    if contracts.vega_charged.any():
        contribution = contribution + held.quantity * volatility_share(book, contracts)
    return np.zeros(n), contribution


def by_cumulant(b: DeltaGammaBreakdown, units: IntArray) -> FloatArray:
    """Derivatives of the loss by the four cumulants, `(4, n_units)`.

    With `sd = k2^(1/2)`, `s = k3 / sd^3`, `k = k4 / sd^4`: `loss = -k1 + sd m(s, k)`; no `k1` where it is a gain.
    """
    sd, s, k = b.deviation[units], b.skew[units], b.kurtosis[units]
    m, m_s, m_k = b.multiple.value[units], b.multiple.by_skew[units], b.multiple.by_kurtosis[units]
    size = np.where(sd > 0, sd, 1.0)
    of = np.stack(
        [
            np.where(b.mean[units] == b.cumulants.k1[units], -1.0, 0.0),
            (m - 3 * s * m_s - 4 * k * m_k) / (2 * size),
            m_s / size**2,
            m_k / size**3,
        ]
    )
    return np.where(sd > 0, of, 0.0)
