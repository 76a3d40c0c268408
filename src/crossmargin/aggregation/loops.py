"""The sweep in plain numpy: what small books run, and the oracle of the compiled one.

Units advance together, one position each a round, so that the loop is as long as the longest unit and not as the
book; each unit's P&L is the running sum of `quantity * unit_pnl` in the order of its positions, every product rounded,
then every sum. All functions take the same arguments as their compiled twins in `kernels`:

* `offsets, instrument, quantity`: positions of all units as compressed sparse rows;
* `table, row_length, n_scenarios`: unit P&L, rows one after the other, each padded to `row_length`;
* `units, first, last`: chosen units, of which numbers `first` to `last` are done;

and write the answer of chosen unit `k` to row `k` of their last arguments.
"""

from __future__ import annotations

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray, owners_of


def scenario_pnl(
    offsets: IntArray,
    instrument: IntArray,
    quantity: FloatArray,
    table: FloatArray,
    row_length: int,
    n_scenarios: int,
    units: IntArray,
    first: int,
    last: int,
    pnl: FloatArray,
) -> None:
    """P&L of units in every scenario, into `pnl` of shape `(n_chosen, n_scenarios)`; 0 without positions."""
    unit_pnl = table.reshape(-1, row_length)[:, :n_scenarios]
    start = offsets[units[first:last]]
    count = offsets[units[first:last] + 1] - start
    pnl[first:last] = 0.0
    for k in range(int(count.max(initial=0))):
        active = np.flatnonzero(count > k)
        position = start[active] + k
        gain = unit_pnl[instrument[position]]
        gain *= quantity[position, None]
        if len(active) == last - first:
            pnl[first:last] += gain
        else:
            pnl[first + active] += gain


def unit_sum(
    offsets: IntArray,
    instrument: IntArray,
    quantity: FloatArray,
    of_one: FloatArray,
    first: int,
    last: int,
    sums: FloatArray,
) -> None:
    """Sum of `quantity * of_one` in units `first` to `last`: a sweep of one scenario, the column `of_one`."""
    held = slice(offsets[first], offsets[last])
    unit = owners_of(offsets[first : last + 1] - offsets[first])
    # bincount adds one after the other, in order.
    product = quantity[held] * of_one[instrument[held]]
    sums[first:last] = np.bincount(unit, weights=product, minlength=last - first)


def worst(
    offsets: IntArray,
    instrument: IntArray,
    quantity: FloatArray,
    table: FloatArray,
    row_length: int,
    n_scenarios: int,
    units: IntArray,
    first: int,
    last: int,
    pnl_worst: FloatArray,
    scenario: IntArray,
) -> None:
    """Smallest P&L of each unit and its scenario, the lowest index among ties."""
    chosen = units[first:last]
    pnl = np.empty((last - first, n_scenarios))
    scenario_pnl(offsets, instrument, quantity, table, row_length, n_scenarios, chosen, 0, last - first, pnl)
    found = pnl.argmin(axis=1)
    scenario[first:last] = found
    pnl_worst[first:last] = pnl[np.arange(last - first), found]


def tail(
    offsets: IntArray,
    instrument: IntArray,
    quantity: FloatArray,
    table: FloatArray,
    row_length: int,
    n_scenarios: int,
    units: IntArray,
    first: int,
    last: int,
    tail_pnl: FloatArray,
    tail_scenario: IntArray,
) -> None:
    """Smallest P&L of each unit, worst first, ties by scenario; both of shape `(n_chosen, n_tail)`."""
    chosen = units[first:last]
    pnl = np.empty((last - first, n_scenarios))
    scenario_pnl(offsets, instrument, quantity, table, row_length, n_scenarios, chosen, 0, last - first, pnl)
    found = np.argsort(pnl, axis=1, kind="stable")[:, : tail_pnl.shape[1]]
    tail_scenario[first:last] = found
    tail_pnl[first:last] = np.take_along_axis(pnl, found, axis=1)
