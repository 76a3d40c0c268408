"""Deribit's risk matrix margin, each rule a small function on arrays of many pairs or units.

Figures are in the currency of a pair: coin for inverse contracts, dollars for linear ones. P&L is a gain where it is
positive; charges are at least 0.
"""

from __future__ import annotations

import math

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray
from crossmargin.methodologies.venue_grids.deribit.parameters import RollForm


def growth(price_move: FloatArray, extended: BoolArray, price_range: float) -> FloatArray:
    """Price over present price at which a scenario turns dollars into coin, shape `(n_scenarios,)`.

    In the core matrix that of the scenario; in the extended table that at the end of the range on the same side.
    """
    return np.where(extended, 1 + np.sign(price_move) * price_range, 1 + price_move)


def extended_in_coin(pnl: FloatArray, price_move: FloatArray, weight: FloatArray, price_range: float) -> FloatArray:
    """Extended P&L of inverse contracts: its dollars, damped, as coin at the end of the price range.

    A future is linear in dollars, so that its extended P&L is the one at the end of the range; an option's is not.

    Parameters
    ----------
    pnl : ndarray of shape (n, n_scenarios)
        Gain in coin at the price of the scenario.
    price_move, weight : ndarray of shape (n_scenarios,)
        Relative move, and the part that counts: `extended_table_factor * price_range / |move|`.
    """
    return np.asarray(pnl * (1 + price_move) * weight / (1 + np.sign(price_move) * price_range))


def offset(pnl: FloatArray, share: FloatArray, cap: FloatArray) -> FloatArray:
    """A loss counts whole, a gain by its share and at most the cap; shape of `pnl`.

    That the cap limits the gain after the share, in dollars, is inferred.
    """
    return np.where(pnl > 0, np.minimum(pnl * share, cap), pnl)


def dampened(pnl: FloatArray, dampener: FloatArray) -> FloatArray:
    """P&L with the dampener off its size, not beyond 0; shape of `pnl`. The dampener is 0 in the core matrix."""
    return np.sign(pnl) * np.maximum(np.abs(pnl) - dampener, 0.0)


def aggregated(pnl: FloatArray, share: FloatArray, cap: FloatArray, dampener: FloatArray) -> FloatArray:
    """What a pair's P&L counts in each scenario: summed over contracts before, then offset, then dampened.

    Parameters
    ----------
    pnl : ndarray of shape (n, n_scenarios)
        Sum over the contracts of a pair.
    share : ndarray of shape (n,)
        Part of a gain that counts.
    cap, dampener : ndarray of shape (n, n_scenarios)
        In the currency of `pnl`.
    """
    return dampened(offset(pnl, share[:, None], cap), dampener)


def roll_move(years: float, annualised: float, minimum: float, form: RollForm) -> float:
    """Relative move of the basis of an expiry that is `years` away (0 for a perpetual)."""
    grown = annualised * years if form is RollForm.LINEAR else math.expm1(annualised * years)
    return max(minimum, grown)


def delta_for_shock(long_options: FloatArray, others: FloatArray) -> FloatArray:
    """Delta that the delta shock is on: long options reduce that of all else, at most to 0, and never add to it.

    Parameters
    ----------
    long_options, others : ndarray of shape (n,)
        Coins: delta of bought options; of futures, perpetuals and sold options.
    """
    total = long_options + others
    return np.where(
        others < 0,
        np.minimum(np.maximum(total, others), 0.0),
        np.maximum(np.minimum(total, others), 0.0),
    )


def delta_shock_rate(delta: FloatArray, m_inc: FloatArray, threshold: FloatArray, most: FloatArray) -> FloatArray:
    """Relative move that a delta is charged at: rising with its size above the threshold, up to a most.

    Parameters
    ----------
    delta, threshold : ndarray of shape (n,)
        Coins.
    m_inc : ndarray of shape (n,)
        Move for one coin.
    """
    return np.minimum(m_inc * np.maximum(np.abs(delta) - threshold, 0.0), most)


def risk_matrix_margin(
    worst_case: FloatArray, roll_shock: FloatArray, delta_shock: FloatArray, correlation_contingency: FloatArray
) -> FloatArray:
    """Everything that the positions are charged."""
    return worst_case + roll_shock + delta_shock + correlation_contingency


def initial_margin(
    risk_matrix: FloatArray, open_orders: FloatArray, mmp: FloatArray, spot_reserve: FloatArray
) -> FloatArray:
    """Initial margin: positions, resting orders, market-maker protection, and what resting spot orders sell."""
    return risk_matrix + open_orders + mmp + spot_reserve


def maintenance_margin(risk_matrix: FloatArray, mm_factor: float) -> FloatArray:
    """Maintenance margin: a part of what the positions are charged, and nothing for orders."""
    return mm_factor * risk_matrix
