"""The figures of a risk unit, each a small function on arrays: one a paragraph of the rulebook."""

from __future__ import annotations

import numpy as np

from crossmargin.aggregation.sweep import Segments, scenario_pnl
from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.threads import for_each_range
from crossmargin.methodologies.venue_grids.derive.contracts import DeriveContracts

BLOCK_SEGMENTS = 8192
"""Expiries of units valued at once: their values in all scenarios take about 2 MB of cache."""


def expiry_pnl(values: FloatArray, long: FloatArray, short: FloatArray, contracts: DeriveContracts) -> FloatArray:
    """P&L of expiries in each scenario, from their values in the scenarios, with the basis moved, and now.

    The value in a scenario is discounted if it is worth something and marked up if it is owed; what it is worth now is
    neither. So a long box loses and a short box costs also where nothing moves.

    Parameters
    ----------
    values : ndarray of shape (n, n_scenarios + 3)
        As `DeriveContracts.values`, summed over the positions of each expiry.
    long, short : ndarray of shape (n,)
        Static discounts of each.

    Returns
    -------
    ndarray of shape (n, n_scenarios)
        Positive is a gain; in a skew scenario never positive.
    """
    shocked = values[:, :-3]
    pnl = shocked * np.where(shocked >= 0, long[:, None], short[:, None])
    pnl -= values[:, -1:]
    if contracts.is_skew.any():
        skew = pnl[:, contracts.is_skew]
        pnl[:, contracts.is_skew] = -np.abs(skew)
    return pnl


def basis_loss(values: FloatArray, factor: FloatArray) -> FloatArray:
    """P&L of the basis of each expiry moving on its own, at most 0; no expiry offsets another. Shape `(n,)`."""
    now = values[:, -1]
    return np.minimum(np.minimum(values[:, -3] - now, values[:, -2] - now), 0.0) * factor


def scenario_table(
    by_expiry: Segments, linear: FloatArray, contracts: DeriveContracts, first: int, last: int
) -> tuple[FloatArray, FloatArray]:
    """P&L of units `first` to `last` in each scenario, dampened, and the loss of their bases.

    Parameters
    ----------
    by_expiry : Segments
        The units cut by expiry.
    linear : ndarray of shape (n_units,)
        Gain of each unit's perpetuals and risk-cancelling collateral for a price move of 1.

    Returns
    -------
    pnl : ndarray of shape (last - first, n_scenarios)
        Positive is a gain.
    basis : ndarray of shape (last - first,)
        At most 0.
    """
    start = by_expiry.unit_offsets[first : last + 1]
    segments = np.arange(start[0], start[-1])
    label = by_expiry.label[segments]
    values = scenario_pnl(by_expiry.holdings, contracts.swept, segments)
    of_expiry = expiry_pnl(values, contracts.discount_long[label], contracts.discount_short[label], contracts)
    of_basis = basis_loss(values, contracts.basis_factor[label])
    pnl = linear[first:last, None] * contracts.scenario_move
    basis = np.zeros(last - first)
    count = np.diff(start)
    own = start[:-1] - start[0]
    for k in range(int(count.max(initial=0))):  # expiry by expiry: one order of addition in every book
        active = np.flatnonzero(count > k)
        row = own[active] + k
        if len(active) == last - first:
            pnl += of_expiry[row]
            basis += of_basis[row]
        else:
            pnl[active] += of_expiry[row]
            basis[active] += of_basis[row]
    pnl *= contracts.dampening
    return pnl, basis


def worst_scenario(
    by_expiry: Segments, linear: FloatArray, contracts: DeriveContracts
) -> tuple[FloatArray, IntArray, FloatArray]:
    """Smallest P&L of each unit over the scenarios and the basis, which competes with them and is not added.

    Returns
    -------
    pnl : ndarray of shape (n_units,)
        At most 0.
    scenario : ndarray of shape (n_units,)
        Lowest index among ties; `n_scenarios` is the basis.
    basis : ndarray of shape (n_units,)
        Loss of the bases, at most 0.
    """
    n_units = len(by_expiry.unit_offsets) - 1
    worst, basis = np.zeros(n_units), np.zeros(n_units)
    scenario = np.zeros(n_units, dtype=np.int64)

    def one_block(first: int, last: int) -> None:
        pnl, of_basis = scenario_table(by_expiry, linear, contracts, first, last)
        at = pnl.argmin(axis=1)
        least = pnl[np.arange(last - first), at]
        basis_binds = of_basis < least
        worst[first:last] = np.where(basis_binds, of_basis, least)
        scenario[first:last] = np.where(basis_binds, pnl.shape[1], at)
        basis[first:last] = of_basis

    for_each_range(one_block, _unit_blocks(by_expiry.unit_offsets))
    # Gains never lower the requirement: the basis is at most 0, and a worst P&L above it cannot be.
    return worst, scenario, basis


def _unit_blocks(unit_offsets: IntArray) -> list[tuple[int, int]]:
    """Ranges of units with about `BLOCK_SEGMENTS` expiries each."""
    found, first, n_units = [], 0, len(unit_offsets) - 1
    while first < n_units:
        last = int(np.searchsorted(unit_offsets, unit_offsets[first] + BLOCK_SEGMENTS, side="right")) - 1
        last = min(max(last, first + 1), n_units)
        found.append((first, last))
        first = last
    return found


def naked_shorts(coins_by_strike: FloatArray) -> FloatArray:
    """Coins of options short at a strike after long ones at the same strike, calls and puts together; at least 0."""
    return np.maximum(0.0, -coins_by_strike)


def confidence_charge(confidence: FloatArray, threshold: FloatArray, charge: FloatArray) -> FloatArray:
    """Fraction of the notional that is charged for an oracle that is unsure of itself, 0 at or above the threshold."""
    return np.where(confidence < threshold, (1 - confidence) * charge, 0.0)


def initial_factor(factor: float, stable_price: float, threshold: FloatArray, peg_factor: FloatArray) -> FloatArray:
    """Times the worst scenario at initial level: rises as the stablecoin loses its peg."""
    return read_only(factor + np.maximum(0.0, threshold - stable_price) * peg_factor)
