"""The charges beside the scan, each a small function on arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.aggregation.sweep import Holdings, Segments, unit_sum
from crossmargin.basics.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RollLedger:
    """Net delta of every (unit, expiry) that holds something, and its charge.

    Parameters
    ----------
    unit, expiry : ndarray of shape (n_segments,)
        Which unit and which expiry; by unit, then expiry.
    net_delta : ndarray of shape (n_segments,)
        Dollar delta, long plus short.
    roll_move : ndarray of shape (n_expiries,)
        Relative move of each expiry's basis.
    """

    unit: IntArray
    expiry: IntArray
    net_delta: FloatArray
    roll_move: FloatArray

    @property
    def move(self) -> FloatArray:
        """Relative move of each segment's basis, shape `(n_segments,)`."""
        return self.roll_move[self.expiry]

    @property
    def charge(self) -> FloatArray:
        """`|net_delta| * move`, shape `(n_segments,)`: what the roll charge of a unit is the sum of."""
        return np.abs(self.net_delta) * self.move


def roll_charge(by_expiry: Segments, delta: FloatArray, roll_move: FloatArray) -> tuple[FloatArray, RollLedger]:
    """Charge for the basis of each expiry moving on its own.

    The grid moves all forwards of an underlying together, so a future of one expiry against one of another would
    cost nothing. Here every expiry's net delta is charged by itself, and no expiry offsets another.

    Parameters
    ----------
    by_expiry : Segments
        The units cut by expiry.
    delta : ndarray of shape (n_instruments,)
        Dollar delta of one contract.
    roll_move : ndarray of shape (n_expiries,)
        Relative move of each expiry.

    Returns
    -------
    charge : ndarray of shape (n_units,)
        Dollars, at least 0.
    ledger : RollLedger
        What it is made of.
    """
    net_delta = unit_sum(by_expiry.holdings, delta)
    ledger = RollLedger(unit=by_expiry.unit, expiry=by_expiry.label, net_delta=net_delta, roll_move=roll_move)
    return by_expiry.sum_by_unit(np.abs(net_delta), roll_move), ledger


def short_option_minimum(short: Holdings, short_minimum: FloatArray) -> FloatArray:
    """Least charge of every short option: far options lose little in the grid and much in life.

    Parameters
    ----------
    short : Holdings
        Units with what they are short of each instrument, at least 0.
    short_minimum : ndarray of shape (n_instruments,)
        Least charge for one short contract; 0 for what is no option.

    Returns
    -------
    ndarray of shape (n_units,)
        Dollars, at least 0.
    """
    return unit_sum(short, short_minimum)
