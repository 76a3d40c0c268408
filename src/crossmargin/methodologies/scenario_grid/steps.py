"""The charges beside the scan, each a small function on arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.aggregation.sweep import Holdings, segment_sum
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
    move : ndarray of shape (n_segments,)
        Relative move of that expiry's basis.
    charge : ndarray of shape (n_segments,)
        `|net_delta| * move`.
    segment : ndarray of shape (n_positions,)
        Segment of each position.
    """

    unit: IntArray
    expiry: IntArray
    net_delta: FloatArray
    move: FloatArray
    charge: FloatArray
    segment: IntArray


def roll_charge(
    holdings: Holdings, delta: FloatArray, expiry: IntArray, roll_move: FloatArray
) -> tuple[FloatArray, RollLedger]:
    """Charge for the basis of each expiry moving on its own.

    The grid moves all forwards of an underlying together, so a future of one expiry against one of another would
    cost nothing. Here every expiry's net delta is charged by itself, and no expiry offsets another.

    Parameters
    ----------
    holdings : Holdings
        Units and positions.
    delta, expiry : ndarray of shape (n_instruments,)
        Dollar delta of one contract, and its expiry.
    roll_move : ndarray of shape (n_expiries,)
        Relative move of each expiry.

    Returns
    -------
    charge : ndarray of shape (n_units,)
        Dollars, at least 0.
    ledger : RollLedger
        What it is made of.
    """
    unit = holdings.unit()
    position_delta = holdings.quantity * delta[holdings.instrument]
    key = unit * max(len(roll_move), 1) + expiry[holdings.instrument]
    distinct, segment = np.unique(key, return_inverse=True)
    net_delta = segment_sum(position_delta, segment, len(distinct))
    segment_unit, segment_expiry = np.divmod(distinct, max(len(roll_move), 1))
    move = roll_move[segment_expiry]
    charge = np.abs(net_delta) * move
    ledger = RollLedger(
        unit=segment_unit,
        expiry=segment_expiry,
        net_delta=net_delta,
        move=move,
        charge=charge,
        segment=segment.reshape(-1),
    )
    return segment_sum(charge, segment_unit, holdings.n_units), ledger


def short_option_minimum(holdings: Holdings, short_minimum: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Least charge of every short option: far options lose little in the grid and much in life.

    Returns
    -------
    by_unit : ndarray of shape (n_units,)
        Dollars, at least 0.
    by_position : ndarray of shape (n_positions,)
        The same by position; 0 for long positions and for what is no option.
    """
    by_position = np.maximum(0.0, -holdings.quantity) * short_minimum[holdings.instrument]
    return segment_sum(by_position, holdings.unit(), holdings.n_units), by_position
