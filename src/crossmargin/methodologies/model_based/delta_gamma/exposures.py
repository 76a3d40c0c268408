"""First and second derivatives of each contract by each factor that moves it, and of each unit by each factor.

A contract has at most one factor in each role: its price, basis, volatility, skew, term, rate, currency. So two
scenarios a role, in which all its factors go up and down by a small step, tell every derivative by full revaluation:

    d = (up - down) / 2h      g = (up + down) / h^2      h = a twentieth of the factor's deviation over the horizon

The decision a reader would question: second derivatives across factors (price against volatility) are left out. G is
diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.aggregation.sweep import Holdings
from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.history.factors import Factor
from crossmargin.methodologies.model_based.contracts import ModelContracts
from crossmargin.scenarios.factor_scenarios import FactorScenarios, drawn

ROLES: dict[str, tuple[str, ...]] = {
    "price": ("price", "forward"),
    "basis": ("basis", "funding"),
    "vol": ("vol",),
    "skew": ("skew",),
    "term": ("term",),
    "rate": ("rate",),
    "fx": ("fx",),
}
"""Roles that a factor can have for a contract, as `FactorMap` calls them, and the kinds of factors in each."""
STEP = 0.05
"""Of a deviation: small beside any move, and large beside rounding."""
DIFFERENCES = "differences"
"""Name of the set of scenarios."""


def difference_scenarios(factors: tuple[Factor, ...], deviation: FloatArray) -> FactorScenarios:
    """Two scenarios a role: its factors up by a step, and down.

    Parameters
    ----------
    deviation : ndarray of shape (n_factors,)
        Over the horizon; NaN of factors that have no covariance, which nobody can hold.
    """
    shifts = np.zeros((2 * len(ROLES), len(factors)))
    for r, kinds in enumerate(ROLES.values()):
        for k, factor in enumerate(factors):
            if factor.kind in kinds:
                shifts[2 * r, k], shifts[2 * r + 1, k] = STEP * deviation[k], -STEP * deviation[k]
    return drawn(factors, shifts, name=DIFFERENCES)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposures:
    """Derivatives of positions, one entry a position and role; arrays of shape `(n_entries,)`.

    Parameters
    ----------
    position, unit, factor : ndarray
        Whose, and by which factor.
    delta, gamma : ndarray
        First and second derivative of the position's value, US dollars.
    """

    position: IntArray
    unit: IntArray
    factor: IntArray
    delta: FloatArray
    gamma: FloatArray


def exposures(held: Holdings, contracts: ModelContracts, deviation: FloatArray) -> Exposures:
    """Entries of all positions: in the order of positions, and of roles within each."""
    pnl = contracts.sets[DIFFERENCES].unit_pnl
    n = len(contracts.names)
    delta, gamma = np.zeros((n, len(ROLES))), np.zeros((n, len(ROLES)))
    factor = np.stack([getattr(contracts.mapped, role) for role in ROLES], axis=1)
    for r in range(len(ROLES)):
        own = factor[:, r]
        step = np.where(own >= 0, STEP * deviation[own], 0.0)
        moves = step > 0  # a factor that never moved has no derivative that matters
        size = np.where(moves, step, 1.0)
        up, down = pnl[:, 2 * r], pnl[:, 2 * r + 1]
        delta[:, r] = np.where(moves, (up - down) / (2 * size), 0.0)
        gamma[:, r] = np.where(moves, (up + down) / (size * size), 0.0)
        # A linear contract's second difference is the rounding of its first.
        flat = np.abs(up + down) <= 1e-9 * (np.abs(up) + np.abs(down))
        gamma[flat, r] = 0.0
    known = (factor >= 0) & ((delta != 0) | (gamma != 0))
    position, role = np.nonzero(known[held.instrument])
    row = held.instrument[position]
    return Exposures(
        position=position,
        unit=held.unit()[position],
        factor=factor[row, role],
        delta=held.quantity[position] * delta[row, role],
        gamma=held.quantity[position] * gamma[row, role],
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Netted:
    """Derivatives of units, one entry a unit and factor, by unit and then by factor.

    Parameters
    ----------
    offsets : ndarray of shape (n_units + 1,)
        Entries of each unit.
    factor : ndarray of shape (n_netted,)
        Which factor.
    delta, gamma : ndarray of shape (n_netted,)
        US dollars.
    of_entry : ndarray of shape (n_entries,)
        Where each entry of the positions went.
    """

    offsets: IntArray
    factor: IntArray
    delta: FloatArray
    gamma: FloatArray
    of_entry: IntArray


def netted(found: Exposures, n_units: int, n_factors: int) -> Netted:
    """Sums by unit and factor, each in the order of positions: nobody's bits depend on anybody else."""
    key = found.unit * max(n_factors, 1) + found.factor
    present, of_entry = np.unique(key, return_inverse=True)
    unit = present // max(n_factors, 1)
    n = len(present)
    return Netted(
        offsets=np.searchsorted(unit, np.arange(n_units + 1)).astype(np.int64),
        factor=present % max(n_factors, 1),
        delta=np.bincount(of_entry, weights=found.delta, minlength=n).astype(np.float64),
        gamma=np.bincount(of_entry, weights=found.gamma, minlength=n).astype(np.float64),
        of_entry=of_entry.astype(np.int64),
    )
