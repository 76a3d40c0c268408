"""The figures of standard margin, each a small function on arrays: one a paragraph of the rulebook."""

from __future__ import annotations

import numpy as np

from crossmargin.aggregation.sweep import segment_sum
from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray, owners_of

NO_SETTLEMENT = -1.0
"""Settlement price where no settlement loses anything."""


def out_of_the_money(price: FloatArray, strike: FloatArray, is_call: BoolArray) -> FloatArray:
    """How far a price has to move before an option pays, price units, at least 0."""
    return np.maximum(0.0, np.where(is_call, strike - price, price - strike))


def short_call_charges(spot: FloatArray, at_spot: FloatArray, maintenance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What one call short asks for beside its value, maintenance and initial.

    Parameters
    ----------
    spot : ndarray
        Spot times the units in one contract.
    at_spot : ndarray
        The greater of the floor and of the part of spot less how far the option is out of the money, times spot.
    maintenance : ndarray
        Part of spot.
    """
    return maintenance * spot, at_spot


def short_put_charges(
    spot: FloatArray,
    value: FloatArray,
    at_spot: FloatArray,
    spot_maintenance: FloatArray,
    mark_maintenance: FloatArray,
    over_maintenance: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """What one put short asks for beside its value, maintenance and initial.

    A put far in the money is worth more than any part of spot: its own value sets maintenance, and initial margin with
    the value in it is at least so many times that of maintenance.

    Parameters
    ----------
    value : ndarray
        Of one contract.
    over_maintenance : ndarray
        That multiple, at least 1.
    """
    maintenance = np.maximum(spot_maintenance * spot, mark_maintenance * value)
    times = over_maintenance * (value + maintenance) - value
    return maintenance, np.maximum(np.maximum(at_spot, times), maintenance)


def delta_one_charge(contracts: FloatArray, notional: FloatArray, rate: FloatArray, slope: FloatArray) -> FloatArray:
    """Charge for so many contracts, at least 0 of them: their notional at a rate that rises with their number."""
    return contracts * notional * (rate + slope * contracts)


def doubt(confidence: FloatArray, threshold: FloatArray) -> FloatArray:
    """What an oracle is short of being sure, 0 at or above the threshold."""
    return np.where(confidence < threshold, 1 - confidence, 0.0)


def worst_payoff(
    offsets: IntArray, coins: FloatArray, strike: FloatArray, is_call: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Least payoff at expiry of groups of options, over a settlement at 0 and at every strike of the group.

    Beyond the last strike a group that is short of calls loses without end; that is charged for on its own.

    Parameters
    ----------
    offsets : ndarray of shape (n_groups + 1,)
        Group `k` holds options `offsets[k]` to `offsets[k + 1]`.
    coins : ndarray of shape (n_options,)
        Units of the underlying, signed.
    strike, is_call : ndarray of shape (n_options,)
        Terms.

    Returns
    -------
    payoff : ndarray of shape (n_groups,)
        At most 0.
    settlement : ndarray of shape (n_groups,)
        The first price at which it is paid; `NO_SETTLEMENT` where nothing is lost anywhere.
    """
    n_groups = len(offsets) - 1
    group, count = owners_of(offsets), np.diff(offsets)
    payoff, settlement = np.zeros(n_groups), np.full(n_groups, NO_SETTLEMENT)
    at = np.arange(len(coins))
    for k in range(-1, int(count.max(initial=0))):  # strike by strike: one order of addition in every book
        at = at[count[group[at]] > k]
        active = np.flatnonzero(count > k)
        price = np.zeros(len(active)) if k < 0 else strike[offsets[active] + k]
        local = np.searchsorted(active, group[at])
        move = price[local] - strike[at]
        found = segment_sum(coins[at] * np.maximum(np.where(is_call[at], move, -move), 0.0), local, len(active))
        worse = found < payoff[active]
        payoff[active[worse]], settlement[active[worse]] = found[worse], price[worse]
    return payoff, settlement
