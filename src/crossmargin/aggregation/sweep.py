"""The sweep: quantities times unit P&L, unit by unit, in one fixed order.

A risk unit's P&L is the running sum, position by position in the order of instrument names, of
`quantity * unit_pnl`: the same two roundings for each position whether the unit is alone or one of a million, which
a matrix product does not promise. Units of a block advance together, one position each a round, so that the loop is
as long as the longest unit and not as the book. Nothing of the size units x scenarios outlives its block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray

BLOCK_UNITS = 4096
"""Units in flight at once: with 35 scenarios their P&L takes about 1 MB, which stays in cache."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Holdings:
    """Positions of risk units as compressed sparse rows.

    Parameters
    ----------
    offsets : ndarray of shape (n_units + 1,)
        Unit `k` holds positions `offsets[k]` to `offsets[k + 1]`.
    instrument : ndarray of shape (n_positions,)
        Row of the unit P&L table; inside a unit in the order of instrument names.
    quantity : ndarray of shape (n_positions,)
        Signed contracts; long is positive.
    """

    offsets: IntArray
    instrument: IntArray
    quantity: FloatArray

    @property
    def n_units(self) -> int:
        """How many units there are."""
        return len(self.offsets) - 1

    def unit(self) -> IntArray:
        """Unit of each position, shape `(n_positions,)`."""
        return np.repeat(np.arange(self.n_units), np.diff(self.offsets))


def scenario_pnl(holdings: Holdings, unit_pnl: FloatArray, first: int, last: int) -> FloatArray:
    """P&L of units `first` to `last` in each scenario.

    Parameters
    ----------
    holdings : Holdings
        All units.
    unit_pnl : ndarray of shape (n_instruments, n_scenarios)
        Gain of one long contract.
    first, last : int
        Half-open range of units.

    Returns
    -------
    ndarray of shape (last - first, n_scenarios)
        Positive is a gain; 0 for a unit without positions.
    """
    start = holdings.offsets[first:last]
    count = holdings.offsets[first + 1 : last + 1] - start
    pnl = np.zeros((last - first, unit_pnl.shape[1]))
    for k in range(int(count.max(initial=0))):
        active = np.flatnonzero(count > k)
        position = start[active] + k
        gain = unit_pnl[holdings.instrument[position]]
        gain *= holdings.quantity[position, None]
        if len(active) == last - first:
            pnl += gain
        else:
            pnl[active] += gain
    return pnl


def blocks(n_units: int, block_units: int = BLOCK_UNITS) -> Iterator[tuple[int, int]]:
    """Half-open ranges that cover `n_units`."""
    for first in range(0, n_units, block_units):
        yield first, min(first + block_units, n_units)


def worst_loss(holdings: Holdings, unit_pnl: FloatArray) -> tuple[FloatArray, IntArray]:
    """Largest loss of each unit and its scenario.

    Returns
    -------
    loss : ndarray of shape (n_units,)
        Minus the smallest P&L: negative when every scenario gains.
    scenario : ndarray of shape (n_units,)
        The lowest index among ties.
    """
    loss = np.zeros(holdings.n_units)
    scenario = np.zeros(holdings.n_units, dtype=np.int64)
    for first, last in blocks(holdings.n_units):
        pnl = scenario_pnl(holdings, unit_pnl, first, last)
        worst = pnl.argmin(axis=1)
        scenario[first:last] = worst
        loss[first:last] = -pnl[np.arange(last - first), worst]
    return loss + 0.0, scenario  # + 0.0: a loss of nothing is 0, not -0


def segment_sum(values: FloatArray, segment: IntArray, n_segments: int) -> FloatArray:
    """Sum of `values` by segment, added one after the other in their order.

    Parameters
    ----------
    values : ndarray of shape (n,)
        What is added.
    segment : ndarray of shape (n,)
        Segment of each value.

    Returns
    -------
    ndarray of shape (n_segments,)
        0 where a segment is empty.
    """
    return np.bincount(segment, weights=values, minlength=n_segments).astype(np.float64)
