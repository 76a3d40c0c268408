"""The figures of the risk matrix, each a small function on arrays; dollars at today's index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Aggregation:
    """How the P&L of a unit counts in the matrix; arrays by unit, of shape `(n_units,)` or `(n_units, n_scenarios)`.

    Parameters
    ----------
    share : ndarray of shape (n_units,)
        Fraction of a gain that counts.
    cap : ndarray of shape (n_units,)
        Most of it, dollars.
    dampening : ndarray of shape (n_units, n_scenarios)
        Dollars that an extended scenario is damped by; 0 in the core grid.
    """

    share: FloatArray
    cap: FloatArray
    dampening: FloatArray


def recognised(pnl: FloatArray, rule: Aggregation) -> FloatArray:
    """What of the P&L of units counts, `(n_units, n_scenarios)`: gains by share and cap, then extended ones damped.

    A gain is recognised before it is damped: the order changes the number.
    """
    counted = np.where(pnl > 0, np.minimum(pnl * rule.share[:, None], rule.cap[:, None]), pnl)
    return np.sign(counted) * np.maximum(np.abs(counted) - rule.dampening, 0.0)


def extended_dampening(
    price_move: FloatArray, extended: BoolArray, price_range: float, dampener: float, *, in_coin: bool
) -> FloatArray:
    """Dollars that each scenario is damped by: the dampener for every range that the move lies beyond the first.

    In coin it is converted at the end of the range, as the extended P&L is.
    """
    beyond = np.maximum(np.abs(price_move) / price_range, 1.0) - 1.0
    end = 1.0 + np.sign(price_move) * price_range if in_coin else 1.0
    return np.where(extended, beyond * dampener / end, 0.0)


def shocked_delta(long_options: FloatArray, others: FloatArray) -> FloatArray:
    """Delta that the delta shock is of: long options may only make it smaller, and not turn it over.

    Parameters
    ----------
    long_options, others : ndarray of shape (n_units,)
        Dollar delta of long options, and of futures, perpetuals and short options.
    """
    both = long_options + others
    return np.where(others < 0, np.minimum(np.maximum(both, others), 0.0), np.maximum(np.minimum(both, others), 0.0))


def delta_shock(
    delta: FloatArray, index: FloatArray, slope: FloatArray, threshold: FloatArray, most: FloatArray
) -> FloatArray:
    """Charge for the size of a delta: it moves by `slope` for every coin above the threshold, and at most by `most`.

    Parameters
    ----------
    delta : ndarray of shape (n_units,)
        Dollars, as `shocked_delta`.
    index : ndarray of shape (n_units,)
        Price of a coin.
    threshold : ndarray of shape (n_units,)
        Dollars.
    """
    coins = np.maximum(np.abs(delta) - threshold, 0.0) / index
    return np.abs(delta) * np.minimum(slope * coins, most)
